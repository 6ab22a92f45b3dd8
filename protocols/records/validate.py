"""The submission checker: whether a runs folder has the runs that its protocols require, complete and unchanged.

It reads records through `protocols.records.store` only, without torch or a simulator, so that a leaderboard can call it. It
cannot show that the scores were earned. It shows that the records are complete, unchanged, and follow the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dreamer_bench_base import UserError
from dreamer_bench_processes import in_order
from protocols import catalog, own
from protocols.records import integrity, profiles, schedule
from protocols.records.fields import line_problems, problems
from protocols.records.read_once import ReadOnce
from protocols.records.rules import Broken, Violation
from protocols.records.schema import (
    SCHEMA,
    EpisodeLine,
    Manifest,
    MetricsLine,
    Result,
    SessionLine,
)
from protocols.records.store import EPISODES, MANIFEST, METRICS, RESULT, SESSIONS, Run, find_runs
from protocols.records.validate_code import check_provenance
from protocols.records.validate_episodes import check_completed, check_diverged, check_lines
from protocols.records.validate_table import Table, check_table
from protocols.records.validate_times import check_times
from protocols.spec import Protocol, digest, digest_of_data


def check(
    root: Path,
    runs: Sequence[Run] | None = None,
    *,
    submission: bool = False,
    sound: Callable[[ReadOnce], Any] = lambda _: None,
    take: Callable[[Any], None] = lambda _: None,
) -> list[Violation]:
    """All violations in a runs folder, or in some of its runs, in the order of the runs.

    submission  whether the runs are to enter a leaderboard, which needs every task and seed also of options set by hand
    sound  called for every run without a violation of its own, while its files are in memory
    take   gets the results of `sound`, in the order of the runs

    Raises UserError if it is not a runs folder.
    """
    violations: list[Violation] = []
    tables: dict[tuple[str, str], Table] = {}
    folders = [each.folder for each in (find_runs(root) if runs is None else runs)]
    for folder, looked in zip(folders, in_order(partial(_look, sound), folders), strict=True):
        place = folder.relative_to(root).as_posix()
        violations += [Violation(rule=rule, run=place, what=what) for rule, what in looked.found]
        if looked.row is not None:
            manifest, scores = looked.row
            key = (manifest["protocol"], manifest["label"])
            tables[key] = tables.get(key) or Table(_protocol_of(manifest), submission=submission)
            tables[key].add(folder.name, manifest, scores)
        if not looked.found:
            take(looked.kept)
    for (protocol, label), table in tables.items():
        violations += [Violation(rule=rule, run=f"{protocol}/{label}", what=what) for rule, what in check_table(table)]
    return violations


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """What is kept of a run after its files were read: its violations, and its row of the table if it is a record.

    row   manifest and scores
    kept  the result of `sound`
    """

    found: list[Broken]
    row: tuple[Manifest, np.ndarray] | None
    kept: Any


def _look(sound: Callable[[ReadOnce], Any], folder: Path) -> _Looked:
    run = ReadOnce(folder)
    found = list(_check_run(run))
    row = None
    if not any(rule == "record" for rule, _ in found):
        row = run.manifest, np.array([line["score"] for line in run.episodes()], dtype=float)
    return _Looked(found=found, row=row, kept=None if found else sound(run))


def _check_run(run: Run) -> Iterator[Broken]:
    try:
        manifest, lines, metrics, result, sessions = run.manifest, run.episodes(), run.metrics(), run.result(), run.sessions()
    except ValueError as error:
        yield "record", str(error)
        return
    if manifest.get("schema") not in (1, SCHEMA):
        yield "record", f"schema {manifest.get('schema')!r} is not known here; expected 1 or {SCHEMA}"
        return
    found = [f"{MANIFEST}: {problem}" for problem in problems(Manifest, manifest)]
    for name, kind, records in (
        (EPISODES, EpisodeLine, lines),
        (METRICS, MetricsLine, metrics),
        (SESSIONS, SessionLine, sessions),
    ):
        found += sorted(f"{name}: {problem}" for problem in line_problems(kind, records))
    found += [f"{RESULT}: {problem}" for problem in ([] if result is None else problems(Result, result))]
    if not sessions:
        found.append(f"{SESSIONS} names no process that trained the run")
    if found:
        yield "record", f"expected the fields of schema {run.schema}: {'; '.join(found[:5])}"
        return
    yield from check_provenance(run, manifest)
    for fault in integrity.faults(run):
        yield "hash", fault
    protocol = _protocol_of(manifest)
    if isinstance(protocol, str):
        yield "protocol", protocol
        return
    if manifest["task"] not in protocol.tasks:
        yield "protocol", f"task {manifest['task']!r} is not in {protocol.id}"
        return
    if manifest["seed"] not in protocol.seeds:
        yield "protocol", f"seed {manifest['seed']} is not one of {protocol.id}: {', '.join(map(str, protocol.seeds))}"
    if manifest["limit_env_steps"] is not None:
        yield (
            "budget",
            f"cut to {manifest['limit_env_steps']:,} of {protocol.env_steps:,} env_steps: not a run of {protocol.id}",
        )
        return
    if manifest["digest"] != digest(protocol) or digest_of_data(manifest["protocol_data"]) != digest(protocol):
        yield "protocol", f"recorded under digest {manifest['digest'][:12]}, {protocol.id} is {digest(protocol)[:12]}"
        return
    yield from check_lines(protocol, manifest, lines)
    yield from check_times(run)
    for what in profiles.faults(manifest):
        yield "options", what
    yield from schedule.faults(manifest, protocol, lines, result)
    if result is None:
        named = "FILE.toml" if own.is_own(protocol.id) else protocol.id
        yield "complete", f"the run has not ended ({run.state()}); to resume it: `dreamer-bench run {named}`"
    elif result["status"] == "complete":
        yield from check_completed(protocol, manifest, lines, result)
    else:
        yield from check_diverged(protocol, run, result)


def _protocol_of(manifest: Mapping[str, Any]) -> Protocol | str:
    """The protocol for checking a run: the published one, or the user's own in the manifest; or why there is none."""
    published = catalog.entries().get(manifest["protocol"])
    if published is not None:
        return published
    if not own.is_own(manifest["protocol"]):
        return f"protocol {manifest['protocol']!r} is not known here; install the package that brings it"
    try:
        kept = own.from_data(manifest["protocol_data"])
    except UserError as error:
        return str(error)
    return kept if kept.id == manifest["protocol"] else f"the manifest names {manifest['protocol']} but holds {kept.id}"
