"""Which runs are wanted, which of them exist, and which seeds train together. Reads records; imports no simulator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamer_bench_base import UserError, suggestion
from protocols.records.places import check_runs_folder
from protocols.records.store import MANIFEST, Run, find_runs, run_folder
from protocols.spec import Protocol, RunSpec, digest


@dataclass(frozen=True, kw_only=True)
class WantedRun:
    """One wanted run. `state` is "missing" or the value of `Run.state`."""

    spec: RunSpec
    folder: Path
    state: str

    @property
    def record(self) -> Run:
        return Run(self.folder)


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Seeds of one (agent, task) that train as one program."""

    agent: str
    task: str
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Agents x tasks x seeds of one protocol in one runs folder, all with the same overrides and limit."""

    root: Path
    protocol: Protocol
    agents: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    overrides: Mapping[str, Any]
    limit_env_steps: int | None = None

    @property
    def budget_env_steps(self) -> int:
        return self.protocol.env_steps if self.limit_env_steps is None else self.limit_env_steps

    def spec(self, agent: str, task: str, seed: int) -> RunSpec:
        return RunSpec(
            protocol=self.protocol.id,
            digest=digest(self.protocol),
            agent=agent,
            task=task,
            seed=seed,
            overrides=self.overrides,
            limit_env_steps=self.limit_env_steps,
        )

    def folder(self, spec: RunSpec) -> Path:
        return run_folder(self.root, spec.protocol, spec.label, spec.task, spec.seed)

    def runs(self) -> list[WantedRun]:
        """Every wanted run with its state, agent by agent, task by task."""
        found = []
        for agent in self.agents:
            for task in self.tasks:
                for seed in self.seeds:
                    spec = self.spec(agent, task, seed)
                    folder = self.folder(spec)
                    state = Run(folder).state() if (folder / MANIFEST).exists() else "missing"
                    found.append(WantedRun(spec=spec, folder=folder, state=state))
        return found

    def cohorts(self, runs: Sequence[WantedRun], seeds_per_program: int | None) -> list[Cohort]:
        """The programs that complete these runs.

        An interrupted cohort resumes with all its first seeds, even if only some of them are wanted. Seeds without a record are
        grouped, at most `seeds_per_program` together (None: all seeds of a task).
        """
        programs: list[Cohort] = []
        for agent in self.agents:
            for task in self.tasks:
                own = [run for run in runs if (run.spec.agent, run.spec.task) == (agent, task)]
                begun = dict.fromkeys(tuple(run.record.manifest["cohort"]) for run in own if run.state == "resumable")
                taken = {seed for seeds in begun for seed in seeds}
                fresh = [run.spec.seed for run in own if run.state == "missing" and run.spec.seed not in taken]
                size = seeds_per_program or max(len(fresh), 1)
                groups = [*begun, *(tuple(fresh[i : i + size]) for i in range(0, len(fresh), size))]
                programs += [Cohort(agent=agent, task=task, seeds=seeds) for seeds in groups]
        return programs


def grid(
    *,
    root: Path,
    protocol: Protocol,
    agents: Sequence[str],
    tasks: Sequence[str],
    seeds: Sequence[int],
    overrides: Mapping[str, Any],
    limit_env_steps: int | None,
) -> Grid:
    """The grid of these names. Empty tasks and seeds mean those of the protocol.

    Raises ValueError, in one line, for a task of another protocol, a duplicate seed, and an invalid limit.
    """
    chosen_tasks = tuple(task_of(protocol, task) for task in tasks) or protocol.tasks
    chosen_seeds = tuple(seeds) or protocol.seeds
    for kind, values in (("seed", chosen_seeds), ("task", chosen_tasks), ("agent", tuple(agents))):
        twice = next((value for value in values if values.count(value) > 1), None)  # type: ignore[arg-type]
        if twice is not None:
            raise UserError(f"{kind} {twice!r} is given twice; give each {kind} once")
    negative = next((seed for seed in chosen_seeds if seed < 0), None)
    if negative is not None:
        raise UserError(f"seed {negative} is negative; must be 0 or greater")
    if limit_env_steps is not None and not 0 < limit_env_steps < protocol.env_steps:
        raise UserError(
            f"--limit must be below the {protocol.env_steps} env_steps of {protocol.id} and at least 1, got {limit_env_steps}; "
            "give such a number or leave it out"
        )
    return Grid(
        root=root,
        protocol=protocol,
        agents=tuple(agents),
        tasks=chosen_tasks,
        seeds=chosen_seeds,
        overrides=dict(overrides),
        limit_env_steps=limit_env_steps,
    )


def check_records(root: Path, protocol: Protocol) -> None:
    """Refuses a folder that is not a runs folder, is not writable, or has other records under this protocol's name."""
    check_runs_folder(root)
    existing = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"runs folder {str(root)!r} cannot be written to; give another one with --runs")
    if not (root / protocol.id).is_dir():
        return
    expected = digest(protocol)
    for run in find_runs(root):
        if run.manifest["protocol"] == protocol.id and run.manifest["digest"] != expected:
            raise UserError(
                f"{run.folder} was recorded under another {protocol.id} (digest {run.manifest['digest'][:12]}, "
                f"now {expected[:12]}); give another folder with --runs"
            )


def task_of(protocol: Protocol, task: str) -> str:
    """A task of the protocol by its name or an alias of the suites."""
    if task in protocol.tasks:
        return task
    from suites import catalog  # aliases ask every suite

    try:
        resolved = catalog.resolve(task)
    except ValueError:
        resolved = task
    if resolved not in protocol.tasks:
        hint = suggestion(task, protocol.tasks, cutoff=0.5) or f", for example {protocol.tasks[0]!r}"
        raise UserError(f"task {task!r} is not in {protocol.id}; it has {len(protocol.tasks)} tasks{hint}")
    return resolved
