"""What was run: the grid's cells, which runs count and which do not and why, and the machines and versions behind them.

Reads run folders through `protocols.records.store` alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.scores import from_runs
from protocols import catalog
from protocols.records.store import Run
from protocols.records.validate import simulator_drift
from protocols.spec import PROSE, canonical_json
from protocols.spec import digest as digest_of

REASONS = {
    "limited": "its budget was cut with --limit",
    "diverged": "its loss was not finite: a result, counted here and left out of the means",
    "unfinished": "it has no result yet",
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run and whether its score enters the means.

    state   "done", "running", "resumable" or "diverged"
    counts  whether it is a complete run of the protocol
    why     why not, "" where it counts
    foreign  simulator packages of another version than the protocol's: "mujoco 3.5.0 (protocol: 3.17.0)"
    """

    run: Run
    method: str
    task: str
    seed: int
    state: str
    counts: bool
    why: str
    foreign: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """All runs of one protocol as one digest defines it: what may stand in one table."""

    protocol: str
    digest: str
    data: Mapping[str, Any]
    cells: tuple[Cell, ...]

    @property
    def evaluated(self) -> bool:
        """Whether any run of the protocol's own budget has played an evaluation episode."""
        return any(from_runs.episodes(cell.run) for cell in self.cells if cell.run.manifest["limit_env_steps"] is None)

    @property
    def counted(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.counts]

    @property
    def known_digest(self) -> str | None:
        """The digest that this installation has for the protocol id, None where it knows no such protocol."""
        known = catalog.entries().get(self.protocol)
        return None if known is None else digest_of(known)


def groups(runs: Iterable[Run]) -> list[Group]:
    """Runs by protocol and digest, in order of both."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run.manifest["protocol"], run.manifest["digest"]), []).append(run)
    return [
        Group(
            protocol=protocol,
            digest=digest,
            data=members[0].manifest["protocol_data"],
            cells=tuple(_cell(run) for run in members),
        )
        for (protocol, digest), members in sorted(found.items())
    ]


def _cell(run: Run) -> Cell:
    manifest, state = run.manifest, run.state()
    kind = (
        "limited"
        if manifest["limit_env_steps"] is not None
        else "diverged"
        if state == "diverged"
        else ""
        if state == "done"
        else "unfinished"
    )
    foreign = tuple(
        f"{package} {found or 'unknown'} (protocol: {wanted})" for package, (wanted, found) in simulator_drift(manifest).items()
    )
    return Cell(
        run=run,
        method=manifest["label"],
        task=manifest["task"],
        seed=manifest["seed"],
        state=state,
        counts=not kind,
        why=REASONS.get(kind, ""),
        foreign=foreign,
    )


def repeats(found: Sequence[Group]) -> list[Group]:
    """The groups that differ in their action repeat alone, the largest such family: what Figure 12 may show together."""
    families: dict[str, list[Group]] = {}
    for group in found:
        same = {key: value for key, value in group.data.items() if key not in (*PROSE, "id", "action_repeat")}
        families.setdefault(canonical_json(same), []).append(group)
    return max(families.values(), key=len, default=[])


def missing(group: Group) -> list[tuple[str, str, int]]:
    """Cells of the protocol's grid without a finished run: (method, task, seed) for every method that was begun."""
    have = {(cell.method, cell.task, cell.seed) for cell in group.cells if cell.state in ("done", "diverged")}
    methods = sorted({cell.method for cell in group.cells if cell.run.manifest["limit_env_steps"] is None})
    return [
        (method, task, seed)
        for method in methods
        for task in group.data["tasks"]
        for seed in group.data["seeds"]
        if (method, task, seed) not in have
    ]


def overrides(cells: Iterable[Cell]) -> dict[str, dict[str, Any]]:
    """method -> the options that were set by hand."""
    return {cell.method: dict(cell.run.manifest["overrides"]) for cell in cells if cell.run.manifest["overrides"]}


def counted(values: Iterable[str]) -> str:
    """Distinct values, with how often each occurs where there are several."""
    tally = Counter(values)
    if len(tally) == 1:
        return next(iter(tally))
    return "; ".join(f"{value} ({number} runs)" for value, number in sorted(tally.items()))


def hardware(manifest: Mapping[str, Any]) -> str:
    machine = manifest["hardware"]
    parts = [str(machine.get("cpu") or "unknown CPU"), f"{machine.get('cores', '?')} cores"]
    if machine.get("memory_bytes"):
        parts.append(f"{machine['memory_bytes'] / 2**30:.0f} GiB")
    if machine.get("gpu"):
        parts.append(str(machine["gpu"]))
    return ", ".join(parts)


def compress(cells: Sequence[tuple[str, str, int]]) -> list[str]:
    """ "dreamer, seeds 1, 2: dmc_walker_run, dmc_walker_walk" for a list of cells."""
    by_task: dict[tuple[str, str], list[int]] = {}
    for method, task, seed in cells:
        by_task.setdefault((method, task), []).append(seed)
    alike: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (method, task), seeds in sorted(by_task.items()):
        alike.setdefault((method, tuple(sorted(seeds))), []).append(task)
    return [
        f"{method}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}: {', '.join(tasks)}"
        for (method, seeds), tasks in alike.items()
    ]


def facts(group: Group) -> list[tuple[str, str]]:
    """Name and value pairs of the section on what was run."""
    data = group.data
    manifests = [cell.run.manifest for cell in group.cells]
    rule = data["score_rule"]
    rules = {
        "window": f"mean of the evaluation episodes in the last {rule.get('window_env_steps', 0):,} env steps",
        "last": "mean of the episodes of the last evaluation",
        "final": f"mean of the {data.get('final_episodes', 0)} episodes of the separate final evaluation",
    }
    options = ", ".join(f"{key} {value}" for key, value in data.get("suite_options", {}).items()) or "none"
    packages = sorted({name for manifest in manifests for name in manifest["packages"]})
    known = group.known_digest
    agreement = (
        "this installation does not know the protocol"
        if known is None
        else "the same as in this installation"
        if known == group.digest
        else f"NOT the digest of this installation ({known[:12]})"
    )
    hours = [
        result["device_seconds"] / 3600
        for cell in group.cells
        if (result := cell.run.result()) and result.get("device_seconds")
    ]
    found = [
        ("Protocol", f"{group.protocol}: {data['title']}"),
        ("Digest", f"{group.digest} ({agreement})"),
        ("Source", data["source"]),
        ("Tasks", f"{len(data['tasks'])}: {', '.join(data['tasks'])}"),
        (
            "Budget",
            f"{data['env_steps']:,} env steps a run; action repeat {data['action_repeat']}, episodes of at most "
            f"{data['time_limit_env_steps']:,} env steps",
        ),
        ("Suite options", options),
        ("Score of a run", rules[rule["kind"]]),
        (
            "Evaluation",
            f"{data['evaluate_episodes']} episodes every {data['evaluate_every_env_steps']:,} env steps, "
            "in environments of its own",
        ),
        ("Seeds", f"{', '.join(map(str, data['seeds']))} in a complete submission"),
        (
            "Recorded",
            f"{min(m['created'] for m in manifests)[:16].replace('T', ' ')} to "
            f"{max(m['created'] for m in manifests)[:16].replace('T', ' ')} UTC",
        ),
        (
            "Code",
            counted(
                f"commit {m['commit'][:12] if m['commit'] else 'unknown'}{' with local changes' if m['dirty'] else ''}"
                for m in manifests
            ),
        ),
        ("Hardware", counted(hardware(m) for m in manifests)),
        ("Device", counted(str(m["device"]) for m in manifests)),
        ("Renderer", counted(str(m["gl_renderer"] or "none") for m in manifests)),
        ("Python", counted(f"{m['python']} on {m['platform']}" for m in manifests)),
        (
            "Packages",
            "; ".join(
                f"{name} {counted(str(m['packages'][name]) for m in manifests if name in m['packages'])}" for name in packages
            ),
        ),
    ]
    if hours:
        found.append(("Device time", f"{sum(hours):.2f} hours in {len(hours)} finished runs"))
    return found
