"""The state of a cohort's loop for a checkpoint: counters, and the actions of the open episodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium import spaces

from agents.api import TimeStep
from agents.environments import Environments
from dreamer_bench_base import UserError
from protocols.records.json_files import write_json

LOOP, OPEN_EPISODES = "loop.json", "open_episodes.npz"
COUNTERS = ("iteration", "gradient_steps", "evaluations", "seconds", "marked_seconds", "marked_env_steps")


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


def read(parts: Sequence[Path], seeds: tuple[int, ...], num_envs: int) -> tuple[LoopState, list[dict[str, int]]]:
    """The state, and the bytes of each seed's record files that the checkpoint confirms.

    Raises UserError if the parts belong to a cohort of other seeds.
    """
    held = [json.loads((part / LOOP).read_bytes()) for part in parts]
    if any(tuple(one["seeds"]) != seeds for one in held):
        raise UserError(
            f"checkpoint {parts[0]} belongs to a cohort of the seeds {held[0]['seeds']}, "
            f"not {list(seeds)}; give another folder with --runs"
        )
    actions = []
    for part in parts:
        with np.load(part / OPEN_EPISODES) as stored:
            actions.append([list(stored[f"lane_{e}"]) for e in range(num_envs)])
    counts = Counts(
        finished=[one["finished"] for one in held],
        recent=[one["recent"] for one in held],
        **{name: held[0][name] for name in COUNTERS},
    )
    state = LoopState(counts=counts, scores=[one["score"] for one in held], actions=actions)
    return state, [one["bytes"] for one in held]


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
