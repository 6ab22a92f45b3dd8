"""A recorded run brought back to act: one seed of its cohort, as its newest good checkpoint left it. Nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
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
from protocols.running.evaluate import FINAL_STREAM, Episode, lanes_per_seed, play
from protocols.running.loop import AGENT
from protocols.spec import Protocol
from suites import catalog as suite_catalog
from suites.workers import Lanes


@dataclass(frozen=True, kw_only=True)
class Revived:
    """An agent of one seed with its checkpoint loaded.

    checkpoint  number of the generation
    make        opens one environment of the run's task, with the protocol's options
    """

    run: Run
    protocol: Protocol
    agent: Agent
    checkpoint: int
    make: Callable[[], Env[Any, Any]]

    def play(self, episodes: int, *, purpose: Purpose = "final", film: bool = False, first_index: int = 0) -> list[Episode]:
        """Evaluation episodes, without exploration. "final" ones from index 0 are those of the protocol's final evaluation."""
        seed = int(self.run.manifest["seed"])
        # As many environments as the run's own evaluations: acting noise is drawn for all of them together.
        lanes = lanes_per_seed(self.protocol, purpose)
        environments = Environments(Lanes(self.make, lanes), 1, lanes)
        try:
            return play(
                self.agent,
                environments,
                run_seeds=(seed,),
                purpose=purpose,
                tasks=len(self.protocol.played(self.run.manifest["task"])),
                first_index=first_index,
                episodes=episodes,
                stream=FINAL_STREAM,
                active=np.ones(1, bool),
                film=film,
                check=lambda: None,
            )[0]
        finally:
            environments.close()


def revive(folder: Path, *, device: str = "cpu") -> Revived:
    """Loads a run folder, runs/<protocol>/<agent>/<task>/seed-<n>. Raises ValueError, in one line, where it cannot."""
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{str(folder)!r} is not a run; give one seed's folder, runs/<protocol>/<agent>/<task>/seed-<n>")
    run = Run(folder)
    manifest = run.manifest
    protocol = protocol_catalog.of_record(manifest)
    parts = checkpoint.newest([folder], lambda line: None)
    if parts is None:
        raise UserError(f"{folder} has no checkpoint yet; wait for its first evaluation, or call `run` again")
    entry, task = agent_catalog.find(manifest["agent"]), manifest["task"]
    chosen = entry.options(protocol.agent_profile)
    recorded = {name: tuple(value) if isinstance(value, list) else value for name, value in manifest["options"].items()}
    unknown = sorted(set(recorded) - {field.name for field in fields(chosen)})
    if unknown:
        raise UserError(
            f"{folder} was made with the option {unknown[0]!r}, which agent {entry.name!r} does not have here; use the code of "
            f"commit {manifest['commit']}"
        )
    make = partial(suite_catalog.make, task, **protocol.options_of(task))
    lanes = Lanes(make, 1)
    try:
        agent = entry.build(
            type(chosen)(**recorded),
            AgentContext(
                observation_space=lanes.observation_space,
                action_space=lanes.action_space,
                seeds=(int(manifest["seed"]),),
                num_envs=protocol.num_envs,
                budget_env_steps=run.budget_env_steps,
                action_repeat=cadence_of(protocol, task, run.budget_env_steps).action_repeat,
                device=device,
            ),
        )
    finally:
        lanes.close()
    agent.load([parts[0] / AGENT])
    number = int(parts[0].name.removeprefix("checkpoint-"))
    return Revived(run=run, protocol=protocol, agent=agent, make=make, checkpoint=number)
