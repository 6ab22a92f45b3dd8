"""The one step of every loop in which an agent trains: act, step, observe, begin anew where an episode ended, observe again.

NumPy only. Who owns the environments, counts and records is the caller's affair: two functions come in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from agents.api import Carry, TimeStep


class Interacts(Protocol):
    """Of `agents.api.Agent` what a decision needs."""

    def act(self, carry: Carry, step: TimeStep, *, explore: bool) -> tuple[np.ndarray, Carry]: ...
    def observe(self, action: np.ndarray, step: TimeStep, lanes: np.ndarray) -> None: ...


class Decided(NamedTuple):
    """One decision in every environment: what was done, and where that led.

    arrived  what the action led to
    step     what is shown now: the same, with new episodes where others ended
    """

    action: np.ndarray
    carry: Carry
    arrived: TimeStep
    step: TimeStep


def begin(agent: Interacts, action: np.ndarray, step: TimeStep) -> None:
    """Shows an agent the first observations; `action` are zeros of the actions' shape."""
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

    advance  actions [S, E, ...] -> where they led
    restart  that step -> the same with new episodes where `is_last`; called where there are any
    """
    action, carry = agent.act(carry, step, explore=True)
    arrived = now = advance(action)
    agent.observe(action, arrived, np.ones(arrived.is_last.shape, bool))
    if arrived.is_last.any():
        now = restart(arrived)
        agent.observe(action, now, arrived.is_last)
    return Decided(action, carry, arrived, now)
