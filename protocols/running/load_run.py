"""Loads the agent of recorded runs for acting: one seed of a cohort, or all of it, from the newest undamaged checkpoint.
Nothing is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import Env

from agents import catalog as agent_catalog
from agents.api import Agent, AgentContext
from agents.environments import Environments
from dreamer_bench_base import UserError
from protocols import catalog as protocol_catalog
from protocols.cadence import Purpose, cadence_of
from protocols.records import checkpoint
from protocols.records.store import MANIFEST, Run
from protocols.running import bounded
from protocols.running.evaluate import FINAL_STREAM, Episode, lanes_per_seed, play
from protocols.running.loop import AGENT
from protocols.spec import Protocol
from suites import catalog as suite_catalog
from suites.lanes import Lanes


@dataclass(frozen=True, kw_only=True)
class Revived:
    """An agent with its checkpoint loaded.

    runs        the runs of the agent's seeds, in the agent's order
    checkpoint  number of the generation
    checkpoint_bytes  of its files, all seeds
    device      where it computes
    make        opens one environment of the task, with the protocol's options
    """

    runs: tuple[Run, ...]
    protocol: Protocol
    agent: Agent
    checkpoint: int
    checkpoint_bytes: int
    device: str
    make: Callable[[], Env[Any, Any]]

    @property
    def run(self) -> Run:
        return self.runs[0]

    def bounded(self) -> contextlib.AbstractContextManager[None]:
        """Within, the process takes no more memory than the checkpoint explains: options of a stranger's manifest are data."""
        return bounded.memory(self.run.folder, self.checkpoint_bytes, device=self.device)

    def play(self, episodes: int, *, purpose: Purpose = "final", film: bool = False, first_index: int = 0) -> list[Episode]:
        """Evaluation episodes of the first seed, without exploration. Those with purpose "final" from index 0 are the episodes
        of the protocol's final evaluation."""
        active = np.arange(len(self.runs)) == 0
        return self.play_all(episodes, purpose=purpose, stream=FINAL_STREAM, active=active, film=film, first_index=first_index)[
            0
        ]

    def play_all(
        self, episodes: int, *, purpose: Purpose, stream: int, active: np.ndarray, first_index: int = 0, film: bool = False
    ) -> list[list[Episode]]:
        """The same for every `active` seed [S], with the acting noise of `stream`."""
        # As many environments as in the run's own evaluations, because acting noise is drawn for all of them together.
        lanes = lanes_per_seed(self.protocol, purpose)
        environments = Environments(Lanes(self.make, lanes * len(self.runs)), len(self.runs), lanes)
        try:
            with self.bounded():
                return play(
                    self.agent,
                    environments,
                    run_seeds=tuple(int(run.manifest["seed"]) for run in self.runs),
                    purpose=purpose,
                    tasks=len(self.protocol.played(self.run.manifest["task"])),
                    first_index=first_index,
                    episodes=episodes,
                    stream=stream,
                    active=active,
                    film=film,
                    check=lambda: None,
                )
        finally:
            environments.close()


def revive(folder: Path, *, device: str = "cpu") -> Revived:
    """Loads a run folder, runs/<protocol>/<agent>/<task>/seed-<n>. Raises ValueError, in one line, if that fails."""
    return revive_together([folder], device=device)


def revive_together(folders: Sequence[Path], *, device: str = "cpu") -> Revived:
    """The same for several seeds of one cohort, in the order of training. A whole cohort repeats its evaluations to the bit; a
    single seed repeats them except for the last digits of float32."""
    for folder in folders:
        if not (folder / MANIFEST).is_file():
            raise UserError(f"{str(folder)!r} is not a run; give one seed's folder, runs/<protocol>/<agent>/<task>/seed-<n>")
    runs = tuple(map(Run, folders))
    folder, run = folders[0], runs[0]
    manifest = run.manifest
    protocol = protocol_catalog.of_record(manifest)
    parts = checkpoint.newest(folders, lambda line: None)
    if parts is None:
        raise UserError(f"{folder} has no checkpoint yet; wait for its first evaluation, or start `run` again")
    entry, task = agent_catalog.find(manifest["agent"]), manifest["task"]
    chosen = entry.options(protocol.profile_of(task))
    recorded = {name: tuple(value) if isinstance(value, list) else value for name, value in manifest["options"].items()}
    unknown = sorted(set(recorded) - {field.name for field in fields(chosen)})
    if unknown:
        raise UserError(
            f"{folder} was made with the option {unknown[0]!r}, which agent {entry.name!r} does not have here; use the code of "
            f"commit {manifest['commit']}"
        )
    make = partial(suite_catalog.make, task, **protocol.options_of(task))
    size = sum(path.stat().st_size for part in parts for path in part.rglob("*") if path.is_file())
    lanes = Lanes(make, 1)
    try:
        observation_space, action_space = lanes.observation_space, lanes.action_space
    finally:
        lanes.close()

    def loaded(where: str) -> Agent:
        with bounded.memory(folder, size, device=where):
            agent = entry.build(
                type(chosen)(**recorded),
                AgentContext(
                    observation_space=observation_space,
                    action_space=action_space,
                    seeds=tuple(int(each.manifest["seed"]) for each in runs),
                    num_envs=protocol.num_envs,
                    budget_env_steps=run.budget_env_steps,
                    action_repeat=cadence_of(protocol, task, run.budget_env_steps).action_repeat,
                    device=where,
                ),
            )
        with bounded.memory(folder, size, device=where), bounded.loading(folder, entry.name):
            agent.load([part / AGENT for part in parts])
        return agent

    if device != "cpu":
        loaded("cpu")  # within the bound on memory, which a GPU cannot have
    agent = loaded(device)
    number = int(parts[0].name.removeprefix("checkpoint-"))
    return Revived(
        runs=runs, protocol=protocol, agent=agent, make=make, checkpoint=number, checkpoint_bytes=size, device=device
    )
