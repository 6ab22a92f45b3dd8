"""agent.pt, one per seed: the part of a checkpoint that an agent with a world model writes besides its replay's files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dreamer_bench_base import UserError
from dreamer_bench_weights import check_weights

CHECKPOINT = "agent.pt"


@dataclass(frozen=True)
class Carry:
    """Recurrent state [S, E, ...] and last action [S, E, A], and the position in the noise of this stream."""

    state: dict[str, Tensor]
    action: Tensor
    stream: int
    position: int


def write(folder: Path, kept: Mapping[str, Any], carry: Carry, s: int) -> None:
    """Writes the state of one seed, with its share of the carry."""
    whole = {
        **kept,
        "carry": {
            "state": {name: tensor[s].cpu().clone() for name, tensor in carry.state.items()},
            "action": carry.action[s].cpu().clone(),
            "stream": carry.stream,
            "position": carry.position,
        },
    }
    data = io.BytesIO()  # with Python's writer a full disk is an OSError; torch's own writer raises a RuntimeError
    torch.save(whole, data)
    (folder / CHECKPOINT).write_bytes(data.getbuffer())


def read(folder: Path) -> dict[str, Any]:
    """The content that `write` saved, including "carry". Raises UserError if the folder has no agent.pt."""
    path = folder / CHECKPOINT
    if not path.exists():
        raise UserError(
            f"{folder} holds no checkpoint of this agent ({CHECKPOINT} is missing); name a folder that `save` wrote"
        )
    check_weights(path)  # for every file, also our own
    return torch.load(path, map_location="cpu", weights_only=True)


def joined(carries: Sequence[Mapping[str, Any]], device: torch.device) -> Carry:
    """The carry of a cohort from those of its seeds."""
    return Carry(
        {name: torch.stack([carry["state"][name] for carry in carries]).to(device) for name in carries[0]["state"]},
        torch.stack([carry["action"] for carry in carries]).to(device),
        carries[0]["stream"],
        carries[0]["position"],
    )
