"""`verify` from paths to an exit code: reads both sides, judges, prints and writes the verdict."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.scores import normalize, per_run, references, table
from analysis.scores.exchange import check_target
from analysis.scores.from_runs import ScoredRun
from analysis.scores.tasks import named
from analysis.verify import files, judge, validity
from analysis.verify.files import History
from analysis.verify.reference import Reference
from analysis.verify.reference import load as load_reference
from analysis.verify.verdict import Mode, Question, Verdict
from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_files import write_together
from protocols import own
from protocols.spec import Protocol, ScoreRule

if TYPE_CHECKING:
    import pandas as pd


MOST_INTERIM = 1_000
"""Most interim analyses of one question. The level of the thousandth is 0.05 / 2^999, which is 0 for all purposes."""


def verify_scores(command: Any) -> int:
    """Prints and writes the verdict of a `VerifyCommand`, and returns its exit code."""
    if command.junit is not None and command.junit.resolve() == command.json.resolve():
        raise UserError(f"--json and --junit both name {command.json}; give two files")
    for path in filter(None, (command.json, command.junit)):
        check_target(path)
    history = files.read_history(command.json)
    verdict, key = examine(command, history)
    stored = files.without_folders(verdict, (*command.scores, Path(command.reference)))
    texts = {command.json: files.as_json(stored, key, history, _as_asked(command))}
    if command.junit is not None:
        texts[command.junit] = files.as_junit(stored)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    write_together({path: text.encode() for path, text in texts.items()})
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(files.as_markdown(stored))
    _show(verdict, command.per_task)
    return verdict.exit_code


def examine(command: Any, history: History) -> tuple[Verdict, dict[str, Any]]:
    """The verdict, and the key of its question. Raises UserError for a question that makes no sense."""
    _refuse_nonsense(command)
    mode: Mode = "non-inferior" if command.non_inferior else "improves" if command.improves else "equivalent"
    question = Question(
        method=command.method or "",
        mode=mode,
        normalization="none",
        margin=0.0,
        margin_source="",
        protocol=command.protocol or "",
        allow_better=command.allow_better,
        profile=command.profile,
    )
    key = files.question_key(question, {"name": Path(command.reference).name, "sha256": ""}, [])
    causes: list[str] = []
    try:
        found = table.find(command.scores)
        runs = [run for members in found.values() for run in members]
        protocol = _protocol(command, runs)
        question = replace(question, protocol=protocol.id if protocol else "")
        notes: list[str] = []
        points, tasks = _ours(command, protocol, found, notes)
        question = _in_units(command, question, protocol, points)
        causes, more = validity.record_causes(runs, question.method, protocol, tasks)
        notes += more
        causes += validity.copies(points)
        rule, at = _rule(command, protocol)
        # a known cause is not repeated, and must not hide other causes
        selection = _score(points, rule, at, command.window, short="drop" if causes else "fail")
        reference = _reference(command, selection, rule, tasks, protocol)
        notes += [f"reference: {line}" for line in reference.notes]
        compared = sorted(selection.scores["task"].unique())
        key = files.question_key(question, {"name": reference.name, "sha256": reference.sha256}, compared)
        interim = command.interim or history.number(key, judge.data_sha256(selection.scores))
        if reference.kind == "mean":
            notes.append(f"score: {selection.rule}; how the reference was evaluated is {reference.evaluation}")
        if protocol is not None and len(compared) < len(protocol.tasks):
            notes.append(
                f"{len(compared)} of the {len(protocol.tasks)} tasks of {protocol.id}: this says nothing about the others"
            )
        verdict = judge.judge(
            selection.scores,
            reference,
            replace(question, interim=interim),
            budget_env_steps=selection.budget_env_steps,
            causes=causes,
            notes=notes,
            hours_per_run=_hours(points),
        )
    except per_run.NoPoint as error:  # of runs under way it says nothing that the line of each run does not
        verdict = _invalid(question, causes if validity.name_unfinished(causes) else [*causes, str(error)])
    except InvalidData as error:
        verdict = _invalid(question, [*causes, str(error)])
    if verdict.status == "inconclusive" and command.inconclusive == "pass":
        verdict = replace(verdict, exit_code=0)
    return verdict, key


def _refuse_nonsense(command: Any) -> None:
    """Raises UserError for options that make no sense, before anything is read."""
    if command.non_inferior and command.improves:
        raise UserError("--non-inferior and --improves are two different tests; choose one")
    if command.improves and command.reference in references.NAMES:
        raise UserError(
            f"--improves needs the runs of the reference, and {command.reference} has means only; use --non-inferior"
        )
    if command.interim is not None and not 1 <= command.interim <= MOST_INTERIM:
        raise UserError(f"--interim must be 1 to {MOST_INTERIM}, not {command.interim}")
    if command.at is not None and command.at < 1:
        raise UserError(f"--at must be a number of env_steps above 0, not {command.at}")
    if command.margin is not None and not (command.margin > 0 and math.isfinite(command.margin)):
        raise UserError(
            f"--margin must be a number above 0 in normalised units, not {command.margin}; 0.05 is the margin of the DMC "
            "protocols"
        )


def _score(
    points: pd.DataFrame, rule: ScoreRule | None, at: int | None, window: int, short: per_run.Short
) -> per_run.Selection:
    """One score per run of ours. Runs that stop before the budget are dropped only if they already make the verdict invalid."""
    try:
        return per_run.select(points, rule=rule, at=at, window=window, short=short)
    except InvalidData as error:
        what, _, cure = str(error).partition("; ")
        told = f"{what}; {'finish the runs, or compare earlier with --at' if '--short' in cure else cure}"
        raise type(error)(told) from None


def _in_units(command: Any, question: Question, protocol: Protocol | None, points: pd.DataFrame) -> Question:
    """The question with its method, units and margin: from the options, else the protocol, else the tasks' suite."""
    normalization: str = command.normalize
    if normalization == "auto":
        normalization = protocol.normalization if protocol is not None else normalize.for_tasks(points["task"].unique())
    margin, source = judge.margin_of(normalization, protocol, command.margin)
    return replace(
        question, method=str(points["method"].iloc[0]), normalization=normalization, margin=margin, margin_source=source
    )


def _ours(
    command: Any, protocol: Protocol | None, found: Mapping[Path, Sequence[ScoredRun]], notes: list[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Our points, and the tasks of --tasks: patterns name those of our points and of our runs that have no point yet."""
    wanted = command.protocol or (protocol.id if protocol else None)
    points = table.read(command.scores, protocol=wanted, own_tasks=command.own_tasks, notes=notes, runs=found)
    points = table.chosen(points, (command.method,) if command.method else ())
    methods = set(points["method"])
    manifests = [run.manifest for members in found.values() for run in members]
    begun = {
        manifest["task"]
        for manifest in manifests
        if manifest["label"] in methods and protocol is not None and manifest["protocol"] == protocol.id
    }
    tasks = named(command.tasks, {*points["task"], *begun})
    if tasks:
        points = points[points["task"].isin(tasks)]
        if points.empty:
            raise InvalidData(f"none of the tasks {', '.join(command.tasks)} is among the scores; check --tasks")
    there = sorted(points["method"].unique())
    if len(there) > 1:
        raise UserError(f"the scores hold the methods {', '.join(there)}; choose one with --method")
    return points.reset_index(drop=True), tasks


def _protocol(command: Any, runs: Sequence[ScoredRun]) -> Protocol | None:
    """The protocol of the option, else that of the runs (installed, or from their manifests); None for bare score files."""
    from protocols import catalog

    recorded = table.protocols_of(runs)
    if command.protocol is not None:
        asked = recorded.get(command.protocol)  # a user's own protocol is known only from its records
        return asked if asked is not None and own.is_own(asked.id) else catalog.find(command.protocol)
    if len(recorded) > 1:
        raise UserError(f"the runs belong to the protocols {', '.join(sorted(recorded))}; choose one with --protocol")
    return next((catalog.entries().get(id, known) for id, known in recorded.items()), None)


def _rule(command: Any, protocol: Protocol | None) -> tuple[ScoreRule | None, int | None]:
    """The protocol's rule and budget, unless options set others. `--at` with the protocol's own budget keeps its rule."""
    if protocol is None:
        return None, command.at
    if command.window or command.at not in (None, protocol.env_steps):
        return None, protocol.env_steps if command.at is None else command.at
    return protocol.score_rule, protocol.env_steps


def _reference(
    command: Any, selection: per_run.Selection, rule: ScoreRule | None, tasks: tuple[str, ...], protocol: Protocol | None
) -> Reference:
    window = rule.window_env_steps if rule is not None else command.window
    if selection.budget_env_steps < 1:
        raise InvalidData("the scores end at 0 env_steps, before any training; give scores of later steps")
    try:
        reference = load_reference(
            command.reference,
            method=command.reference_method,
            at=selection.budget_env_steps,
            window=window,
            rule=rule,
            short=command.reference_short,
            protocol=None if protocol is None else protocol.id,
            own_tasks=command.own_tasks,
        )
    except InvalidData as error:
        if "--short" not in str(error):
            raise
        raise type(error)(f"the reference: {str(error).replace('--short', '--reference-short')}") from None
    if tasks:
        asked = named(command.tasks, {*tasks, *reference.scores["task"]})  # a pattern also names tasks that only it has
        kept = reference.scores[reference.scores["task"].isin(asked)].reset_index(drop=True)
        if kept.empty:
            raise InvalidData(f"the reference has none of the tasks {', '.join(tasks)}; check --tasks")
        reference = replace(reference, scores=kept)
    return reference


def _hours(points: pd.DataFrame) -> float | None:
    """Mean device hours of a run; None if no record has them."""
    longest = points.groupby(table.RUN)["device_seconds"].max().dropna()
    return float(longest.mean()) / 3_600.0 if len(longest) else None


def _invalid(question: Question, causes: list[str]) -> Verdict:
    return Verdict(
        status="invalid", exit_code=4, headline=judge.invalid_headline(causes), question=question, causes=tuple(causes)
    )


def _as_asked(command: Any) -> dict[str, Any]:
    """The command's options for the record, with names of files but not folders of this machine."""
    return {
        name: value.name
        if isinstance(value, Path)
        else Path(value).name
        if name in ("protocol", "reference") and value is not None
        else [v.name if isinstance(v, Path) else v for v in value]
        if isinstance(value, tuple)
        else value
        for name, value in asdict(command).items()
    }


def _show(verdict: Verdict, per_task: bool) -> None:
    print(verdict.headline)
    for line in verdict.causes if len(verdict.causes) > 1 else ():
        print(f"  cause: {line}")
    for line in verdict.plan_lines:
        print(f"  plan: {line}")
    if verdict.tasks and per_task:
        width = max(len(row.task) for row in verdict.tasks)
        heads = "     ours  reference  difference  interval              Holm p  verdict"
        print(f"  {'task':<{width}}{heads} (in {verdict.units}; diagnostic, never decides)")
        for row in verdict.tasks:
            print(
                f"  {row.task:<{width}}  {row.ours:7.3f}  {row.reference:9.3f}  {row.difference:+10.3f}"
                f"  [{row.low:+.3f}, {row.high:+.3f}]      {row.p:6.3f}  {row.verdict}"
            )
    for note in verdict.notes:
        print(f"note: {note}", file=sys.stderr)
