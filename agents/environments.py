"""S x E environments as one `TimeStep`. Episodes begin and end here; steps are not counted here.

NumPy only. The file is not in `suites`, because a TimeStep belongs to the agents' contract and suites know no agent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces

from agents.api import TimeStep


class Shown(Protocol):
    """What N lanes returned after a decision; see `suites.lanes.Stepped`."""

    @property
    def observation(self) -> dict[str, np.ndarray]: ...
    @property
    def reward(self) -> np.ndarray: ...
    @property
    def terminated(self) -> np.ndarray: ...
    @property
    def truncated(self) -> np.ndarray: ...


class Lanes(Protocol):
    """N environments that are stepped together: `suites.lanes.Lanes`, or `InThisProcess`."""

    observation_space: spaces.Dict
    action_space: spaces.Space

    def reset(self, seeds: Mapping[int, int]) -> dict[str, np.ndarray]: ...
    def step(self, actions: np.ndarray, lanes: np.ndarray | None = None) -> Shown: ...
    def close(self) -> None: ...


class Environments:
    """Environments of one task, [seeds, environments] of them, and their newest step.

    A lane that a call does not choose keeps its newest step. Every `TimeStep` owns its memory.
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
        """Begins an episode in the lanes of `chosen` [S, E], each with its seed in `seeds` [S, E]. Choose at least one."""
        flat = seeds.reshape(-1)
        self._arrive(self.lanes.reset({int(lane): int(flat[lane]) for lane in np.flatnonzero(chosen)}))
        self._reward[chosen] = 0.0
        self._is_first[chosen], self._is_last[chosen], self._is_terminal[chosen] = True, False, False
        return self._now()

    def step(self, action: np.ndarray, chosen: np.ndarray | None = None) -> TimeStep:
        """One decision, `action` [S, E, ...], in the lanes of `chosen` [S, E], or in all of them."""
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
        """[S, E] float64: the rewards of the last step, not rounded to float32, for scores."""
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


class InThisProcess:
    """The simplest lanes: existing environments that are stepped one after the other."""

    class Row(NamedTuple):
        observation: dict[str, np.ndarray]
        reward: np.ndarray
        terminated: np.ndarray
        truncated: np.ndarray

    def __init__(self, environments: Sequence[gymnasium.Env]) -> None:
        first = environments[0]
        assert isinstance(first.observation_space, spaces.Dict), first.observation_space
        self.environments = environments
        self.observation_space, self.action_space = first.observation_space, first.action_space
        self._shown: list[Mapping[str, np.ndarray]] = [{} for _ in environments]

    def reset(self, seeds: Mapping[int, int]) -> dict[str, np.ndarray]:
        for lane, seed in seeds.items():
            self._shown[lane] = self.environments[lane].reset(seed=seed)[0]
        return self._observation()

    def step(self, actions: np.ndarray, lanes: np.ndarray | None = None) -> Row:
        count = len(self.environments)
        reward, terminated, truncated = np.zeros(count), np.zeros(count, bool), np.zeros(count, bool)
        for lane in range(count) if lanes is None else np.flatnonzero(lanes).tolist():
            self._shown[lane], reward[lane], terminated[lane], truncated[lane], _ = self.environments[lane].step(actions[lane])
        return self.Row(self._observation(), reward, terminated, truncated)

    def close(self) -> None:
        for environment in self.environments:
            environment.close()

    def _observation(self) -> dict[str, np.ndarray]:
        return {key: np.array([shown[key] for shown in self._shown]) for key in self._shown[0]}
