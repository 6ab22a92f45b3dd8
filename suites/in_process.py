"""Lanes whose environments are in this process, and the rows that pass between lanes and their caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamer_bench_base import UserError


class Rows:
    """One row per lane of all data between lanes and their caller, in ordinary or shared memory."""

    def __init__(
        self,
        count: int,
        observation_space: spaces.Dict,
        action_space: spaces.Space,
        allocate: Callable[[tuple[int, ...], Any], np.ndarray],
    ) -> None:
        self.observation = {
            key: allocate((count, *part.shape), part.dtype)  # type: ignore[misc]
            for key, part in observation_space.spaces.items()
        }
        self.action = allocate((count, *action_space.shape), action_space.dtype)  # type: ignore[misc]
        self.reward = allocate((count,), np.float64)
        self.terminated = allocate((count,), bool)
        self.truncated = allocate((count,), bool)


class InProcess:
    """Lanes whose environments are in this process: all of them without workers, some of them inside a worker."""

    def __init__(self, make: Callable[[], gymnasium.Env], lanes: Sequence[int]) -> None:
        self.environments = {lane: make() for lane in lanes}
        first = self.environments[lanes[0]]
        if not isinstance(first.observation_space, spaces.Dict):
            raise UserError(f"lanes: observations are a Dict space, not {first.observation_space}; see suites.conformance")
        self.observation_space, self.action_space = first.observation_space, first.action_space
        self.rows = Rows(len(lanes), self.observation_space, self.action_space, np.zeros)
        self._asked: tuple[str, dict[int, int]] = ("step", {})

    def ask(self, verb: str, lanes: dict[int, int]) -> None:
        """Requests "reset" with lane -> seed, or "step" with lane -> 0; `wait` does the work."""
        self._asked = (verb, lanes)

    def wait(self) -> None:
        verb, lanes = self._asked
        for lane, seed in lanes.items():
            (self._reset if verb == "reset" else self._step)(lane, seed)

    def _reset(self, lane: int, seed: int) -> None:
        observation, _ = self.environments[lane].reset(seed=seed)
        self._show(lane, observation)

    def _step(self, lane: int, _: int) -> None:
        action = np.array(self.rows.action[lane])
        observation, reward, terminated, truncated, _info = self.environments[lane].step(action if action.ndim else action[()])
        self.rows.reward[lane], self.rows.terminated[lane], self.rows.truncated[lane] = reward, terminated, truncated
        self._show(lane, observation)

    def _show(self, lane: int, observation: Mapping[str, np.ndarray]) -> None:
        for key, rows in self.rows.observation.items():
            rows[lane] = observation[key]

    def close(self) -> None:
        for environment in self.environments.values():
            environment.close()
        self.environments = {}
