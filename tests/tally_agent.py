"""A recipe for tests: a tiny learner in NumPy with everything that makes resuming hard.

It learns from a replay file, its actions depend on weights, on a recurrent carry and on noise, and it may diverge on request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from agents.api import AgentContext, Progress, TimeStep


@dataclass(frozen=True, kw_only=True)
class Options:
    rate: float = 0.1
    every_env_steps: int = 16
    diverging_seed: int = -1
    diverging_env_steps: int = 0
    window: tuple[int, ...] = (1, 2)
    flavour: str = "plain"


PROFILES = {"paper": Options(), "quick": Options()}


class Carry(NamedTuple):
    memory: np.ndarray  # [S, E]
    stream: int
    position: int


def refuses(options: Options, observation_space: spaces.Dict, action_space: spaces.Space) -> str | None:
    if isinstance(action_space, spaces.Box):
        return None
    return f"it moves in a Box, not in {action_space}"


def build(options: Options, context: AgentContext) -> Tally:
    return Tally(options, context)


class Tally:
    def __init__(self, options: Options, context: AgentContext) -> None:
        self.options, self.context = options, context
        self.width = context.action_space.shape[0]
        self.weights = np.stack([np.random.default_rng(seed).normal(size=self.width) for seed in context.seeds])
        self.gradient_steps = 0
        self.rows = [0 for _ in context.seeds]
        self.gone = np.zeros(len(context.seeds), bool)
        self.sums: list[np.ndarray] = []

    def initial(self, num_envs: int, *, stream: int = 0) -> Carry:
        return Carry(np.zeros((len(self.context.seeds), num_envs)), stream, 0)

    def act(self, carry: Carry, step: TimeStep, *, explore: bool) -> tuple[np.ndarray, Carry]:
        seen = sum(value.reshape(*value.shape[:2], -1).astype(np.float64).mean(-1) for value in step.observation.values())
        memory = np.where(step.is_first, 0.0, carry.memory) * 0.5 + np.sin(seen)
        action = np.tanh(self.weights[:, None] * memory[..., None])
        if explore:
            noise = np.stack(
                [
                    np.random.default_rng((seed, carry.stream, carry.position)).normal(size=action.shape[1:])
                    for seed in self.context.seeds
                ]
            )
            action = np.clip(action + 0.3 * noise, -1, 1)
        return action.astype(np.float32), Carry(memory, carry.stream, carry.position + 1)

    def observe(self, action: np.ndarray, step: TimeStep, lanes: np.ndarray) -> None:
        for s, folder in enumerate(self.context.replay_folders):
            with (folder / "rows.bin").open("ab") as file:
                for e in np.flatnonzero(lanes[s]):
                    given = 0.0 if step.is_first[s, e] else float(action[s, e].sum())
                    file.write(np.array([given, step.reward[s, e], step.is_last[s, e]], np.float64).tobytes())
                    self.rows[s] += 1

    def learn(self, progress: Progress) -> int:
        if progress.env_steps % self.options.every_env_steps >= self.context.num_envs * self.context.action_repeat:
            return 0
        for s, seed in enumerate(self.context.seeds):
            data = np.fromfile(self.context.replay_folders[s] / "rows.bin", np.float64).reshape(-1, 3)
            row = data[np.random.default_rng((seed, self.gradient_steps)).integers(len(data))]
            self.weights[s] += self.options.rate * np.sin(row.sum() + self.weights[s])
            if seed == self.options.diverging_seed and progress.env_steps >= self.options.diverging_env_steps:
                self.gone[s] = True
        self.gradient_steps += 1
        self.sums.append(self.weights.sum(-1))
        return 1

    def metrics(self) -> Mapping[str, np.ndarray]:
        sums, self.sums = self.sums, []
        return {"weight": np.mean(sums, 0)} if sums else {}

    @property
    def diverged(self) -> np.ndarray:
        return self.gone

    def save(self, folders: Sequence[Path], carry: Carry) -> None:
        for s, folder in enumerate(folders):
            (folder / "tally.json").write_text(
                json.dumps(
                    {
                        "weights": self.weights[s].tolist(),
                        "gradient_steps": self.gradient_steps,
                        "rows": self.rows[s],
                        "memory": carry.memory[s].tolist(),
                        "stream": carry.stream,
                        "position": carry.position,
                        "gone": bool(self.gone[s]),
                        "sums": [float(sums[s]) for sums in self.sums],
                    }
                )
            )

    def load(self, folders: Sequence[Path]) -> Carry:
        held = [json.loads((folder / "tally.json").read_text()) for folder in folders]
        self.weights = np.array([one["weights"] for one in held])
        self.gone = np.array([one["gone"] for one in held])
        self.sums = list(np.array([one["sums"] for one in held]).T)
        self.gradient_steps, self.rows = held[0]["gradient_steps"], [one["rows"] for one in held]
        for folder, rows in zip(self.context.replay_folders or (), self.rows, strict=False):  # none: good for acting
            path = folder / "rows.bin"
            if not path.exists() or path.stat().st_size < 24 * rows:
                raise ValueError(f"replay {path} holds fewer than the {rows} rows of the checkpoint; restore it from a copy")
            with path.open("rb+") as file:
                file.truncate(24 * rows)
        return Carry(np.array([one["memory"] for one in held]), held[0]["stream"], held[0]["position"])
