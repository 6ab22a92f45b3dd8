"""The state of a cohort's loop for a checkpoint: counters, and the actions of the open episodes."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
from gymnasium import spaces

from agents.api import TimeStep
from agents.environments import Environments
from dreamer_bench_base import InvalidData, UserError
from protocols.cadence import Cadence
from protocols.records.json_files import read_json, write_json
from protocols.records.store import EPISODES, METRICS
from protocols.running import bounded

LOOP, OPEN_EPISODES = "loop.json", "open_episodes.npz"
COUNTERS = ("iteration", "gradient_steps", "evaluations", "seconds", "marked_seconds", "marked_env_steps")


class _Held(TypedDict):
    """loop.json of one seed."""

    seeds: list[int]
    iteration: int
    gradient_steps: int
    evaluations: int
    seconds: float
    marked_seconds: float
    marked_env_steps: int
    finished: list[int]
    recent: list[float]
    score: float | None
    bytes: dict[str, int]


@dataclass(kw_only=True)
class Counts:
    """Counters of the loop. `finished` [S][E] counts training episodes per environment.

    recent  [S] sums and numbers of the returns of training episodes since the last line of metrics
    marked_seconds, marked_env_steps  time and env_steps of that line
    """

    finished: list[list[int]]
    recent: list[list[float]]
    iteration: int = 0
    gradient_steps: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    marked_seconds: float = 0.0
    marked_env_steps: int = 0


@dataclass(kw_only=True)
class LoopState:
    """The state of the loop besides the agent.

    scores   mean score of the last evaluation per seed
    actions  actions of the open episode of every [seed][environment]
    """

    counts: Counts
    scores: list[float | None]
    actions: list[list[list[np.ndarray]]]


def beginning(num_seeds: int, num_envs: int) -> LoopState:
    return LoopState(
        counts=Counts(finished=[[0] * num_envs for _ in range(num_seeds)], recent=[[0.0, 0] for _ in range(num_seeds)]),
        scores=[None] * num_seeds,
        actions=[[[] for _ in range(num_envs)] for _ in range(num_seeds)],
    )


def write(
    part: Path, state: LoopState, s: int, *, seeds: Sequence[int], written_bytes: Mapping[str, int], space: spaces.Space
) -> None:
    """Writes the part of seed number `s` of the cohort.

    written_bytes  bytes of each record file that this checkpoint confirms
    space          space of the actions
    """
    write_json(
        part / LOOP,
        {
            "seeds": seeds,
            **{name: getattr(state.counts, name) for name in COUNTERS},
            "finished": state.counts.finished[s],
            "recent": state.counts.recent[s],
            "score": state.scores[s],
            "bytes": written_bytes,
        },
    )
    np.savez(
        part / OPEN_EPISODES,
        **{  # type: ignore[arg-type]
            f"lane_{e}": np.array(actions, dtype=space.dtype).reshape(len(actions), *space.shape)  # type: ignore[misc]
            for e, actions in enumerate(state.actions[s])
        },
    )


def read(
    parts: Sequence[Path], seeds: tuple[int, ...], num_envs: int, space: spaces.Space
) -> tuple[LoopState, list[dict[str, int]]]:
    """The state, and the bytes of each seed's record files that the checkpoint confirms.

    Raises UserError if the parts belong to a cohort of other seeds, and if they are not what `write` wrote: a checkpoint can be
    a stranger's.
    """
    held = [_held(part / LOOP, num_envs) for part in parts]
    if any(tuple(one["seeds"]) != seeds for one in held):
        raise UserError(
            f"checkpoint {parts[0]} belongs to a cohort of the seeds {held[0]['seeds']}, "
            f"not {list(seeds)}; give another folder with --runs"
        )
    actions = [_open_episodes(part / OPEN_EPISODES, num_envs, space) for part in parts]
    counts = Counts(
        finished=[one["finished"] for one in held],
        recent=[one["recent"] for one in held],
        **{name: held[0][name] for name in COUNTERS},  # type: ignore[literal-required]
    )
    state = LoopState(counts=counts, scores=[one["score"] for one in held], actions=actions)
    return state, [one["bytes"] for one in held]


def check_place(part: Path, counts: Counts, cadence: Cadence) -> None:
    """Raises InvalidData for counts that no run under this cadence reaches; the loop would train without an end."""
    before = sum(at < counts.iteration for at in cadence.evaluations)
    if counts.iteration > cadence.iterations or not before <= counts.evaluations <= before + (
        counts.iteration in cadence.evaluations
    ):
        raise damaged(part / LOOP, f"{counts.evaluations} evaluations at iteration {counts.iteration} of {cadence.iterations}")


def _held(path: Path, num_envs: int) -> _Held:
    held = cast(_Held, read_json(path, _Held))
    if len(held["finished"]) != num_envs or len(held["recent"]) != 2 or not {EPISODES, METRICS} <= set(held["bytes"]):
        raise damaged(path, f"it is not of {num_envs} environments, or lacks a count")
    numbers = (*(held[name] for name in COUNTERS), *held["finished"], held["recent"][1], *held["bytes"].values())  # type: ignore[literal-required]
    if min(numbers) < 0:
        raise damaged(path, "a count is negative")
    return held


def _open_episodes(path: Path, num_envs: int, space: spaces.Space) -> list[list[np.ndarray]]:
    """Actions of the open episode of every environment."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            actions = [stored[f"lane_{e}"] for e in range(num_envs)]
    except (*bounded.DAMAGED, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged(path, f"not the actions of {num_envs} environments ({' '.join(str(error).split())[:80]})") from None
    for each in actions:
        if each.ndim < 1 or each.shape[1:] != space.shape or each.dtype != space.dtype:
            raise damaged(path, f"expected actions {space.shape} of {space.dtype}, found {each.shape} of {each.dtype}")
        if isinstance(space, spaces.Discrete) and not all(map(space.contains, each)):
            raise damaged(path, f"an action is not one of {space}")
    return [list(each) for each in actions]


def damaged(path: Path, what: str) -> InvalidData:
    """The error for a file of a checkpoint with something else than the loop wrote."""
    return InvalidData(f"{path} is damaged: {what}; restore the run folder from a copy, or move it away to start again")


def play_again(
    environments: Environments, actions: Sequence[Sequence[Sequence[np.ndarray]]], env_seeds: np.ndarray, task: str
) -> tuple[TimeStep, np.ndarray]:
    """Plays the open episodes again up to the checkpoint. The agent has already seen these steps.

    Returns their newest step, and the return of each so far, [S, E].

    Raises UserError if an episode ends before that, because the simulator is then not the one that played it.
    """
    returns = np.zeros(environments.shape)
    step = environments.reset(np.ones(environments.shape, bool), env_seeds)
    lengths = np.array([[len(lane) for lane in row] for row in actions])
    space = environments.action_space
    for t in range(int(lengths.max(initial=0))):
        chosen = lengths > t
        action = np.zeros((*environments.shape, *space.shape), space.dtype)  # type: ignore[misc]
        for s, e in np.argwhere(chosen):
            action[s, e] = actions[s][e][t]
        step = environments.step(action, chosen)
        returns[chosen] += environments.reward[chosen]
        if step.is_last.any():
            raise UserError(
                f"an interrupted episode of {task} ended early when it was played again from its seed: the "
                "simulator is not reproducible (another version?); start this run again in another folder"
            )
    return step, returns
