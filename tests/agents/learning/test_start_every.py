"""Imagining from some rows of a batch: which rows, and how many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.behaviors.api import Sizes
from agents.models.latents import NoiseSpec
from agents.recipes import dreamer, no_value, planet, sac

STATE = spaces.Dict({"vector": spaces.Box(-1, 1, (3,), np.float32)})


@pytest.mark.parametrize(
    ("ends", "every", "length", "rows"),
    [(False, 1, 4, [0, 1, 2, 3]), (True, 1, 4, [0, 1, 2]), (False, 3, 7, [2, 5]), (True, 3, 7, [2, 5]), (True, 3, 6, [2])],
)
def test_the_last_of_every_so_many_rows_is_imagined_from(ends, every, length, rows):
    options = dreamer.Options(start_every=every, predict_discount=ends, deter=2, model_hidden=2, hidden=2, stoch=1)
    model = options.world_model(STATE)(1)
    state = {"deter": torch.arange(length)[:, None, None].expand(length, 5, 1)}  # [T, B, 1], each row its number
    found = model.starts(state, torch.zeros(length, 5))["deter"]
    assert found.flatten().tolist() == [row for row in rows for _ in range(5)]
    sizes = Sizes(
        features=3, action=1, discrete=False, latent=NoiseSpec("normal", (1,)), has_discount=ends, start_every=model.start_every
    )
    assert sizes.starts(length, 5) == len(found)


@pytest.mark.parametrize(("every", "rows"), [(1, [0, 2, 2, 3, 4]), (2, [2, 3])])
def test_a_terminal_row_starts_no_dream_the_first_of_the_next_episode_does(every, rows):
    """Six rows that ran on: o0 and the terminal o1 of a short episode, and the next from row 2 on, which ends in row 5."""
    options = dreamer.Options(start_every=every, predict_discount=True, deter=2, model_hidden=2, hidden=2, stoch=1)
    model = options.world_model(STATE)(1)
    is_terminal = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 1.0])[:, None]
    state = {"deter": torch.arange(6)[:, None, None], "stoch": torch.arange(6)[:, None, None] * 10}
    found = model.starts(state, is_terminal)
    assert found["deter"].flatten().tolist() == rows
    assert found["stoch"].flatten().tolist() == [10 * row for row in rows]


def test_no_row_to_imagine_from_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"start_every must be below batch_length \(16\), got 16"):
        dreamer.Options(batch_length=16, start_every=16)


def test_the_small_profile_is_one_world_model_for_all():
    models = [recipe.PROFILES["small"].world_model(STATE)(1) for recipe in (dreamer, no_value, planet, sac)]
    shapes = [{name: tuple(value.shape) for name, value in model.named_parameters()} for model in models]
    assert shapes[0] == shapes[1] == shapes[2] == shapes[3]
    schedules = [recipe.PROFILES["small"].schedule() for recipe in (dreamer, no_value, planet, sac)]
    assert len(set(schedules)) == 1
