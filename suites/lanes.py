"""Many environments of one task stepped together: in this process, or in worker processes.

Both ways run the same code on the same rows, so their results are equal to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from dreamer_bench_base import UserError
from suites import catalog
from suites.in_process import InProcess
from suites.workers import Workers


class Stepped(NamedTuple):
    """What N lanes returned; the arrays belong to the caller.

    observation  each [N, ...]
    reward       [N] float64, summed over the action repeat; 0 where a lane was not stepped
    terminated   [N] bool, the task ended
    truncated    [N] bool, the time limit was reached
    """

    observation: dict[str, np.ndarray]
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


class Lanes:
    """`count` environments of one task, stepped together. They do not reset by themselves.

    task     a name of the catalog (`options` are then those of `catalog.make`), or a function that makes an environment, which
             must be picklable with workers
    count    number of lanes N
    workers  0: in this process; otherwise the number of processes that share the lanes (at most one per lane)
    """

    def __init__(self, task: str | Callable[[], gymnasium.Env], count: int, *, workers: int = 0, **options: Any) -> None:
        if count < 1:
            raise UserError(f"lanes: at least one environment is needed, not {count}")
        if workers < 0:
            raise UserError(f"lanes: workers is 0 (this process) or a number of processes, not {workers}")
        if callable(task) and options:
            raise UserError(f"lanes: options {sorted(options)} go with a task's name; a function makes its environment whole")
        make = task if callable(task) else partial(catalog.make, task, **options)
        self.count = count
        self._team: InProcess | Workers = (
            Workers(make, count, min(workers, count)) if workers else InProcess(make, range(count))
        )
        self.observation_space, self.action_space = self._team.observation_space, self._team.action_space
        self._asked: list[int] | None = None

    @property
    def environments(self) -> list[gymnasium.Env]:
        """The environments themselves if they are in this process; empty with workers."""
        return list(self._team.environments.values())

    def reset(self, seeds: Mapping[int, int] | Sequence[int]) -> dict[str, np.ndarray]:
        """Starts new episodes: lane -> seed, or one seed per lane. Returns the current observations of all lanes, [N, ...]."""
        given = dict(seeds) if isinstance(seeds, Mapping) else dict(enumerate(seeds))
        enough = bool(given) if isinstance(seeds, Mapping) else len(given) == self.count
        if not enough or not set(given) <= set(range(self.count)):
            raise UserError(f"lanes: reset takes one seed for each of {self.count} lanes, or lane -> seed, not {seeds!r}")
        self._idle()
        self._team.ask("reset", {lane: int(seed) for lane, seed in given.items()})
        self._team.wait()
        return {key: rows.copy() for key, rows in self._team.rows.observation.items()}

    def step(self, actions: np.ndarray, lanes: np.ndarray | None = None) -> Stepped:
        """One decision in every lane, or in those of the mask [N]; `actions` is [N, A] float32 or [N] integers."""
        self.send(actions, lanes)
        return self.receive()

    def send(self, actions: np.ndarray, lanes: np.ndarray | None = None) -> None:
        """Starts `step`. With workers, this process can do other work until `receive`."""
        self._idle()
        rows = self._team.rows
        if np.shape(actions) != rows.action.shape:
            raise UserError(f"lanes: actions have the shape {rows.action.shape}, not {np.shape(actions)}")
        rows.action[:] = actions
        self._asked = list(range(self.count)) if lanes is None else np.flatnonzero(lanes).tolist()
        self._team.ask("step", dict.fromkeys(self._asked, 0))

    def receive(self) -> Stepped:
        """The result of the last `send`."""
        if self._asked is None:
            raise RuntimeError("lanes: receive follows send")
        asked, self._asked = self._asked, None
        self._team.wait()
        rows = self._team.rows
        chosen = np.zeros(self.count, bool)
        chosen[asked] = True
        return Stepped(
            {key: value.copy() for key, value in rows.observation.items()},
            np.where(chosen, rows.reward, 0.0),
            chosen & rows.terminated,
            chosen & rows.truncated,
        )

    def close(self) -> None:
        """Closes all environments and ends the workers. May be called twice."""
        self._team.close()

    def _idle(self) -> None:
        if self._asked is not None:
            raise RuntimeError("lanes: send was called and its receive is still due")
