"""agent.pt, one per seed: the part of a checkpoint that an agent with a world model writes besides its replay's files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor

from dreamer_bench_base import UserError
from dreamer_bench_json import mismatch
from dreamer_bench_weights import check_weights

CHECKPOINT = "agent.pt"


class _Replay(TypedDict):
    rows: list[int]
    open: list[int]
    episodes: list[list[int]]
    first: NotRequired[list[int]]
    hashes: NotRequired[list[Any]]


class _Carry(TypedDict):
    state: dict[str, Any]
    action: Any
    stream: int
    position: int


class _Kept(TypedDict):
    """The plain values of agent.pt, perhaps a stranger's; what reads them compares the shapes of the tensors."""

    learner: dict[str, Any]
    gradient_steps: int
    evolution: NotRequired[Any]
    replay: _Replay
    replay_apart: bool
    next_update_env_steps: int | None
    carry: _Carry


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
    """The content that `write` saved, including "carry". Raises UserError if the folder has no agent.pt, or one with other
    fields."""
    path = folder / CHECKPOINT
    if not path.exists():
        raise UserError(
            f"{folder} holds no checkpoint of this agent ({CHECKPOINT} is missing); name a folder that `save` wrote"
        )
    check_weights(path)  # for every file, also our own
    kept = torch.load(path, map_location="cpu", weights_only=True)
    fault = mismatch(kept, _Kept)
    if fault is not None:
        raise UserError(f"{path} is not what an agent with a world model saves: {fault}")
    return kept


def joined(carries: Sequence[Mapping[str, Any]], like: Carry, device: torch.device) -> Carry:
    """The carry of a cohort from those of its seeds.

    like  a carry of this agent, for any number of environments
    Raises UserError if the tensors are not those of such a carry.
    """
    names = like.state.keys()
    if any(carry["state"].keys() != names for carry in carries):
        raise UserError(f"the checkpoint's recurrent state is not of {', '.join(names)}; use the agent it was saved with")
    joined = Carry(
        {name: torch.stack([carry["state"][name] for carry in carries]).to(device) for name in names},
        torch.stack([carry["action"] for carry in carries]).to(device),
        carries[0]["stream"],
        carries[0]["position"],
    )
    pairs = [(joined.action, like.action), *((joined.state[name], like.state[name]) for name in names)]
    lanes = joined.action.shape[1:2]
    for found, expected in pairs:
        if found.shape[2:] != expected.shape[2:] or found.shape[1:2] != lanes or not found.is_floating_point():
            raise UserError(
                f"the checkpoint's state or action has the shape {tuple(found.shape)}, this agent's {tuple(expected.shape)}; "
                "use the options, the task's spaces and the agent it was saved with"
            )
    return joined
