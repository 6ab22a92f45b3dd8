"""The submission checker: does a runs folder hold what its protocols ask for, as it was written?

Reads records through `protocols.records.store` only, so that a leaderboard can call it: no torch, no simulator. It cannot know
whether the scores were earned; it can tell whether the records are whole, unchanged, and those of the protocol.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from dreamer_bench_base import UserError
from protocols import catalog, own
from protocols.cadence import cadence_of, episode_seed
from protocols.records import integrity, profiles, provenance, schedule
from protocols.records.drift import simulator_drift
from protocols.records.read_once import ReadOnce
from protocols.records.schema import (
    SCHEMA,
    EpisodeLine,
    Manifest,
    MetricsLine,
    Result,
    SessionLine,
    problems,
)
from protocols.records.score import alike, result_score
from protocols.records.store import EPISODES, MANIFEST, METRICS, RESULT, SESSIONS, Run, find_runs
from protocols.spec import Protocol, RunSpec, digest, digest_of_data

RULES = {
    "record": "every file of a record can be read and has the fields it should have",
    "protocol": "the protocol, the task and the seed are published, and the recorded protocol is the published one; "
    "a user's own protocol is what its manifest keeps",
    "place": "the folder a run lies in says the same as its manifest",
    "budget": "the run was given the whole budget",
    "complete": "the run has ended, and every seed of every task of the protocol is there",
    "cadence": "evaluations stand where the protocol puts them, with as many episodes, without holes",
    "counts": "env_steps are agent_steps times the action repeat, and counts never go back",
    "episode_seed": "every evaluation episode was played with the seed that is its own",
    "score": "returns are numbers in the range of the task, episodes no longer than the limit, the score follows from them",
    "distinct": "no two seeds hold the same episodes",
    "simulators": "the simulators have the versions of the protocol",
    "commit": "the code was a commit without changes, or a wheel of one as it came, in every process that worked on the run",
    "origin": "the packages that brought agent, suite and protocol are named with version and hash of their files",
    "options": "the agent's options are those of the protocol's profile, but for the overrides that its label names",
    "schedule": "gradient steps come when the agent's schedule says so",
    "times": "dates can be, times are positive and go forward",
    "diverged": "a run whose loss was not finite has everything that came before, and the line that says so",
    "hash": "every file of the run is what it was when the run ended, and every evaluation line follows from the one before",
}
"""What each rule demands; the names are stable and machine-readable."""

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""No run of this project is older."""
CLOCK_SLACK = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One thing that keeps a runs folder from being a submission.

    rule  a key of RULES
    run   the run's folder relative to the runs folder, or protocol/label where the table as a whole is meant
    what  what was expected and what was found, in one line
    """

    rule: str
    run: str
    what: str


def check(root: Path, runs: Sequence[Run] | None = None, *, sound: Callable[[ReadOnce], None] | None = None) -> list[Violation]:
    """Every violation in a runs folder, in the order of its runs, or in some of them.

    sound  gets every run without a violation of its own, while its files are in memory

    Raises UserError where it is not a runs folder.
    """
    violations: list[Violation] = []
    tables: dict[tuple[str, str], _Table] = {}
    for run in map(ReadOnce, (each.folder for each in (find_runs(root) if runs is None else runs))):
        place = run.folder.relative_to(root).as_posix()
        found = list(_check_run(run))
        violations += [Violation(rule=rule, run=place, what=what) for rule, what in found]
        if not any(rule == "record" for rule, _ in found):
            key = (run.manifest["protocol"], run.manifest["label"])
            tables[key] = tables.get(key) or _Table(run.manifest)
            tables[key].add(run)
        if sound is not None and not found:
            sound(run)
    for (protocol, label), table in tables.items():
        violations += [Violation(rule=rule, run=f"{protocol}/{label}", what=what) for rule, what in _check_table(table)]
    return violations


def check_run(run: Run) -> list[Violation]:
    """The violations of one run, apart from the table it belongs to."""
    return [Violation(rule=rule, run=run.folder.name, what=what) for rule, what in _check_run(ReadOnce(run.folder))]


Finding = tuple[str, str]
"""(rule, what)"""


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
    yield from _check_provenance(run, manifest)
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
    yield from _check_lines(protocol, manifest, lines)
    yield from _check_times(run)
    for what in profiles.faults(manifest):
        yield "options", what
    yield from schedule.faults(manifest, protocol, lines, result)
    if result is None:
        named = "FILE.toml" if own.is_own(protocol.id) else protocol.id
        yield "complete", f"the run has not ended ({run.state()}); to resume it: `dreamer-bench run {named}`"
    elif result["status"] == "complete":
        yield from _check_completed(protocol, manifest, lines, result)
    else:
        yield from _check_diverged(protocol, run, result)


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


def _check_provenance(run: Run, manifest: Mapping[str, Any]) -> Iterator[Finding]:
    drift = simulator_drift(manifest)
    for package, (expected, recorded) in drift.items():
        yield "simulators", f"expected {package} {expected}, recorded under {recorded or 'none'}"
    fault = _code_fault(manifest, run.schema)
    if fault is not None:
        yield "commit", fault
    elif changed := [(each, fault) for each in run.sessions() if (fault := _code_fault(each, run.schema)) is not None]:
        yield "commit", f"the process that trained it from {changed[0][0].get('created')} on: {changed[0][1]}"
    if run.schema >= 2:
        yield from _check_origins(manifest)
    spec = RunSpec(
        protocol=manifest["protocol"],
        digest=manifest["digest"],
        agent=manifest["agent"],
        task=manifest["task"],
        seed=manifest["seed"],
        overrides=manifest["overrides"],
        limit_env_steps=manifest["limit_env_steps"],
    )
    expected_place = (spec.protocol, spec.label, spec.task, f"seed-{spec.seed}")
    place = tuple(unquote(part) for part in run.folder.parts[-4:])
    if place != expected_place or manifest["label"] != spec.label:
        yield "place", f"the manifest names {'/'.join(expected_place)}, but the folder is {'/'.join(place)}"


def _code_fault(record: Mapping[str, Any], schema: int) -> str | None:
    """Why the code that a manifest or a session names is no code that others can have; None where it is."""
    commit, source = record.get("commit"), record.get("source")
    if record.get("dirty") is not False:
        return f"the code differed from {f'commit {commit[:12]}' if commit else 'the installed wheel'}; run it unchanged"
    if commit is not None:
        if not _is_hash(commit, 40):
            return f"{commit!r} is not a commit"
        if not isinstance(source, dict):  # schema 1 noted no files
            return None if schema < 2 else "the record lacks the files that ran (source), which schema 2 needs"
        if provenance.files_hash_of_commit(commit) not in (None, source.get("sha256")):
            found = str(source.get("sha256"))[:12]
            return f"the files that ran, {found}, are not those of commit {commit[:12]}; run that commit unchanged"
        return None
    if not isinstance(source, dict):
        return "no commit is recorded; run from a git checkout, or install a wheel of schema 2 or later"
    if source.get("sha256") != provenance.code()["source"]["sha256"]:
        return (
            f"{source.get('package')} {source.get('version')} with files {str(source.get('sha256'))[:12]} names no commit and "
            "is not what is installed here; run from a git checkout, or from a wheel built in an unchanged one"
        )
    return None


def _check_origins(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    origins = manifest.get("origins")
    for part in ("agent", "suite", "protocol"):
        origin = origins.get(part) if isinstance(origins, dict) else None
        if not isinstance(origin, dict) or not _is_hash(origin.get("sha256"), 64) or not origin.get("version"):
            yield "origin", f"the package that brought the {part} is recorded without its version or the hash of its files"
        elif origin.get("dirty") is not False:
            yield "origin", f"the {part} of {origin.get('package')} differed from commit {str(origin.get('commit'))[:12]}"


def _is_hash(value: Any, digits: int) -> bool:
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", value) is not None


def _check_lines(protocol: Protocol, manifest: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """What holds of every episode line, of a finished run and of an unfinished one."""
    repeat = protocol.action_repeat_of(manifest["task"])
    longest = -(-protocol.time_limit_env_steps // repeat)
    off_count = [line for line in lines if line["agent_steps"] * repeat != line["env_steps"]]
    if off_count:
        yield "counts", f"{len(off_count)} episodes whose env_steps are not agent_steps x {repeat}, first {_at(off_count[0])}"
    for name in ("env_steps", "gradient_steps", "checkpoint"):
        if any(after[name] < before[name] for before, after in pairwise(lines)):
            yield "counts", f"{name} goes back between two episodes"
    tasks = protocol.played(manifest["task"])
    if manifest["task"] in protocol.joined:
        strange = [line for line in lines if line.get("task") != tasks[line["episode"] % len(tasks)]]
        if strange:
            yield "episode_seed", f"{len(strange)} episodes of the wrong task, first {_at(strange[0])}"
    off_seed = [line for line in lines if line["env_seed"] != _own_seed(protocol, manifest["seed"], line, len(tasks))]
    if off_seed:
        yield "episode_seed", f"{len(off_seed)} episodes with the wrong seed, first {_at(off_seed[0])}"
    for problem, bad in (
        ("a score that is not a number", [line for line in lines if not _is_number(line["score"])]),
        (
            f"a score outside {protocol.score_range}",
            [line for line in lines if not _in_range(line["score"], protocol.score_range)],
        ),
        (f"a length outside 1 to {longest} decisions", [line for line in lines if not 1 <= line["length"] <= longest]),
    ):
        if bad:
            yield "score", f"{len(bad)} episodes with {problem}, first {_at(bad[0])}"


def _check_completed(protocol: Protocol, manifest: Manifest, lines: Sequence[EpisodeLine], result: Result) -> Iterator[Finding]:
    cadence = cadence_of(protocol, manifest["task"], protocol.env_steps)
    yield from _check_cadence(protocol, cadence.evaluation_env_steps, lines, final=True)
    for name in ("env_steps", "agent_steps", "gradient_steps"):
        if lines and result[name] != lines[-1][name]:  # type: ignore[literal-required]
            yield "counts", f"{RESULT} ends at {result[name]:,} {name}, the last episode at {lines[-1][name]:,}"  # type: ignore[literal-required]
    if result["episodes"] != len(lines):
        yield "counts", f"{RESULT} counts {result['episodes']} episodes, {EPISODES} has {len(lines)}"
    if result["env_steps"] != cadence.evaluation_env_steps[-1]:
        yield "budget", f"ended at {result['env_steps']:,} of {protocol.env_steps:,} env_steps"
    yield from _check_score(manifest, lines, result)


def _check_score(manifest: Manifest, lines: Sequence[EpisodeLine], result: Result) -> Iterator[Finding]:
    data = manifest["protocol_data"]
    try:
        score = result_score(data, result["status"], lines, data["env_steps"])
    except (TypeError, ValueError) as error:
        yield "score", f"no score follows from the episodes: {error}"
        return
    said = result["score"]
    if score is None or said is None:
        same = said is score
    else:
        same = _is_number(said) and math.isclose(said, score, rel_tol=1e-9, abs_tol=1e-9)
    if not same:
        yield "score", f"{RESULT} says {said}, the episodes say {score}"


def _check_diverged(protocol: Protocol, run: Run, result: Result) -> Iterator[Finding]:
    """A diverged run is a result only with its evidence: everything up to there, and the line that says so."""
    lines, metrics = run.episodes(), run.metrics()
    cadence = cadence_of(protocol, run.manifest["task"], protocol.env_steps)
    due = [steps for steps in cadence.evaluation_env_steps if steps < result["env_steps"]]
    yield from _check_cadence(protocol, due, lines, final=False)
    if not 0 < result["env_steps"] <= cadence.evaluation_env_steps[-1] or not result["gradient_steps"] > 0:
        yield "diverged", f"no loss can be lost at {result['env_steps']:,} env_steps and {result['gradient_steps']} updates"
    if run.schema >= 2:
        last = metrics[-1] if metrics else None
        counts = ("env_steps", "agent_steps", "gradient_steps")
        if last is None or last.get("diverged") is not True or any(last[name] != result[name] for name in counts):  # type: ignore[literal-required]
            yield "diverged", f"{METRICS} does not end with the line of {result['env_steps']:,} env_steps that says so"
    yield from _check_score(run.manifest, lines, result)


def _check_times(run: Run) -> Iterator[Finding]:
    """Dates that can be, and times that go forward."""
    manifest, sessions, result = run.manifest, run.sessions(), run.result()
    begun = _date(manifest["created"])
    if begun is None:
        yield "times", f"created is {manifest['created']!r}, no date between {FIRST_DAY:%Y-%m-%d} and tomorrow"
    for session in sessions:
        worked = _date(session["created"])
        if worked is None or (begun is not None and worked < begun - CLOCK_SLACK):
            yield "times", f"a process worked on it from {session['created']!r} on, before the run began or at no date"
    for name, seconds in (
        (EPISODES, [line["seconds"] for line in run.episodes()]),
        (METRICS, [line[name] for line in run.metrics() for name in ("seconds", "env_steps_per_second")]),  # type: ignore[literal-required]
    ):
        if any(value < 0 for value in seconds):
            yield "times", f"{name} holds a negative time"
    marks = [line["seconds"] for line in run.metrics()]
    if any(after < before for before, after in pairwise(marks)):
        yield "times", f"the seconds of {METRICS} go back"
    if result is not None:
        wall, device = result["wall_seconds"], result["device_seconds"]
        if not wall > 0 or not 0 < device <= wall + 1e-3:
            yield "times", f"wall_seconds {wall} and device_seconds {device}: expected 0 < device_seconds <= wall_seconds"
        elif marks and marks[-1] > wall + 1:
            yield "times", f"the run took {wall} s and its metrics {marks[-1]} s"


def _date(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or not FIRST_DAY <= moment <= datetime.now(UTC) + CLOCK_SLACK:
        return None
    return moment


def _check_cadence(
    protocol: Protocol, evaluations: Sequence[int], lines: Iterable[EpisodeLine], *, final: bool
) -> Iterator[Finding]:
    played: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for line in lines:
        played[line["env_steps"], bool(line["final"])].append(line["episode"])
    expected = {(steps, False): protocol.evaluate_episodes for steps in evaluations}
    if protocol.final_episodes and final:
        expected[evaluations[-1], True] = protocol.final_episodes
    holes = [_name(key) for key in sorted(expected) if key not in played]
    if holes:
        yield "cadence", f"{len(holes)} of {len(expected)} evaluations are missing: {', '.join(holes[:3])}"
    strange = [_name(key) for key in sorted(played) if key not in expected]
    if strange:
        yield "cadence", f"{len(strange)} evaluations where {protocol.id} has none: {', '.join(strange[:3])}"
    for key in sorted(set(expected) & set(played)):
        if sorted(played[key]) != list(range(expected[key])):
            yield "cadence", f"{_name(key)}: expected episodes 0 to {expected[key] - 1}, found {sorted(played[key])}"


class _Table:
    """What the checks of a table need of its runs: not their lines, so that thousands of runs fit into memory.

    runs    folder, task, seed and scores (NaN where there is none) of each
    digests digest -> the first run's folder
    """

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self.protocol = _protocol_of(manifest)
        self.runs: list[tuple[str, str, int, np.ndarray]] = []
        self.digests: dict[str, str] = {}
        self.whole = False

    def add(self, run: Run) -> None:
        manifest, name = run.manifest, run.folder.name
        scores = np.array([line["score"] for line in run.episodes()], dtype=float)
        self.runs.append((name, manifest["task"], manifest["seed"], scores))
        self.digests.setdefault(manifest["digest"], name)
        self.whole |= manifest["limit_env_steps"] is None


def _check_table(table: _Table) -> Iterator[Finding]:
    """What holds of all runs of one agent under one protocol together."""
    protocol = table.protocol
    if isinstance(protocol, str) or not table.whole:
        return
    other = next((name for found, name in table.digests.items() if found != digest(protocol)), None)
    if other is not None and own.is_own(protocol.id):
        yield "protocol", f"{other} was made under another {protocol.id}; give every version of a file a name of its own"
    have = {(task, seed) for _, task, seed, _ in table.runs}
    missing = [f"{task} seed {seed}" for task in protocol.tasks for seed in protocol.seeds if (task, seed) not in have]
    if missing:
        whole = len(protocol.tasks) * len(protocol.seeds)
        yield (
            "complete",
            f"{len(missing)} of {whole} runs are missing: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}",
        )
    by_task: dict[str, list[tuple[int, np.ndarray]]] = defaultdict(list)
    for _, task, seed, played in table.runs:
        for other_seed, other_played in by_task[task]:
            if alike(other_played, played):
                yield "distinct", f"{task}: seeds {other_seed} and {seed} hold the same episodes"
                break
        by_task[task].append((seed, played))


def _own_seed(protocol: Protocol, run_seed: int, line: Mapping[str, Any], tasks: int) -> int:
    if line["final"]:
        return episode_seed(run_seed, "final", line["episode"], tasks)
    return episode_seed(run_seed, "evaluate", line["checkpoint"] * protocol.evaluate_episodes + line["episode"], tasks)


def _is_number(score: Any) -> bool:
    return isinstance(score, (int, float)) and math.isfinite(score)


def _in_range(score: Any, allowed: tuple[float, float] | None) -> bool:
    if allowed is None or not _is_number(score):
        return True
    slack = 1e-3  # returns are sums of a thousand float32 rewards
    return allowed[0] - slack <= score <= allowed[1] + slack


def _at(line: Mapping[str, Any]) -> str:
    return f"at {line['env_steps']:,} env_steps (score {line['score']}, length {line['length']})"


def _name(key: tuple[int, bool]) -> str:
    return f"{key[0]:,} env_steps{' (final)' if key[1] else ''}"
