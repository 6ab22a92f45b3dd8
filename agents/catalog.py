"""Agent name -> AgentEntry: the built-in agents, and those of other packages.

Only this file turns an agent's name into code, and it imports a recipe only when it is needed.
Another package adds an agent with an entry point of the group `dreamer_bench.agents` that names a recipe module.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from gymnasium import spaces

from agents.api import Agent, AgentContext
from dreamer_bench_base import UserError, imported, package_of, registered, unknown

ENTRY_POINT_GROUP = "dreamer_bench.agents"
BUILT_IN_ORIGIN = "built in"

DROPPED_ROWS_SHARE = 1.25
"""Rows on the disk in units of a replay's capacity: files are deleted in blocks of half a GiB, and two checkpoints after their
rows were dropped. Reasoned, not measured."""

ROW_OVERHEAD_BYTES = 12
"""reward, is_first and is_terminal of one row (agents/learning/replay.py)."""


def row_bytes(observation_space: spaces.Dict, action_space: spaces.Space) -> int:
    """Bytes of one row of a replay: observation, action, reward and flags."""
    width = int(action_space.n) if isinstance(action_space, spaces.Discrete) else int(np.prod(action_space.shape or ()))
    row = sum(np.zeros(space.shape or (), space.dtype).nbytes for space in observation_space.spaces.values())
    return row + 4 * width + ROW_OVERHEAD_BYTES


@dataclass(frozen=True, kw_only=True)
class AgentEntry:
    """One agent by name. `recipe` is the import path of a module that fulfils `agents.api.Recipe`."""

    name: str
    summary: str
    recipe: str
    origin: str = BUILT_IN_ORIGIN

    def module(self) -> Any:
        return imported(self.recipe, self.origin)

    def described(self) -> str:
        """The line of `list agents`. For an agent of another package it imports the recipe and takes its SUMMARY, if any."""
        return self.summary if self.origin == BUILT_IN_ORIGIN else str(getattr(self.module(), "SUMMARY", self.summary))

    def options(self, profile: str = "paper") -> Any:
        """The frozen options of a profile. Raises UserError if the recipe does not have it."""
        profiles = self.module().PROFILES
        if profile not in profiles:
            raise UserError(f"agent {self.name!r} has no profile {profile!r}; it has {', '.join(sorted(profiles))}")
        return profiles[profile]

    def refuses(self, options: Any, observation_space: spaces.Dict, action_space: spaces.Space) -> str | None:
        return self.module().refuses(options, observation_space, action_space)

    def keeps_replay(self) -> bool:
        """Whether the agent stores every observation (a recipe that does not sets KEEPS_REPLAY = False)."""
        return bool(getattr(self.module(), "KEEPS_REPLAY", True))

    def per_call(self) -> str | None:
        """The option that counts work per training call of `updates` updates (a recipe names it as PER_CALL), or None."""
        return getattr(self.module(), "PER_CALL", None)

    def update_bytes(self, options: Any, observation_space: spaces.Dict) -> int:
        """Memory of an update of one seed on a CPU, in bytes; 0 if the options have no method `update_bytes`."""
        told = getattr(options, "update_bytes", None)
        return 0 if told is None else int(told(observation_space))

    def replay_rows(self, options: Any, rows: int) -> int:
        """How many of the rows that a run stores are on the disk at a time. With an option `replay_capacity` these are the rows
        within it and dropped rows whose files are kept for checkpoints."""
        if not self.keeps_replay():
            return 0
        capacity = getattr(options, "replay_capacity", 0)
        return min(rows, int(DROPPED_ROWS_SHARE * capacity)) if capacity else rows

    def build(self, options: Any, context: AgentContext) -> Agent:
        reason = self.refuses(options, context.observation_space, context.action_space)
        if reason is not None:
            raise UserError(f"agent {self.name!r} cannot play this task: {reason}")
        return self.module().build(options, context)


BUILT_IN = (
    AgentEntry(name="dreamer", summary="actor and value learned in imagination", recipe="agents.recipes.dreamer"),
    AgentEntry(name="dreamer_v2", summary="categorical latents, actor by Reinforce", recipe="agents.recipes.dreamer_v2"),
    AgentEntry(name="no_value", summary="Dreamer's actor on imagined rewards alone", recipe="agents.recipes.no_value"),
    AgentEntry(
        name="planet", summary="planning in the same model, as re-run in the Dreamer paper", recipe="agents.recipes.planet"
    ),
    AgentEntry(name="planet-icml", summary="PlaNet with its own paper's settings", recipe="agents.recipes.planet_icml"),
    AgentEntry(
        name="sac", summary="soft actor-critic on the same model's features, real rewards (ours)", recipe="agents.recipes.sac"
    ),
    AgentEntry(
        name="world_models",
        summary="a linear controller evolved in imagination (Ha & Schmidhuber)",
        recipe="agents.recipes.world_models",
    ),
    AgentEntry(name="random", summary="uniform random actions", recipe="agents.recipes.random"),
)
"""A name is the folder of an agent's records, so `planet-icml` keeps its hyphen."""


def entries() -> dict[str, AgentEntry]:
    """Every agent by name, built-ins first. Imports no recipe."""

    def read(point: metadata.EntryPoint) -> tuple[str, AgentEntry]:
        package = package_of(point)
        return point.name, AgentEntry(name=point.name, summary=f"from package {package}", recipe=point.value, origin=package)

    return registered("agent name", ENTRY_POINT_GROUP, {entry.name: entry for entry in BUILT_IN}, read)


def find(name: str) -> AgentEntry:
    known = entries()
    if name not in known:
        raise unknown("agent", name, known)
    return known[name]
