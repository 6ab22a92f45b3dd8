"""The commands `run` and `status`; `validate` and `plan` are in protocols/costs/commands.py."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dreamer_bench_base import UserError
from protocols.costs.commands import COMMANDS as RULES

UNSAID = tyro.conf.arg(help_behavior_hint="")
"""The help text itself says the default."""
Words = Annotated[tuple[str, ...], UNSAID]


@dataclass(frozen=True, kw_only=True)
class RunCommand:
    """Train and evaluate agents under a protocol. Skips finished runs and resumes interrupted ones.

    Exit code 0: every run is complete. 130 or 143: stopped by Ctrl-C or SIGTERM, after a checkpoint.
    """

    protocol: tyro.conf.Positional[str]
    """Protocol, for example quick@1 (see `list protocols`), study (see `list studies`), or a file of your own,
    for example mine.toml (docs/own-protocols.md)."""
    under: Annotated[str | None, tyro.conf.arg(name="protocol")] = None
    """Run a study under this protocol or protocol file, on its tasks."""
    agents: Words = ()
    """Agents to train (default: all agents of the protocol)."""
    tasks: Words = ()
    """Tasks to train on (default: all tasks of the protocol)."""
    seeds: Annotated[tuple[int, ...], UNSAID] = ()
    """Seeds to train (default: the protocol's)."""
    runs: Path = Path("runs")
    """Folder to keep the records in."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to compute on; auto takes a GPU if there is one."""
    set: Annotated[tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]], UNSAID] = ()
    """Set options of the agent: name=value ... Can be repeated. `dreamer-bench options AGENT` lists every option
    with its range and meaning; a value outside its range is refused."""
    limit: int | None = None
    """Stop after this many env_steps. For trials only: reports and figures leave these runs out."""
    executor: Literal["inline", "ray"] = "inline"
    """Run programs one after the other in this process (inline), or as Ray tasks (extra `cluster`)."""
    address: str | None = None
    """Address of a Ray cluster (default: start one on this machine)."""
    cpus_per_program: float = 1.0
    """CPU cores per Ray task."""
    gpus_per_program: float = 1.0
    """GPUs per Ray task; with 0.25, four programs share one GPU."""
    workers: int | None = None
    """Processes that step environments; 0 steps them in this one (default: chosen from the number of cores)."""
    seeds_per_program: int | None = None
    """Seeds to train together as one program (default: all seeds of a task, or as many as fit the GPU's memory)."""
    tensorboard: bool = False
    """Also write event files for TensorBoard (extra `tensorboard`)."""
    wandb: bool = False
    """Also log to Weights & Biases (extra `wandb`; set WANDB_MODE=offline to keep the logs here)."""
    film: bool = True
    """Save a video of the last evaluation's first episode."""

    def run(self) -> int:
        from protocols.records import checkpoint
        from protocols.records.store import REPLAY
        from protocols.running.grid import check_records
        from protocols.running.terminal import console_for_tables

        for name, value, least in (("--workers", self.workers, 0), ("--seeds-per-program", self.seeds_per_program, 1)):
            if value is not None and value < least:
                raise UserError(f"{name} {value} is too small; expected at least {least}")
        grids = self._grids()
        for wanted in grids:
            check_records(self.runs, wanted.protocol)
        runs = [(wanted, wanted.runs()) for wanted in grids]
        every = [run for _, own in runs for run in own]
        busy = next((run for run in every if run.state == "running"), None)
        if busy is not None:
            raise UserError(f"another process is working on {busy.folder}; wait for it, or stop it and run again")
        programs = [(wanted, cohort) for wanted, own in runs for cohort in wanted.cohorts(own, self.seeds_per_program)]
        under_way = {
            wanted.folder(wanted.spec(cohort.agent, cohort.task, seed)) for wanted, cohort in programs for seed in cohort.seeds
        }
        checkpoint.tidy(
            [
                run.folder
                for run in every
                if run.state == "done" and run.folder not in under_way and (run.folder / REPLAY).exists()
            ]
        )
        console = console_for_tables()
        code = 0
        if programs:
            code = self._train(programs, console)
        else:
            console.print(f"all {len(every)} runs are complete in {self.runs}", markup=False, soft_wrap=True)
        if code == 0:
            from protocols.running.display import results_table

            console.print(results_table([run for wanted in grids for run in wanted.runs()]))
        return code

    def _grids(self) -> list[Any]:
        """One grid for a protocol, or one for every row of a study (protocols/studies.py)."""
        from agents import catalog as agents
        from protocols import catalog, studies
        from protocols.running.grid import grid, task_of

        rows: list[tuple[Any, tuple[str, ...], dict[str, Any], tuple[str, ...]]]
        assignments = [assignment for group in self.set for assignment in group]
        if studies.is_study(self.protocol):
            study = studies.find(self.protocol)
            for name in self.agents:
                if name not in {row.agent for row in study.rows}:
                    raise UserError(
                        f"{study.name} has no row of agent {name!r}; "
                        f"it has {', '.join(dict.fromkeys(row.agent for row in study.rows))}"
                    )
            chosen = study.rows if self.under is None else studies.under(study.rows, self.under)
            known = study.tasks if self.under is None else catalog.find(self.under).tasks
            rows = [
                (catalog.find(row.protocol), (row.agent,), dict(row.overrides), self.tasks or known)
                for row in chosen
                if not self.agents or row.agent in self.agents
            ]
        elif self.under is not None:
            raise UserError(f"--protocol goes with a study; {self.protocol!r} is a protocol itself, so leave it out")
        else:
            protocol = catalog.find(self.protocol)
            rows = [
                (
                    protocol,
                    tuple(agents.find(name).name for name in self.agents or catalog.rows(protocol)),
                    {},
                    self.tasks,
                )
            ]
        found = []
        if assignments:  # the same option can have another default in each agent's profile, so each agent gets its own grid
            from protocols.running.overrides import overriding

            rows = [
                (protocol, (name,), overriding(assignments, agents.find(name).options(profile), name, own), alike)
                for protocol, names, own, tasks in rows
                for name in names
                for profile, alike in protocol.by_profile([task_of(protocol, task) for task in tasks]).items()
            ]
        for protocol, names, overrides, tasks in rows:
            found.append(
                grid(
                    root=self.runs,
                    protocol=protocol,
                    agents=names,
                    tasks=tasks,
                    seeds=self.seeds,
                    overrides=overrides,
                    limit_env_steps=self.limit,
                )
            )
        return found

    def _train(self, programs: Any, console: Any) -> int:
        from agents.device import free_bytes, resolve_device
        from protocols.running import preflight
        from protocols.running.cohort import CohortRequest
        from protocols.running.display import Display
        from protocols.running.executors import EXECUTORS
        from protocols.running.stop import Stop

        again = shlex.join(["dreamer-bench", *sys.argv[1:]])
        device = self.device if self.executor == "ray" else resolve_device(self.device)  # a Ray task resolves it on its node
        requests = [
            CohortRequest(
                grid=wanted,
                agent=cohort.agent,
                task=cohort.task,
                seeds=cohort.seeds,
                device=device,
                workers=self.workers,
                film=self.film,
                tensorboard=self.tensorboard,
                wandb=self.wandb,
                command=again,
                cpus=self.cpus_per_program,
                gpus=self.gpus_per_program,
            )
            for wanted, cohort in programs
        ]
        stop = Stop()
        with stop.listening():
            needs = preflight.check(requests, stop.requested)
            begun = not stop.requested()
            if begun and device == "cuda" and self.seeds_per_program is None and self.executor == "inline":
                fitting = preflight.divided(
                    requests, needs, free_bytes(device), partial(console.print, markup=False, soft_wrap=True)
                )
                needs = needs if fitting == requests else preflight.check(fitting, stop.requested)
                requests, begun = fitting, not stop.requested()
            if begun:
                with Display(console, [request.name for request in requests]) as display:
                    EXECUTORS[self.executor](
                        requests,
                        display,
                        stop,
                        self.address,
                        lambda at_once, here: preflight.check_room(requests, needs, at_once=at_once, memory=here),
                    )
        if stop.signum is not None:
            print(
                f"interrupted, {'checkpoint written' if begun else 'nothing was started'}; to resume: {again}", file=sys.stderr
            )
            return 128 + stop.signum
        return 0


@dataclass(frozen=True, kw_only=True)
class StatusCommand:
    """Show the state of every run in a folder: done, running, resumable, diverged or missing."""

    runs: tyro.conf.Positional[Path] = Path("runs")
    """Folder that `run --runs` wrote."""
    protocol: str | None = None
    """Show the runs of this protocol only: an id, or a file of your own."""

    def run(self) -> int:
        from protocols.running.status import standings, table
        from protocols.running.terminal import console_for_tables

        rows = standings(self.runs, self.protocol)
        console = console_for_tables()
        if not rows:
            console.print(f"no runs in {self.runs}", markup=False)
            return 0
        console.print(table(rows))
        return 0


COMMANDS = {"run": RunCommand, "status": StatusCommand, **RULES}
