"""Which rows of a sequence make a transition, and what SAC's two kinds of control ask for."""

import math

import pytest
import torch

from agents.behaviors.soft_actor_critic import ContinuousControl, DiscreteControl, Temperature, transitions
from agents.models.networks import initialize

LENGTH, BATCH, BURN_IN = 5, 2, 1


def drawn():
    generator = torch.Generator().manual_seed(0)
    batch = {
        "action": torch.randn(LENGTH, BATCH, 2, generator=generator),
        "reward": torch.randn(LENGTH, BATCH, generator=generator),
        "is_first": torch.zeros(LENGTH, BATCH),
        "is_terminal": torch.zeros(LENGTH, BATCH),
    }
    batch["is_terminal"][2, 0] = 1.0
    batch["is_first"][3, 0] = 1.0  # the next episode begins after the terminal row
    return torch.randn(LENGTH, BATCH, 4, generator=generator), batch


def test_a_transition_takes_action_reward_and_end_from_the_row_it_arrives_at():
    features, batch = drawn()
    data = transitions(features, batch, 0.9, BURN_IN)
    expected = [
        (
            features[t, b],
            batch["action"][t + 1, b],
            batch["reward"][t + 1, b],
            0.9 * (1 - batch["is_terminal"][t + 1, b]),
            features[t + 1, b],
            1 - batch["is_first"][t + 1, b],
        )
        for t in range(BURN_IN, LENGTH - 1)
        for b in range(BATCH)
    ]
    for tensor, column in zip(data, zip(*expected), strict=True):
        torch.testing.assert_close(tensor, torch.stack(column))
    assert data.discount.tolist().count(0.0) == 1
    assert data.weight.tolist().count(0.0) == 1


@pytest.mark.parametrize(("control", "entropy"), [(ContinuousControl(), -3.0), (DiscreteControl(), 0.98 * math.log(3))])
def test_target_entropy(control, entropy):
    assert control.target_entropy(3) == pytest.approx(entropy)


def test_temperature_starts_at_its_initial_value():
    module = Temperature(0.1)
    initialize(module, torch.Generator())
    assert module().exp().item() == pytest.approx(0.1)


def test_evaluation_is_the_squashed_mean_or_the_likeliest_choice():
    raw = torch.tensor([[0.3, -2.0, 5.0, 5.0]])
    torch.testing.assert_close(ContinuousControl().act(raw, None), torch.tensor([[0.3, -2.0]]).tanh())
    assert DiscreteControl().act(raw, None).tolist() == [[0.0, 0.0, 1.0, 0.0]]
