"""Sequence replay of one seed: a lane of rows per environment, in the arrival convention (agents/api.py). NumPy only.

A row is one TimeStep with the action that led to it; lane.py keeps the rows of one environment. With a capacity, replay drops
the oldest episodes. Sources: docs/algorithms/dreamer.md §9 (TF2), with the last start included (§12 row 12).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from agents.api import REPLAY_RESIDENT_BYTES
from agents.learning.lane import Lane


class Replay:
    """All lanes of one seed. Samples only sequences that start in a completed episode.

    observation     shape and dtype by key
    action          width of the stored action (one-hot if discrete)
    folder          folder for rows that are too many for memory; None keeps them in memory
    resident_bytes  most bytes of the process's resident set that rows in files may take, all lanes together
    capacity        most rows of all lanes. When an episode ends and there are more, the oldest whole episodes are dropped, but
                    never the newest one. None: nothing is dropped
    shortest        rows of the shortest episode that may be sampled
    """

    def __init__(
        self,
        observation: Mapping[str, tuple[tuple[int, ...], np.dtype]],
        action: int,
        num_envs: int,
        folder: Path | None = None,
        resident_bytes: int = REPLAY_RESIDENT_BYTES,
        *,
        capacity: int | None = None,
        shortest: int = 1,
    ):
        self.capacity, self.shortest = capacity, shortest
        self.row = np.dtype(
            [
                ("action", np.float32, (action,)),
                ("reward", np.float32),
                ("is_first", np.float32),
                ("is_terminal", np.float32),
                *((key, dtype, shape) for key, (shape, dtype) in observation.items()),
            ]
        )
        self.keys = tuple(self.row.names or ())
        self.lanes = []
        for number in range(num_envs):
            place = None if folder is None else folder / f"lane-{number}"
            if place is not None:
                place.mkdir(parents=True, exist_ok=True)
            self.lanes.append(Lane(self.row, place, resident_bytes // num_envs))
        self._open = [0] * num_envs  # first row of the current episode, per lane
        self._episodes: list[tuple[int, int, int]] = []  # (lane, first row, rows), in order of completion
        self._used_lanes: set[int] = set()

    @property
    def episodes(self) -> int:
        """Number of completed episodes."""
        return len(self._episodes)

    def add(
        self,
        lane: int,
        action: np.ndarray,
        observation: Mapping[str, np.ndarray],
        reward: float,
        is_first: bool,
        is_last: bool,
        is_terminal: bool,
    ) -> None:
        """Adds a row; action and reward are stored as 0 where is_first. An episode is sampled only after its is_last."""
        rows = self.lanes[lane].rows
        if is_first:
            self._open[lane] = rows
        self.lanes[lane].append(
            {
                "action": 0.0 if is_first else action,
                "reward": 0.0 if is_first else reward,
                "is_first": is_first,
                "is_terminal": is_terminal,
                **observation,
            }
        )
        if is_last and rows + 1 - self._open[lane] >= self.shortest:
            self._episodes.append((lane, self._open[lane], rows + 1 - self._open[lane]))
            self._used_lanes.add(lane)
        if is_last and self.capacity is not None:
            self._drop_oldest(self.capacity)

    def _drop_oldest(self, capacity: int) -> None:
        while len(self._episodes) > 1 and sum(lane.rows - lane.first for lane in self.lanes) > capacity:
            number = self._episodes.pop(0)[0]
            ahead = (first for lane, first, _ in self._episodes if lane == number)
            self.lanes[number].drop(next(ahead, self._open[number]))
            self._used_lanes = {lane for lane, _, _ in self._episodes}

    def ready(self, length: int) -> bool:
        """Whether there is a completed episode, and every completed episode allows a sequence of `length` rows."""
        used = [self.lanes[number] for number in self._used_lanes]
        return bool(used) and all(lane.rows - lane.first >= length for lane in used)

    def sample(self, generator: np.random.Generator, out: Mapping[str, np.ndarray], *, balance_ends: bool = False) -> None:
        """Fills out[key] [L, B, ...] with the sequences of `choose`."""
        length, sequences = out["reward"].shape
        chosen = [
            (self.lanes[lane], int(start))
            for lane, start in zip(*self.choose(generator, length, sequences, balance_ends=balance_ends))
        ]
        for lane, start in chosen:  # request all of them before waiting, because a disk serves many requests at a time
            lane.expect(start, length)
        for b, (lane, start) in enumerate(chosen):
            lane.read(start, {key: out[key][:, b] for key in self.keys})

    def choose(
        self, generator: np.random.Generator, length: int, sequences: int, *, balance_ends: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lanes [B] and first rows [B] of B sequences of L rows.

        Draws an episode uniformly, independent of its length, then a start uniformly from {0 .. rows - L}. A sequence of a
        shorter episode continues in the rows after it in its lane (or begins before it, at the end of a lane); is_first marks
        where the next episode begins.
        balance_ends: start = min(uniform {0 .. rows - 1}, rows - L), which draws the ends of episodes more often.
        """
        chosen = generator.integers(0, len(self._episodes), sequences)
        position = generator.random(sequences)
        lanes, starts = np.empty(sequences, np.int64), np.empty(sequences, np.int64)
        for b in range(sequences):
            lane, first, rows = self._episodes[chosen[b]]
            latest = max(rows - length, 0)
            offset = min(int(position[b] * rows), latest) if balance_ends else int(position[b] * (latest + 1))
            lanes[b], starts[b] = lane, min(first + offset, self.lanes[lane].rows - length)
        return lanes, starts

    def state(self) -> dict:
        """All that decides future sampling, as plain numbers. The rows themselves are saved separately, or in their files."""
        for lane in self.lanes:
            lane.settle()
        return {
            "first": [lane.first for lane in self.lanes],
            "rows": [lane.rows for lane in self.lanes],
            "open": list(self._open),
            "episodes": [list(episode) for episode in self._episodes],
            "hashes": [lane.hashes() for lane in self.lanes],
        }

    def restore(self, state: Mapping) -> None:
        """Restores `state` and drops rows that were added after it. The rows must already be there."""
        hashes = state.get("hashes", [None] * len(self.lanes))
        for lane, rows, first, known in zip(self.lanes, state["rows"], firsts(state), hashes):
            lane.truncate(rows, first, known)
        self._open = list(state["open"])
        self._episodes = [(lane, first, rows) for lane, first, rows in state["episodes"]]
        self._used_lanes = {lane for lane, _, _ in self._episodes}


def firsts(state: Mapping) -> Sequence[int]:
    """The first row of every lane in a result of `Replay.state`; older states do not have it, and it is 0."""
    return state.get("first", [0] * len(state["rows"]))
