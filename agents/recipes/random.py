"""Uniform random actions, which every agent must beat. NumPy only; a draw is a function of (seed, stream, position)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium import spaces

from agents.api import AgentContext, Progress, TimeStep
from dreamer_bench_base import UserError
from dreamer_bench_options import CheckedOptions

CHECKPOINT = "random.json"
KEEPS_REPLAY = False


@dataclass(frozen=True, kw_only=True)
class Options(CheckedOptions):
    """No options."""


PROFILES: Mapping[str, Options] = {
    "paper": Options(),
    "quick": Options(),
    "discrete": Options(),
    "small": Options(),
    "joined": Options(),
    "quick-pixels": Options(),
    "small-joined": Options(),
}


@dataclass(frozen=True)
class Carry:
    """The position in the stream of draws."""

    num_envs: int
    stream: int
    position: int


def refuses(options: Options, observation_space: spaces.Dict, action_space: spaces.Space) -> str | None:
    if isinstance(action_space, spaces.Discrete):
        return None if action_space.start == 0 else f"discrete actions must count from 0; this space is {action_space}"
    if isinstance(action_space, spaces.Box) and np.all(action_space.low == -1) and np.all(action_space.high == 1):
        return None
    return f"actions must be a Box [-1, 1] or a Discrete; this space is {action_space}"


def build(options: Options, context: AgentContext) -> RandomPolicy:
    return RandomPolicy(context)


class RandomPolicy:
    """agents.api.Agent that never learns."""

    def __init__(self, context: AgentContext):
        self.seeds, self.space = context.seeds, context.action_space

    def initial(self, num_envs: int, *, stream: int = 0) -> Carry:
        return Carry(num_envs, stream, 0)

    def act(self, carry: Carry, step: TimeStep, *, explore: bool) -> tuple[np.ndarray, Carry]:
        following = Carry(carry.num_envs, carry.stream, carry.position + 1)
        return np.stack([self._draw(seed, carry) for seed in self.seeds]), following

    def _draw(self, seed: int, carry: Carry) -> np.ndarray:
        generator = np.random.default_rng(np.random.SeedSequence([seed, carry.stream, carry.position]))
        if isinstance(self.space, spaces.Discrete):
            return generator.integers(0, self.space.n, carry.num_envs)
        assert self.space.shape is not None
        return generator.uniform(-1.0, 1.0, (carry.num_envs, *self.space.shape)).astype(np.float32)

    def observe(self, action: np.ndarray, step: TimeStep, lanes: np.ndarray) -> None:
        """Stores nothing."""

    def learn(self, progress: Progress) -> int:
        return 0

    def metrics(self) -> Mapping[str, np.ndarray]:
        return {}

    @property
    def diverged(self) -> np.ndarray:
        return np.zeros(len(self.seeds), dtype=bool)

    def save(self, folders: Sequence[Path], carry: Carry) -> None:
        kept = {"num_envs": carry.num_envs, "stream": carry.stream, "position": carry.position}
        for folder in folders:
            (Path(folder) / CHECKPOINT).write_text(json.dumps(kept))

    def load(self, folders: Sequence[Path]) -> Carry:
        carries = []
        for folder in folders:
            path = Path(folder) / CHECKPOINT
            if not path.exists():
                raise UserError(
                    f"{folder} holds no checkpoint of the random agent ({CHECKPOINT} is missing); "
                    "name a folder that `save` wrote"
                )
            carries.append(Carry(**json.loads(path.read_text())))
        return carries[0]
