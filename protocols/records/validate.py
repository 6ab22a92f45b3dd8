"""The submission checker: does a runs folder hold what its protocols ask for, as it was written?

Reads records through `protocols.records.store` only, so that a leaderboard can call it: no torch, no simulator. It cannot know
whether the scores were earned; it can tell whether the records are whole, unchanged, and those of the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dreamer_bench_base import UserError
from protocols import catalog, own
from protocols.records import integrity, profiles, schedule
from protocols.records.read_once import ReadOnce
from protocols.records.rules import Finding, Violation
from protocols.records.schema import (
    SCHEMA,
    EpisodeLine,
    Manifest,
    MetricsLine,
    Result,
    SessionLine,
    problems,
)
from protocols.records.store import EPISODES, MANIFEST, METRICS, RESULT, SESSIONS, Run, find_runs
from protocols.records.validate_code import check_provenance
from protocols.records.validate_episodes import check_completed, check_diverged, check_lines
from protocols.records.validate_table import Table, check_table
from protocols.records.validate_times import check_times
from protocols.spec import Protocol, digest, digest_of_data


def check(root: Path, runs: Sequence[Run] | None = None, *, sound: Callable[[ReadOnce], None] | None = None) -> list[Violation]:
    """Every violation in a runs folder, in the order of its runs, or in some of them.

    sound  gets every run without a violation of its own, while its files are in memory

    Raises UserError where it is not a runs folder.
    """
    violations: list[Violation] = []
    tables: dict[tuple[str, str], Table] = {}
    for run in map(ReadOnce, (each.folder for each in (find_runs(root) if runs is None else runs))):
        place = run.folder.relative_to(root).as_posix()
        found = list(_check_run(run))
        violations += [Violation(rule=rule, run=place, what=what) for rule, what in found]
        if not any(rule == "record" for rule, _ in found):
            key = (run.manifest["protocol"], run.manifest["label"])
            tables[key] = tables.get(key) or Table(_protocol_of(run.manifest))
            tables[key].add(run)
        if sound is not None and not found:
            sound(run)
    for (protocol, label), table in tables.items():
        violations += [Violation(rule=rule, run=f"{protocol}/{label}", what=what) for rule, what in check_table(table)]
    return violations


def check_run(run: Run) -> list[Violation]:
    """The violations of one run, apart from the table it belongs to."""
    return [Violation(rule=rule, run=run.folder.name, what=what) for rule, what in _check_run(ReadOnce(run.folder))]


def _check_run(run: Run) -> Iterator[Finding]:
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
        found += sorted({f"{name}: {problem}" for record in records for problem in problems(kind, record)})
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
    """The protocol that a run is checked by, its published one or its own as its manifest keeps it; or why there is none."""
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
