"""Variants of the world model: dynamics, latents, divergences and representations, each against a definition."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.distributions import Independent, Normal, OneHotCategorical, kl_divergence

from agents.models.categorical_latent import BalancedKL, Categorical
from agents.models.contrastive import Contrastive, RewardOnly, contrast_images, contrast_states
from agents.models.dynamics_variants import MeanOnly, StochasticOnly
from agents.models.latents import Gaussian
from agents.models.networks import initialize
from agents.models.objectives import FreeNats, Reconstruction
from agents.models.overshooting import GlobalPrior, Overshooting
from agents.models.rssm import RSSM

LENGTH, BATCH, ACTION, EMBED = 5, 3, 2, 4
SPACE = spaces.Dict({"vector": spaces.Box(-1.0, 1.0, (2,), np.float32)})


def rssm(latent):
    return RSSM(action=ACTION, embed=EMBED, latent=latent, deter=6, hidden=7)


def stochastic(latent):
    return StochasticOnly(action=ACTION, embed=EMBED, latent=latent, hidden=7)


DYNAMICS = {
    "deterministic only": lambda: rssm(MeanOnly(3)),
    "stochastic only": lambda: stochastic(Gaussian(3)),
    "categorical": lambda: rssm(Categorical(3, 4)),
}


def made(build):
    generator = torch.Generator().manual_seed(0)
    module = build()
    initialize(module, generator)
    return module, generator


def batch(generator, dynamics):
    embed = torch.randn(LENGTH, BATCH, EMBED, generator=generator)
    action = torch.randn(LENGTH, BATCH, ACTION, generator=generator)
    is_first = torch.zeros(LENGTH, BATCH)
    is_first[0] = 1.0
    is_first[2, 1] = 1.0
    kind = torch.randn if dynamics.latent.noise.kind == "normal" else torch.rand
    return embed, action, is_first, kind(LENGTH, BATCH, *dynamics.latent.noise.shape, generator=generator)


@pytest.mark.parametrize("name", DYNAMICS)
def test_observing_a_sequence_equals_filtering_it_row_by_row(name):
    dynamics, generator = made(DYNAMICS[name])
    embed, action, is_first, noise = batch(generator, dynamics)
    posterior, prior = dynamics.observe(embed, action, is_first, noise)
    state = dynamics.initial(BATCH)
    for t in range(LENGTH):
        previous = state
        state = dynamics.filter(state, action[t], embed[t], is_first[t], noise[t])
        for key, leaf in state.items():
            torch.testing.assert_close(posterior[key][t], leaf)
        keep = (1 - is_first[t]).unsqueeze(-1)
        expected = dynamics.step(
            {**previous, **{k: previous[k] * keep for k in ("stoch", "deter") if k in previous}}, action[t] * keep, noise[t]
        )
        for key in set(prior) & {"mean", "std", "logits"}:
            torch.testing.assert_close(prior[key][t], expected[key])
    assert dynamics.features(state).shape == (BATCH, dynamics.feature_size)


def test_deterministic_only_draws_nothing():
    dynamics, generator = made(DYNAMICS["deterministic only"])
    embed, action, is_first, noise = batch(generator, dynamics)
    assert noise.numel() == 0
    posterior, _ = dynamics.observe(embed, action, is_first, noise)
    torch.testing.assert_close(posterior["stoch"], posterior["mean"], rtol=0.0, atol=0.0)


def test_stochastic_only_remembers_through_its_draw_alone():
    dynamics, generator = made(DYNAMICS["stochastic only"])
    state, action = dynamics.initial(BATCH), torch.randn(BATCH, ACTION, generator=generator)
    assert "deter" not in state
    elsewhere = {key: leaf + (key != "stoch") for key, leaf in state.items()}  # every statistic but the draw is changed
    noise = torch.zeros(BATCH, 3)
    torch.testing.assert_close(dynamics.step(state, action, noise)["mean"], dynamics.step(elsewhere, action, noise)["mean"])


def test_stochastic_only_is_two_layers_for_the_prior_and_two_for_the_posterior():
    """The prior of [z, a], the posterior of [prior's mean, prior's deviation, embedding]; deviation softplus + 0.1."""
    dynamics, generator = made(DYNAMICS["stochastic only"])
    stoch, action = torch.randn(BATCH, 3, generator=generator), torch.randn(BATCH, ACTION, generator=generator)
    embed, noise = torch.randn(BATCH, EMBED, generator=generator), torch.randn(BATCH, 3, generator=generator)

    def gaussian(inputs, hidden, last):
        x = inputs @ hidden.weight.T + hidden.bias
        mean, raw = (torch.where(x > 0, x, x.exp() - 1) @ last.weight.T + last.bias).chunk(2, -1)
        return {"mean": mean, "std": (1 + raw.exp()).log() + 0.1}

    prior = gaussian(torch.cat([stoch, action], -1), dynamics.prior_hidden, dynamics.prior_statistics)
    posterior = gaussian(
        torch.cat([prior["mean"], prior["std"], embed], -1), dynamics.posterior_hidden, dynamics.posterior_statistics
    )
    state = {**dynamics.initial(BATCH), "stoch": stoch}
    for found, expected in (
        (dynamics.step(state, action, noise), prior),
        (dynamics.filter(state, action, embed, torch.zeros(BATCH), noise), posterior),
    ):
        for key, leaf in {**expected, "stoch": expected["mean"] + expected["std"] * noise}.items():
            torch.testing.assert_close(found[key], leaf, atol=1e-5, rtol=1e-4)


def test_a_draw_of_a_categorical_latent_has_the_gradient_of_its_probabilities():
    latent, generator = Categorical(3, 4), torch.Generator().manual_seed(0)
    raw, weight = torch.randn(2, 5, 12, generator=generator)
    found, expected = raw.clone().requires_grad_(), raw.clone().requires_grad_()
    (latent.sample(latent.statistics(found), torch.rand(5, 3, 4, generator=generator)) * weight).sum().backward()
    (expected.reshape(5, 3, 4).softmax(-1).reshape(5, 12) * weight).sum().backward()
    torch.testing.assert_close(found.grad, expected.grad)


def test_categorical_divergence_equals_that_of_torch():
    latent, generator = Categorical(3, 4), torch.Generator().manual_seed(0)
    first, second = (latent.statistics(raw) for raw in torch.randn(2, 5, 12, generator=generator))
    expected = kl_divergence(
        Independent(OneHotCategorical(logits=first["logits"]), 1), Independent(OneHotCategorical(logits=second["logits"]), 1)
    )
    torch.testing.assert_close(latent.divergence(first, second), expected)
    sample = latent.sample(first, torch.rand(5, 3, 4, generator=generator))
    assert sample.unflatten(-1, (3, 4)).sum(-1).eq(1).all()


def test_balance_weighs_the_gradients_of_the_two_sides():
    dynamics, generator = made(DYNAMICS["categorical"])
    posterior, prior = (torch.randn(LENGTH, BATCH, 3, 4, generator=generator).requires_grad_() for _ in range(2))
    plain = dynamics.divergence({"logits": posterior}, {"logits": prior}).mean()
    full = torch.autograd.grad(plain, (posterior, prior))
    loss, _ = BalancedKL(scale=2.0).loss(dynamics, {"logits": posterior}, {"logits": prior}, {}, {})
    balanced = torch.autograd.grad(loss, (posterior, prior))
    torch.testing.assert_close(loss, 2.0 * plain)
    torch.testing.assert_close(balanced[0], 2.0 * 0.2 * full[0])
    torch.testing.assert_close(balanced[1], 2.0 * 0.8 * full[1])


def test_free_nats_clip_both_sides_of_the_balance():
    dynamics, generator = made(DYNAMICS["categorical"])
    posterior, prior = (torch.randn(LENGTH, BATCH, 3, 4, generator=generator).requires_grad_() for _ in range(2))
    loss, _ = BalancedKL(free_nats=100.0).loss(dynamics, {"logits": posterior}, {"logits": prior}, {}, {})
    assert loss.item() == 100.0
    assert torch.autograd.grad(loss, posterior)[0].abs().sum() == 0


def test_global_prior_and_overshooting_add_to_what_they_wrap():
    dynamics, generator = made(lambda: rssm(Gaussian(3)))
    embed, action, is_first, noise = batch(generator, dynamics)
    posterior, prior = dynamics.observe(embed, action, is_first, noise)
    base = FreeNats(free_nats=0.0)
    plain, _ = base.loss(dynamics, posterior, prior, {}, {})
    with_prior, _ = GlobalPrior(base=base, scale=0.1).loss(dynamics, posterior, prior, {}, {})
    standard = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    expected = kl_divergence(Independent(Normal(posterior["mean"], posterior["std"]), 1), standard).mean()
    torch.testing.assert_close(with_prior - plain, 0.1 * expected, atol=1e-5, rtol=1e-4)

    both = Overshooting(base=base, distance=3, scale=0.5, free_nats=0.0)
    spec = both.noise(dynamics.latent, LENGTH, BATCH)["overshooting"]
    assert (spec.kind, spec.shape, spec.shared) == ("normal", (3, LENGTH, BATCH, 3), False)
    rows, draws = {"action": action, "is_first": is_first}, {"overshooting": torch.randn(spec.shape, generator=generator)}
    overshot, metrics = both.loss(dynamics, posterior, prior, rows, draws)
    torch.testing.assert_close(overshot - plain, 0.5 * metrics["overshooting_kl"], atol=1e-5, rtol=1e-4)
    assert metrics["overshooting_kl"] > 0


REPRESENTATIONS = {
    "reconstruction": lambda: Reconstruction(6, SPACE, hidden=8),
    "reward only": lambda: RewardOnly(6, SPACE, hidden=8),
    "contrastive, states": lambda: Contrastive(6, EMBED, SPACE, contrast=contrast_states, hidden=8, decoder_hidden=8),
    "contrastive, images": lambda: Contrastive(6, EMBED, SPACE, contrast=contrast_images, hidden=8, decoder_hidden=8),
}


@pytest.mark.parametrize(
    ("name", "trains_features"),
    [
        ("reconstruction", True),
        ("reward only", False),
        ("contrastive, states", True),
        ("contrastive, images", True),
    ],
)
def test_who_trains_the_features_and_that_every_objective_can_draw(name, trains_features):
    objective, generator = made(REPRESENTATIONS[name])
    features = torch.randn(LENGTH, BATCH, 6, generator=generator).requires_grad_()
    embed = torch.randn(LENGTH, BATCH, EMBED, generator=generator).requires_grad_()
    rows = {"vector": torch.randn(LENGTH, BATCH, 2, generator=generator)}
    loss, _ = objective.loss(features, embed, rows)
    loss.backward()
    assert (features.grad is not None and bool(features.grad.abs().sum() > 0)) == trains_features
    assert all(parameter.grad is not None for parameter in objective.parameters())  # the decoder learns in every case
    assert objective.reconstruct(features)["vector"].shape == (LENGTH, BATCH, 2)


@pytest.mark.parametrize("contrast", [contrast_states, contrast_images])
def test_beside_the_contrast_the_decoder_is_a_spectator(contrast):
    objective, generator = made(lambda: Contrastive(6, EMBED, SPACE, contrast=contrast, hidden=8, decoder_hidden=8))
    features, embed = torch.randn(LENGTH, BATCH, 6, generator=generator), torch.randn(LENGTH, BATCH, EMBED, generator=generator)
    found, alone = features.clone().requires_grad_(), features.clone().requires_grad_()
    rows = {"vector": torch.randn(LENGTH, BATCH, 2, generator=generator)}
    loss, _ = objective.loss(found, embed, rows)
    mean, raw = objective.statistics(embed).chunk(2, -1)
    value = contrast(alone, mean, (1 + (math.e - 1) * raw.exp()).log() + 0.01).mean()  # softplus(raw + ln(e - 1)) + 0.01
    error = (objective.reconstruct(features)["vector"] - rows["vector"]).square().sum(-1).mean()
    torch.testing.assert_close(loss, 0.5 * error + math.log(2 * math.pi) - value, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.autograd.grad(loss, found)[0], -torch.autograd.grad(value, alone)[0], atol=1e-6, rtol=1e-4)


def test_contrastive_network_starts_near_unit_deviation():
    objective, generator = made(REPRESENTATIONS["contrastive, states"])
    features, zero = torch.randn(LENGTH, BATCH, 6, generator=generator), torch.zeros(LENGTH, BATCH, EMBED)
    _, metrics = objective.loss(features, zero, {"vector": torch.zeros(LENGTH, BATCH, 2)})
    # Zero biases and a zero image: mean 0 and std softplus(ln(e - 1)) + 0.01 = 1.01 everywhere.
    mean, std = torch.zeros_like(features), torch.full_like(features, 1.01)
    torch.testing.assert_close(metrics["contrastive_objective"], contrast_states(features, mean, std).mean())
