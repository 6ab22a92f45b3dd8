"""The bench that claims about an agent are watched on: streams of one kind of task, and fresh agents for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agents.api import Agent, AgentContext
from agents.catalog import AgentEntry
from agents.conformance.side_by_side import Follower, Stream, together

SEEDS = (3, 4)
DECISIONS = 48
"""Decisions per claim: six episodes of the probe, in which the shortened schedule learns."""


@dataclass(frozen=True)
class Laboratory:
    """Builds what a claim needs: streams of one kind of task, and new agents for it."""

    entry: AgentEntry
    options: Any
    make: Callable[[], gymnasium.Env]

    def stream(self, *, seeds: Sequence[int] = SEEDS, num_envs: int = 1, purpose: int = 0) -> Stream:
        return Stream(self.make, len(seeds), num_envs, purpose)

    def build(self, *, seeds: Sequence[int] = SEEDS, num_envs: int = 1, replays: Sequence[Path] | None = None) -> Agent:
        environment = self.make()
        context = AgentContext(
            observation_space=environment.observation_space,  # type: ignore[arg-type]
            action_space=environment.action_space,
            seeds=tuple(seeds),
            num_envs=num_envs,
            action_repeat=1,
            budget_env_steps=10_000,
            replay_folders=None if replays is None else tuple(replays),
        )
        environment.close()
        return self.entry.build(self.options, context)

    def gradient_steps(self) -> int:
        """Gradient steps of an agent during the check of a claim."""
        follower = self.follower()
        together(self.stream(), [follower], DECISIONS)
        return follower.gradient_steps

    def follower(self, *, seeds: Sequence[int] = SEEDS, replays: Sequence[Path] | None = None) -> Follower:
        agent = self.build(seeds=seeds, replays=replays)
        return Follower(agent=agent, carry=agent.initial(1), seeds=len(seeds))


def misfit(action: Any, shape: tuple[int, int], space: spaces.Space) -> str:
    if not isinstance(action, np.ndarray):
        return f"actions are a {type(action).__name__}, expected a NumPy array"
    if isinstance(space, spaces.Discrete):
        if action.shape != shape or action.dtype != np.int64:
            return f"actions are {action.dtype} {action.shape}, expected int64 {shape}"
        return "" if ((action >= 0) & (action < space.n)).all() else f"an action lies outside 0 to {space.n - 1}"
    expected = (*shape, *(space.shape or ()))
    if action.shape != expected or action.dtype != np.float32:
        return f"actions are {action.dtype} {action.shape}, expected float32 {expected}"
    return "" if (np.abs(action) <= 1).all() else "an action lies outside [-1, 1]"
