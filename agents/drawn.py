"""Random observations and actions from an agent's spaces: its input where its cost or its results are measured. NumPy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gymnasium import spaces

from agents.api import AgentContext, TimeStep

Observe = Callable[[np.ndarray, TimeStep, np.ndarray], None]


class Drawn:
    """Random observations and actions: the same for every environment of every seed, or different ones.

    apart   different ones
    frames  observations that are drawn at the beginning and then shown in turn, so that a timing contains no drawing of images
    """

    def __init__(self, context: AgentContext, *, frames: int = 1, apart: bool = False) -> None:
        self.shape, self.space, self.apart = (len(context.seeds), context.num_envs), context.action_space, apart
        context.observation_space.seed(0)
        context.action_space.seed(0)
        self.frames = [
            {key: self._sample(space) for key, space in context.observation_space.spaces.items()} for _ in range(frames)
        ]
        self.shown = 0

    def step(self, *, is_first: bool = False, is_last: bool = False) -> TimeStep:
        """The next frame, with reward 0."""
        frame = self.frames[self.shown % len(self.frames)]
        self.shown += 1
        return TimeStep(
            frame,
            np.zeros(self.shape, np.float32),
            np.full(self.shape, is_first),
            np.full(self.shape, is_last),
            np.zeros(self.shape, bool),
        )

    def action(self) -> np.ndarray:
        return self._sample(self.space)

    def feed(self, observe: Observe, rows: int, *, episodes: int = 1) -> None:
        """Shows an agent complete episodes of `rows` rows, with random actions; `observe` is its method."""
        for row in [*range(rows)] * episodes:
            step = self.step(is_first=row == 0, is_last=row == rows - 1)
            observe(self.action(), step, np.ones(self.shape, bool))

    def _sample(self, space: spaces.Space) -> np.ndarray:
        if self.apart:
            return np.array([[space.sample() for _ in range(self.shape[1])] for _ in range(self.shape[0])])
        value = np.asarray(space.sample())
        return np.broadcast_to(value, (*self.shape, *value.shape)).copy()
