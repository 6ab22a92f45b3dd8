"""Batches from replay on the learner's device, [S, L, B, ...]; images stay uint8 until the networks read them.

As long as the rows fit on a GPU, they are also kept there, and a batch is gathered on the GPU. Otherwise batches are read into
two pinned buffers in turn and copied while the device still works on the batch before. The replay alone decides which rows are
drawn, so both ways give the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from agents.learning.lane import Lane
from agents.learning.replay import Replay

SHARE_OF_FREE_MEMORY = 0.6
"""Share of a GPU's free memory for replay rows; the activations of five seeds at the paper's size need the rest. Reasoned, not
measured."""
ROWS_AT_ONCE = 4096
SPARE_ROWS = 1.05
"""Rows per decision: every episode adds the row of its reset, so episodes of at least 20 decisions fit. With a capacity: what
the current episode adds to it."""


class Batches(Protocol):
    """Source of batches. Between two calls rows may be added to the replay, but not changed."""

    def take(self, generators: Sequence[np.random.Generator]) -> dict[str, Tensor]:
        """A batch per seed, drawn with the generator of that seed. The tensors are valid until the next `take`."""


def batches(
    replays: Sequence[Replay],
    *,
    length: int,
    sequences: int,
    balance_ends: bool,
    device: torch.device,
    decisions: int,
    update_bytes: int = 0,
) -> Batches:
    """The fastest kind of batches for the device.

    decisions     decisions of one environment, over the whole run
    update_bytes  memory that updates will take on the device
    """
    host = HostBatches(replays, length, sequences, balance_ends, device)
    if device.type != "cuda":
        return host
    rows = min([decisions, *(replay.capacity for replay in replays if replay.capacity is not None)])
    capacity = int(rows * SPARE_ROWS) + 1
    needed = sum(len(replay.lanes) * capacity * replay.row.itemsize for replay in replays)
    free, _ = torch.cuda.mem_get_info(device)
    if not rows_fit(needed, free, update_bytes):
        return host
    return DeviceBatches(replays, length, sequences, balance_ends, device, capacity=capacity, otherwise=lambda: host)


def rows_fit(needed: int, free: int, update_bytes: int) -> bool:
    """Whether rows of `needed` bytes fit on a device together with the updates."""
    return needed <= min(SHARE_OF_FREE_MEMORY * free, free - update_bytes)


class HostBatches:
    """Batches from rows that stay where replay keeps them."""

    def __init__(self, replays: Sequence[Replay], length: int, sequences: int, balance_ends: bool, device: torch.device):
        self.replays, self.device, self.balance_ends = replays, device, balance_ends
        cuda = device.type == "cuda"
        self._buffers = [_empty(replays, length, sequences, torch.device("cpu"), pinned=cuda) for _ in range(2 if cuda else 1)]
        self._copied = [torch.cuda.Event() for _ in self._buffers] if cuda else []
        self._turn = 0

    def take(self, generators: Sequence[np.random.Generator]) -> dict[str, Tensor]:
        buffer = self._buffers[self._turn]
        if self._copied:
            self._copied[self._turn].synchronize()  # the copy before the last one, which is long done
        for s, (replay, generator) in enumerate(zip(self.replays, generators)):
            replay.sample(generator, {key: tensor[s].numpy() for key, tensor in buffer.items()}, balance_ends=self.balance_ends)
        found = {key: tensor.to(self.device, non_blocking=True) for key, tensor in buffer.items()}
        if self._copied:
            self._copied[self._turn].record()
            self._turn = 1 - self._turn
        return found


class DeviceBatches:
    """Batches from a copy of all rows on the device, which is updated before a batch is drawn. Row r is at r modulo `capacity`.

    capacity   rows per environment; if replay keeps more of them, batches come from `otherwise`
    """

    def __init__(
        self,
        replays: Sequence[Replay],
        length: int,
        sequences: int,
        balance_ends: bool,
        device: torch.device,
        *,
        capacity: int,
        otherwise: Callable[[], Batches],
    ):
        self.replays, self.device, self.balance_ends = replays, device, balance_ends
        self.length, self.sequences, self.capacity = length, sequences, capacity
        self._otherwise, self._instead = otherwise, None
        self._rows = [
            {
                key: torch.empty(len(replay.lanes) * capacity, *replay.row[key].shape, dtype=_dtype(replay, key), device=device)
                for key in replay.keys
            }
            for replay in replays
        ]
        self._known = [[0] * len(replay.lanes) for replay in replays]
        self._batch = _empty(replays, length, sequences, device)

    _instead: Batches | None

    def take(self, generators: Sequence[np.random.Generator]) -> dict[str, Tensor]:
        kept = max(lane.rows - lane.first for replay in self.replays for lane in replay.lanes)
        if self._instead is None and kept > self.capacity:
            self._rows, self._instead = [], self._otherwise()
        if self._instead is not None:
            return self._instead.take(generators)
        for s, (replay, generator) in enumerate(zip(self.replays, generators)):
            for number, lane in enumerate(replay.lanes):
                self._catch_up(s, number, lane)
            lanes, starts = replay.choose(generator, self.length, self.sequences, balance_ends=self.balance_ends)
            places = lanes * self.capacity + (np.arange(self.length)[:, None] + starts) % self.capacity
            index = _on(torch.from_numpy(places.reshape(-1)), self.device)
            for key, rows in self._rows[s].items():
                torch.index_select(rows, 0, index, out=self._batch[key][s].flatten(0, 1))
        return self._batch

    def _catch_up(self, s: int, number: int, lane: Lane) -> None:
        """Copies the rows that were added since the last call, without waiting."""
        self._known[s][number] = max(self._known[s][number], lane.first)
        while (known := self._known[s][number]) < lane.rows:
            place = known % self.capacity
            count = min(ROWS_AT_ONCE, lane.rows - known, self.capacity - place)
            place += number * self.capacity
            part = {key: np.empty((count, *lane.row[key].shape), lane.row[key].base) for key in self._rows[s]}
            lane.expect(known, count)
            lane.read(known, part)
            for key, rows in self._rows[s].items():
                rows[place : place + count].copy_(_on(torch.from_numpy(part[key]), self.device))
            self._known[s][number] += count


def _on(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies without waiting. torch owns the pinned memory and reuses it only after the copy."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _dtype(replay: Replay, key: str) -> torch.dtype:
    return torch.uint8 if replay.row[key].base == np.uint8 else torch.float32


def _empty(
    replays: Sequence[Replay], length: int, sequences: int, device: torch.device, *, pinned: bool = False
) -> dict[str, Tensor]:
    return {
        key: torch.empty(
            len(replays),
            length,
            sequences,
            *replays[0].row[key].shape,
            dtype=_dtype(replays[0], key),
            device=device,
            pin_memory=pinned,
        )
        for key in replays[0].keys
    }
