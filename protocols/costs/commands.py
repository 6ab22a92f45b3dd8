"""The commands `validate` (do records follow the rules?), `plan` (what does a protocol cost?), `doctor` (can a run start?)."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from dreamer_bench_base import UserError
from dreamer_bench_files import write_atomically

Words = Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")]
"""Words whose default, none, the help text says itself."""


@dataclass(frozen=True, kw_only=True)
class ValidateCommand:
    """Check whether a runs folder can be submitted: digests, completeness, seeds, cadence, scores, versions, commit, hashes.

    Exit code 0: every rule holds. 4: one does not. 2: this is not a runs folder, or it holds no run.
    """

    runs: tyro.conf.Positional[Path] = Path("runs")
    """Folder that `run --runs` wrote."""
    protocol: str | None = None
    """Check the runs of this protocol only: an id, or a file of your own."""
    json: Path | None = None
    """Write the violations as JSON to this file ("-" prints them instead of the text)."""

    def run(self) -> int:
        from protocols import own
        from protocols.records.chosen import runs_of
        from protocols.records.rules import RULES
        from protocols.records.schema import SCHEMA
        from protocols.records.validate import check

        runs = runs_of(self.runs, self.protocol)
        if not runs:
            raise UserError(f"{self.runs} holds no run yet, so nothing was checked; start one with `dreamer-bench run quick@1`")
        violations = check(self.runs, runs)
        record = {
            "schema": 1,
            "runs": len(runs),
            "valid": not violations,
            "rules": RULES,
            "violations": [asdict(violation) for violation in violations],
        }
        write_json_report(record, self.json)
        if str(self.json) != "-":
            for violation in violations:
                print(f"{violation.rule:<13}{violation.run}: {violation.what}")
            broken = sorted({violation.rule for violation in violations})
            print(
                f"{len(runs)} runs, {len(violations)} violations"
                + (f" of {', '.join(broken)}" if broken else ": every rule holds")
            )
            if old := sum(run.schema < SCHEMA for run in runs if not any(each.rule == "record" for each in violations)):
                print(
                    f"note: {old} runs are of a schema before {SCHEMA}, which lacks what some rules check; a board refuses them"
                )
            # by folder name, because a damaged manifest names no protocol
            for id in sorted({name for run in runs if own.is_own(name := run.folder.parts[-4])}):
                print(
                    f"note: {id} is a protocol of your own; a leaderboard takes only published protocols and those of packages"
                )
        return 4 if violations else 0


@dataclass(frozen=True, kw_only=True)
class PlanCommand:
    """Estimate what a protocol or a study costs on this machine: wall time, device hours, disk and memory, by agent.

    Measures single steps first (seconds for each agent), or reads measurements from a file.
    """

    protocol: tyro.conf.Positional[str]
    """Protocol (see `list protocols`), study (see `list studies`), or a file of your own."""
    under: Annotated[str | None, tyro.conf.arg(name="protocol")] = None
    """Plan a study under this protocol or protocol file, on its tasks."""
    agents: Words = ()
    """Agents to plan for (default: those that `run` would train)."""
    tasks: Words = ()
    """Tasks to plan for (default: all tasks of the protocol)."""
    measured: Path | None = None
    """Read the costs of single steps from this file instead of measuring them (schema: docs/cluster.md)."""
    save: Path | None = None
    """Save the measurements to this file, for `--measured` here or elsewhere."""
    seeds_per_program: int | None = None
    """Seeds to train together as one program (default: all seeds of the protocol, as in `run`)."""
    devices: int = 1
    """Devices that work at the same time."""
    device: str = "auto"
    """Device to measure: auto, cpu or cuda."""
    json: Path | None = None
    """Write the plan as JSON to this file ("-" prints it instead of the table)."""

    def run(self) -> int:
        from protocols.costs import measurements, plan

        for name, value in (("--seeds-per-program", self.seeds_per_program), ("--devices", self.devices)):
            if value is not None and value < 1:
                raise UserError(f"{name} is at least 1, not {value}")
        workloads = plan.workloads(self.protocol, self.agents, self.tasks, self.under)
        seeds = self.seeds_per_program or max(len(workload.protocol.seeds) for workload in workloads)
        if self.measured is not None:
            measured = measurements.read_measured(self.measured)
        else:
            from protocols.costs.measure import measure

            measured = measure(workloads, seeds_per_program=seeds, device=self.device, say=_say)
        write_json_report(measurements.as_data(measured), self.save)
        estimates = [plan.estimate(workload, measured, seeds_per_program=seeds, devices=self.devices) for workload in workloads]
        record = {
            "schema": measurements.SCHEMA,
            "name": self.protocol,
            "seeds_per_program": seeds,
            "devices": self.devices,
            "machine": dict(measured.machine),
            "lines": [asdict(estimate) for estimate in estimates],
        }
        write_json_report(record, self.json)
        if str(self.json) != "-":
            from protocols.costs.plan_table import table

            print(table(estimates, devices=self.devices))
        return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def write_json_report(record: dict[str, Any], target: Path | None) -> None:
    """Writes a machine-readable report to a file, or to the standard output for "-"."""
    if target is None:
        return
    text = json.dumps(record, indent=1) + "\n"
    if str(target) == "-":
        print(text, end="")
        return
    if not target.parent.is_dir():
        raise UserError(f"folder {str(target.parent)!r} does not exist; expected an existing one for --json {target}")
    write_atomically(target, text.encode())


@dataclass(frozen=True, kw_only=True)
class DoctorCommand:
    """Check this machine and say how to fix what is missing: packages, GPU, rendering, ROMs, disk, memory.

    Exit code 1: a run could not start."""

    runs: Path = Path("runs")
    """Folder for the runs; its disk is checked."""

    def run(self) -> int:
        from rich.console import Console
        from rich.text import Text

        from protocols.costs.doctor import examine

        console = Console(highlight=False, soft_wrap=True)
        colours = {"ok": "green", "note": "yellow", "bad": "red"}
        findings = examine(self.runs)
        for finding in findings:
            console.print(
                Text(f"{finding.state:<5}", style=colours[finding.state]), f"{finding.check:<14}{finding.found}", markup=False
            )
            if finding.cure:
                console.print(f"     {'':<14}fix: {finding.cure}", markup=False)
        bad = sum(finding.state == "bad" for finding in findings)
        console.print(f"{bad} of {len(findings)} checks failed: a run cannot start" if bad else "a run can start", markup=False)
        return 1 if bad else 0


COMMANDS = {"validate": ValidateCommand, "plan": PlanCommand}
