"""Latent overshooting and the global prior against torch.distributions and a loop over single positions."""

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from agents.models.latents import Gaussian
from agents.models.overshooting import overshooting_kl

LENGTH, BATCH, STOCH, DISTANCE = 6, 2, 3, 3
KL = Gaussian(STOCH).divergence


def drawn():
    generator = torch.Generator().manual_seed(0)
    stoch, mean, raw = torch.randn(3, LENGTH, BATCH, STOCH, generator=generator)
    action = torch.randn(LENGTH, BATCH, STOCH, generator=generator)
    noise = torch.randn(DISTANCE, LENGTH, BATCH, STOCH, generator=generator)
    return {"stoch": stoch, "mean": mean, "std": 0.5 + raw.abs()}, action, noise


def linear_step(state, action, noise):
    mean = 0.7 * state["stoch"] + action
    std = 0.3 + 0.1 * state["stoch"].square()
    return {"stoch": mean + std * noise, "mean": mean, "std": std}


@pytest.mark.parametrize("free_nats", [0.0, 3.0])
def test_overshooting_equals_a_loop_over_positions(free_nats):
    posterior, action, noise = drawn()
    is_first = torch.zeros(LENGTH, BATCH)
    is_first[0] = 1.0
    is_first[3, 1] = 1.0  # a new episode inside the second sequence
    values = []
    for b in range(BATCH):
        for start in range(LENGTH):
            state = {key: leaf[start, b] for key, leaf in posterior.items()}
            for d in range(1, DISTANCE + 1):
                t = start + d
                if t >= LENGTH or is_first[t, b]:
                    break
                state = linear_step(state, action[t, b], noise[d - 1, start, b])
                if d >= 2:
                    reached = Independent(Normal(posterior["mean"][t, b], posterior["std"][t, b]), 1)
                    prior = Independent(Normal(state["mean"], state["std"]), 1)
                    values.append(max(0.0, kl_divergence(reached, prior).item() - free_nats))
    result = overshooting_kl(linear_step, KL, posterior, action, is_first, noise, free_nats)
    assert result.item() == pytest.approx(sum(values) / len(values), rel=1e-5)


def test_the_posterior_is_pulled_only_as_a_start_never_as_a_goal():
    posterior, action, noise = drawn()
    posterior = {key: leaf.requires_grad_() for key, leaf in posterior.items()}
    overshooting_kl(linear_step, KL, posterior, action, torch.zeros(LENGTH, BATCH), noise, 0.0).backward()
    assert posterior["mean"].grad is None  # linear_step reads "stoch" alone: "mean" is only ever a goal
    assert posterior["stoch"].grad[: LENGTH - 2].abs().sum() > 0
    assert posterior["stoch"].grad[LENGTH - 2 :].abs().sum() == 0


def test_a_distance_that_does_not_fit_is_refused_in_one_line():
    posterior, action, noise = drawn()
    short = {key: leaf[:3] for key, leaf in posterior.items()}
    with pytest.raises(ValueError, match="from 2 to 2 fits sequences of 3 rows, got 3"):
        overshooting_kl(linear_step, KL, short, action[:3], torch.zeros(3, BATCH), noise, 0.0)
