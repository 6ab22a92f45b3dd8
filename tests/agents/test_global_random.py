"""Libraries that draw from global generators, tamed: their draws depend on a key alone, and nothing outside is disturbed."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from agents.global_random import seeded


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002


def interrupted() -> None:
    with seeded(5):
        draws()
        raise ZeroDivisionError


def test_draws_inside_are_a_function_of_the_key_alone():
    with seeded(3, 1, 7):
        first = draws()
    draws()
    with seeded(3, 1, 7):
        assert draws() == first
    for other in ((3, 1, 8), (3, 2, 7), (4, 1, 7)):
        with seeded(*other):
            assert not set(draws()) & set(first)


def test_the_generators_outside_go_on_as_if_nothing_had_been_drawn_also_after_an_error():
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
    undisturbed = [draws(), draws()]
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
    seen = [draws()]
    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert [*seen, draws()] == undisturbed
