"""The step of every loop in which an agent trains: act, step, observe, reset ended episodes, observe again.

NumPy only. The caller owns the environments, counts and records, and passes in two functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from agents.api import Carry, TimeStep


class Interacts(Protocol):
    """The part of `agents.api.Agent` that a decision needs."""

    def act(self, carry: Carry, step: TimeStep, *, explore: bool) -> tuple[np.ndarray, Carry]: ...
    def observe(self, action: np.ndarray, step: TimeStep, lanes: np.ndarray) -> None: ...


class Decided(NamedTuple):
    """One decision in every environment, and where it led.

    arrived  the step that the action led to
    step     the newest step: `arrived`, with the first step of a new episode where an episode ended
    """

    action: np.ndarray
    carry: Carry
    arrived: TimeStep
    step: TimeStep


def begin(agent: Interacts, action: np.ndarray, step: TimeStep) -> None:
    """Shows an agent the first observations; `action` is zeros in the shape of the actions."""
    agent.observe(action, step, np.ones(step.is_first.shape, bool))


def interact(
    agent: Interacts,
    carry: Carry,
    step: TimeStep,
    *,
    advance: Callable[[np.ndarray], TimeStep],
    restart: Callable[[TimeStep], TimeStep],
) -> Decided:
    """One decision of a training agent.

    advance  actions [S, E, ...] -> the step that they led to
    restart  that step -> the same with new episodes where `is_last`; called only if an episode ended
    """
    action, carry = agent.act(carry, step, explore=True)
    arrived = now = advance(action)
    agent.observe(action, arrived, np.ones(arrived.is_last.shape, bool))
    if arrived.is_last.any():
        now = restart(arrived)
        agent.observe(action, now, arrived.is_last)
    return Decided(action, carry, arrived, now)
