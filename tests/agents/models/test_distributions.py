"""Policies and latents against torch.distributions."""

import math

import numpy as np
import torch
from torch import distributions as td

from agents.models.distributions import TanhNormal, tanh_normal_log_prob
from agents.models.latents import Gaussian

torch.manual_seed(0)


def reference(mean, std):
    return td.Independent(td.TransformedDistribution(td.Normal(mean, std), td.TanhTransform()), 1)


def test_tanh_normal_log_prob_is_that_of_the_transformed_distribution():
    policy, raw = TanhNormal(), torch.randn(7, 6)
    mean, std = policy.statistics(raw)
    before = mean + 0.3 * torch.randn(7, 3)
    expected = reference(mean, std).log_prob(torch.tanh(before))
    torch.testing.assert_close(tanh_normal_log_prob(mean, std, before), expected, atol=2e-4, rtol=1e-4)
    moderate = torch.tanh(0.3 * torch.randn(7, 3))
    torch.testing.assert_close(policy.log_prob(raw, moderate), reference(mean, std).log_prob(moderate), atol=1e-4, rtol=1e-4)


def test_log_prob_of_a_saturated_action_is_finite():
    assert torch.isfinite(TanhNormal().log_prob(torch.zeros(1, 4), torch.tensor([[1.0, -1.0]]))).all()


def test_a_fresh_actor_has_deviation_five_and_bounded_mean():
    mean, std = TanhNormal().statistics(torch.zeros(1, 4))
    torch.testing.assert_close(std, torch.full((1, 2), 5.0 + 1e-4))
    assert mean.abs().max() == 0
    mean, _ = TanhNormal().statistics(torch.full((1, 4), 100.0))
    assert mean.max() <= 5.0


def test_mode_is_the_likeliest_draw_of_each_row_by_itself():
    policy, raw = TanhNormal(mode_samples=9, init_std=0.5), torch.randn(4, 6)
    noise = torch.randn(9, 4, 3)
    mean, std = policy.statistics(raw)
    found = policy.evaluate(raw, {"mode": noise})
    for row in range(4):
        draws = torch.tanh(mean[row] + std[row] * noise[:, row])
        scores = [tanh_normal_log_prob(mean[row], std[row], mean[row] + std[row] * noise[i, row]).item() for i in range(9)]
        torch.testing.assert_close(found[row], draws[scores.index(max(scores))])


def test_exploration_adds_noise_and_stays_in_the_box():
    policy, raw = TanhNormal(), torch.zeros(1000, 2)
    noise = {"policy": torch.zeros(1000, 1), "exploration": torch.randn(1000, 1)}
    action = policy.explore(raw, noise, torch.tensor(0.0))
    assert action.abs().max() <= 1.0
    torch.testing.assert_close(action, (0.3 * noise["exploration"]).clamp(-1, 1))


def test_gaussian_divergence_is_torchs():
    latent = Gaussian(5)
    posterior, prior = latent.statistics(torch.randn(3, 4, 10)), latent.statistics(torch.randn(3, 4, 10))
    expected = td.kl_divergence(td.Normal(posterior["mean"], posterior["std"]), td.Normal(prior["mean"], prior["std"])).sum(-1)
    torch.testing.assert_close(latent.divergence(posterior, prior), expected, atol=1e-5, rtol=1e-5)
    assert latent.divergence(prior, prior).abs().max() < 1e-6


def test_gaussian_deviation_has_its_floor():
    statistics = Gaussian(2).statistics(torch.tensor([0.0, 0.0, -50.0, 0.0]))
    torch.testing.assert_close(statistics["std"], torch.tensor([0.1, math.log(2) + 0.1]))


def test_the_evaluation_action_is_ranked_as_the_original_ranks_it():
    """By NumPy, in float32: log p of the action through atanh, clipped at 0.99999997; the first of equals wins."""
    generator = torch.Generator().manual_seed(3)
    policy, raw = TanhNormal(), torch.randn(40, 4, generator=generator)  # fresh actors: std about 5
    noise = torch.randn(policy.mode_samples, 40, 2, generator=generator)
    mean, std = (value.numpy() for value in policy.statistics(raw))
    action = torch.tanh(torch.from_numpy(mean + std * noise.numpy())).numpy()
    u = np.arctanh(np.clip(action, np.float32(-0.99999997), np.float32(0.99999997)))
    log_prob = -0.5 * ((u - mean) / std) ** 2 - np.log(std) - 2.0 * (np.log(2.0) - u - np.logaddexp(0.0, -2.0 * u))
    best = log_prob.astype(np.float32).sum(-1).argmax(0)
    found = policy.evaluate(raw, {"mode": noise}).numpy()
    np.testing.assert_allclose(found, action[best, np.arange(40)], atol=2e-6)
    assert (np.abs(mean + std * noise.numpy()) > 8.8).any(-1).mean() > 0.05  # there are draws that tie
