"""The rows of the leaderboard: the entries of a submission in the ranking of a protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from analysis.figures.style import task_label
from analysis.leaderboard import submissions
from analysis.leaderboard.submissions import Submission
from analysis.scores import per_run
from analysis.scores import table as tables
from analysis.scores.from_runs import ScoredRun
from analysis.scores.groups import tally
from dreamer_bench_base import InvalidData, count
from protocols import catalog
from protocols.records.schema import SCHEMA, Manifest
from protocols.spec import Protocol


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row: a submission under one protocol (and one label, if its runs have several).

    method    its name in tables and figures, unique within the protocol
    points    reads the table of its evaluations; those of thousands of runs would fill the memory
    diverged  number of runs whose loss was not finite; they have no score, so the row names their number
    schema    the oldest schema of its records
    replayed  number of its `runs` whose last evaluation was played again from the checkpoint when they were added
    """

    submission: Submission
    protocol: Protocol
    method: str
    points: Callable[[], pd.DataFrame]
    scores: pd.DataFrame
    facts: list[tuple[str, str]] = field(default_factory=list)
    diverged: int = 0
    replayed: int = 0
    runs: int = 0
    schema: int = SCHEMA

    @property
    def unranked(self) -> str:
        """Why it is not in the ranking, for a reader of the board; "" if it is.

        It lacks a task, or a second seed with a score on one, without which there is no interval.
        """
        seeds = self.scores.groupby("task")["seed"].nunique()
        there = [task for task in self.protocol.tasks if task in seeds.index]
        alone = [task for task in there if seeds[task] == 1]
        if len(there) < len(self.protocol.tasks):
            why = f"scores on {len(there)} of {count(len(self.protocol.tasks), 'task')}"
        elif alone:
            more = f" and {count(len(alone) - 1, 'more task')}" if alone[1:] else ""
            why = f"a single seed has a score on {task_label(alone[0])}{more}, so no interval can be given"
        else:
            return ""
        return why + (f"; {self.diverged} of {count(self.runs, 'run')} diverged" if self.diverged else "")


def entries_of(submission: Submission) -> list[Entry]:
    """The rows of one submission: one for imported scores, otherwise one per protocol and label."""
    if submission.imported is not None:
        protocol = submissions.imported_protocol(submission)
        table = submissions.imported_table(submission)
        selection = submissions.imported_selection(table, protocol)
        facts = [
            ("Origin", "imported: published by others, not run under this protocol's loop"),
            ("Source", submission.imported["source"]),
            ("Licence", submission.imported["licence"]),
            ("Score of a run", selection.rule),
        ]
        if len(selection.left_out):
            short = "; ".join(f"{row.task}, seed {row.seed} at {row.env_steps:,}" for row in selection.left_out.itertuples())
            facts.append(("Left out", f"runs that stop short of {protocol.env_steps:,} env steps: {short}"))
        return [
            Entry(
                submission=submission,
                protocol=protocol,
                method=submission.name,
                points=partial(_as_it_is, table),
                scores=selection.scores,
                facts=facts,
            )
        ]
    by_label: dict[tuple[str, str], list[ScoredRun]] = {}
    for run in submission.runs:
        by_label.setdefault((run.manifest["protocol"], run.manifest["label"]), []).append(run)
    labels = {label for _, label in by_label}
    found = []
    for (id, label), runs in sorted(by_label.items()):
        protocol = catalog.find(id)
        name = submission.name if len(labels) == 1 else f"{submission.name} {label}"
        points = partial(_points, runs, name)
        evaluated = points()
        if evaluated.empty:
            all_of = f"all {count(len(runs), 'run')} of {label} under {id}"
            raise InvalidData(f"{all_of} diverged, so no score can be shown; leave {label} out of the submission")
        selection = per_run.select(evaluated, rule=protocol.score_rule, at=protocol.env_steps, short="drop")
        found.append(
            Entry(
                submission=submission,
                protocol=protocol,
                method=name,
                points=points,
                scores=selection.scores,
                facts=[*_run_facts(runs), _replay_fact(submission, runs)],
                diverged=sum(run.state() == "diverged" for run in runs),
                replayed=_replayed(submission, runs),
                runs=len(runs),
                schema=min(run.schema for run in runs),
            )
        )
    return found


def _as_it_is(table: pd.DataFrame) -> pd.DataFrame:
    return table


def _points(runs: Sequence[ScoredRun], method: str) -> pd.DataFrame:
    return tables.of_runs(runs).assign(method=method)


def _run_facts(runs: Sequence[ScoredRun]) -> list[tuple[str, str]]:
    manifests = [run.manifest for run in runs]
    diverged = [run for run in runs if run.state() == "diverged"]
    options = ", ".join(f"{key}={value}" for key, value in manifests[0]["overrides"].items())
    facts = [
        ("Origin", "recorded by this benchmark and checked"),
        ("Agent", manifests[0]["agent"] + (f" with {options}" if options else "")),
        ("Code", tally(_code(manifest) for manifest in manifests)),
        ("Simulators", tally(_simulators(manifest) for manifest in manifests)),
    ]
    old = sum(run.schema < SCHEMA for run in runs)
    if old:
        facts.append(
            (
                "Schema",
                f"{old} of {count(len(runs), 'run')} of one before {SCHEMA}: packages, chain of evaluations and seal were "
                "not checked",
            )
        )
    if diverged:
        facts.append(("Diverged", f"{len(diverged)} of {count(len(runs), 'run')}"))
    return facts


def _replayed(submission: Submission, runs: Sequence[ScoredRun]) -> int:
    return sum(run.folder.relative_to(submission.folder).as_posix() in submission.replayed for run in runs)


def _replay_fact(submission: Submission, runs: Sequence[ScoredRun]) -> tuple[str, str]:
    again, near = _replayed(submission, runs), submission.replay_tolerance
    if not again:
        return "Replayed", f"0 of {count(len(runs), 'run')}; the scores are what the submitter says"
    exact = f"every score within {near:g} of the recorded one" if near else "every score equal to the bit"
    return "Replayed", f"{again} of {count(len(runs), 'run')}: last evaluation played again from the checkpoint, {exact}"


def _code(manifest: Manifest) -> str:
    if manifest["commit"]:
        return f"commit {manifest['commit'][:12]}"
    source = manifest["source"]
    return f"{source['package']} {source['version']} (files {source['sha256'][:12]})"


def _simulators(manifest: Manifest) -> str:
    return ", ".join(
        f"{name} {manifest['packages'].get(name, 'unknown')}" for name in sorted(manifest["protocol_data"]["simulators"])
    )
