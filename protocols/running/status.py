"""The progress of every run of the grids in a runs folder. Reads the ends of records; imports no torch and no simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from protocols.records import checkpoint
from protocols.records.chosen import runs_of
from protocols.records.fields import check_lines
from protocols.records.json_files import last_record
from protocols.records.schema import Asked, ReadMetricsLine
from protocols.records.store import METRICS, Run

COLOURS = {"done": "green", "running": "cyan", "resumable": "yellow", "diverged": "red", "missing": "dim"}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One run: existing, or missing from its protocol's grid."""

    protocol: str
    label: str
    task: str
    seed: int
    state: str
    env_steps: int
    budget_env_steps: int
    env_steps_per_second: float | None = None
    score: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Seconds left at the speed of its last interval; None unless it is running or resumable."""
        if self.state not in ("running", "resumable") or not self.env_steps_per_second:
            return None
        return (self.budget_env_steps - self.env_steps) / self.env_steps_per_second


def standings(root: Path, protocol: str | None = None) -> list[Standing]:
    """All runs of the folder, and all wanted runs that have not started. Raises UserError if it is not a runs folder.

    protocol  take only the runs of this protocol: an id, or a user's own file
    """
    runs = runs_of(root, protocol)
    found = {
        (run.manifest["protocol"], run.manifest["label"], run.manifest["task"], run.manifest["seed"]): _standing(run)
        for run in runs
    }
    wanted: dict[tuple[str, str, str, int], Standing] = {}
    for run in runs:
        manifest = run.manifest
        alone: Asked = {"tasks": [manifest["task"]], "seeds": manifest["cohort"]}
        asked = manifest.get("asked", alone)
        for task in asked["tasks"]:
            for seed in asked["seeds"]:
                key = (manifest["protocol"], manifest["label"], task, seed)
                wanted[key] = Standing(
                    protocol=key[0],
                    label=key[1],
                    task=task,
                    seed=seed,
                    state="missing",
                    env_steps=0,
                    budget_env_steps=run.budget_env_steps,
                )
    return [standing for _, standing in sorted({**wanted, **found}.items())]


def _standing(run: Run) -> Standing:
    manifest, result = run.manifest, run.result()
    last = last_record(run.folder / METRICS)
    if last is not None:
        check_lines(ReadMetricsLine, [last], run.folder / METRICS)
    return Standing(
        protocol=manifest["protocol"],
        label=manifest["label"],
        task=manifest["task"],
        seed=manifest["seed"],
        state=run.state(),
        env_steps=result["env_steps"] if result else checkpoint.env_steps(run) or 0,
        budget_env_steps=run.budget_env_steps,
        env_steps_per_second=last.get("env_steps_per_second") if last else None,
        score=result["score"] if result else None,
    )


def table(rows: Sequence[Standing]) -> Table:
    """A row per run; seeds of one task in the same state share a row."""
    from protocols.running.terminal import duration

    shown = Table(
        "protocol",
        "agent",
        "task",
        "seeds",
        "state",
        "env_steps",
        "of",
        "env_steps/s",
        "left",
        "score",
        box=None,
        pad_edge=False,
    )
    groups: dict[tuple, list[Standing]] = {}
    for row in rows:
        groups.setdefault((row.protocol, row.label, row.task, row.state, row.env_steps), []).append(row)
    for (protocol, label, task, state, env_steps), group in groups.items():
        speeds = [row.env_steps_per_second for row in group if row.env_steps_per_second]
        left = [row.seconds_left for row in group if row.seconds_left is not None]
        scores = [f"{row.score:.1f}" for row in group if row.score is not None]
        shown.add_row(
            Text(protocol),
            Text(label),
            Text(task),
            ", ".join(str(row.seed) for row in group),
            Text(state, style=COLOURS[state]),
            f"{env_steps:,}" if state != "missing" else "",
            f"{group[0].budget_env_steps:,}",
            f"{max(speeds):,.0f}" if speeds else "",
            duration(max(left)) if left else "",
            ", ".join(scores),
        )
    return shown
