"""S x E environments as one `TimeStep`: episodes begin and end here, and nothing is counted here."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from agents.api import TimeStep
from suites.workers import Lanes


class Stage:
    """Environments of one task, [seeds, environments] of them, and what they show now.

    A lane that is not named in a call keeps showing what it showed. Every `TimeStep` owns its memory.
    """

    def __init__(self, lanes: Lanes, num_seeds: int, num_envs: int) -> None:
        self.lanes = lanes
        self.observation_space: spaces.Dict = lanes.observation_space
        self.action_space = lanes.action_space
        self.shape = (num_seeds, num_envs)
        self._observation: dict[str, np.ndarray] = {}
        self._reward = np.zeros(self.shape, np.float64)
        self._is_first = np.zeros(self.shape, bool)
        self._is_last = np.zeros(self.shape, bool)
        self._is_terminal = np.zeros(self.shape, bool)

    def reset(self, chosen: np.ndarray, seeds: np.ndarray) -> TimeStep:
        """Begins an episode in the lanes of `chosen` [S, E], each with its seed of `seeds` [S, E]. At least one is chosen."""
        flat = seeds.reshape(-1)
        self._arrive(self.lanes.reset({int(lane): int(flat[lane]) for lane in np.flatnonzero(chosen)}))
        self._reward[chosen] = 0.0
        self._is_first[chosen], self._is_last[chosen], self._is_terminal[chosen] = True, False, False
        return self._now()

    def step(self, action: np.ndarray, chosen: np.ndarray | None = None) -> TimeStep:
        """One decision [S, E, ...] in the lanes of `chosen` [S, E], or in all."""
        stepped = np.ones(self.shape, bool) if chosen is None else chosen
        shown = self.lanes.step(action.reshape(-1, *action.shape[2:]), stepped.reshape(-1))
        self._arrive(shown.observation)
        terminated, truncated = shown.terminated.reshape(self.shape), shown.truncated.reshape(self.shape)
        self._reward = np.where(stepped, shown.reward.reshape(self.shape), self._reward)
        self._is_first = self._is_first & ~stepped
        self._is_terminal = np.where(stepped, terminated, self._is_terminal)
        self._is_last = np.where(stepped, terminated | truncated, self._is_last)
        return self._now()

    @property
    def reward(self) -> np.ndarray:
        """[S, E] float64: the rewards of the last step as the environments gave them, for scores."""
        return self._reward

    def close(self) -> None:
        self.lanes.close()

    def _now(self) -> TimeStep:
        return TimeStep(
            observation=dict(self._observation),
            reward=self._reward.astype(np.float32),
            is_first=self._is_first.copy(),
            is_last=self._is_last.copy(),
            is_terminal=self._is_terminal.copy(),
        )

    def _arrive(self, observation: dict[str, np.ndarray]) -> None:
        self._observation = {key: value.reshape(*self.shape, *value.shape[1:]) for key, value in observation.items()}
