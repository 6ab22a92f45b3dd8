"""`verify`: whether a set of runs reproduces a reference. Validity check, equivalence test, profile check, verdict.

docs/verifying.md has the method and its error rates. Only the suite test and the profile check decide; the per-task table
never does.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.scores import normalize
from analysis.scores.columns import where
from analysis.scores.table import scores_by_task
from analysis.statistics import aggregate, bootstrap, equivalence
from analysis.statistics.equivalence import Pair, SeedsNeeded, SuiteTest
from analysis.verify import verdict
from analysis.verify.reference import Reference
from analysis.verify.verdict import Question, Status, Verdict
from dreamer_bench_base import InvalidData, UserError

if TYPE_CHECKING:
    import pandas as pd


def judge(
    scores: pd.DataFrame,
    reference: Reference,
    question: Question,
    *,
    budget_env_steps: int,
    causes: Sequence[str] = (),
    notes: Sequence[str] = (),
    hours_per_run: float | None = None,
) -> Verdict:
    """The verdict on scores (method, task, seed, score; unnormalised) of one method.

    causes          reasons why the comparison is already invalid (from `validity`), listed with those that are found here
    hours_per_run   device hours of one run, for the planning line
    """
    found = [*causes, *_score_causes(scores, reference, budget_env_steps)]
    described = _describe(reference)
    digest = data_sha256(scores)
    if found:
        headline = invalid_headline(found)
        return Verdict(
            status="invalid",
            exit_code=4,
            headline=headline,
            question=question,
            causes=tuple(found),
            notes=tuple(notes),
            data_sha256=digest,
            reference=described,
        )
    pair, units, margin = _pair(scores, reference, question)
    alpha = question.alpha
    suite = equivalence.suite_test(pair, alpha)
    sensitivity = equivalence.suite_test(pair, alpha, inflation=2.0) if pair.kind == "mean" else None
    statistic, profile_p = equivalence.profile_check(pair, margin)
    improvement = _improvement(scores, reference, question) if question.mode == "improves" else None
    status = _status(question, suite, margin, profile_p, improvement)
    sizes = [len(ours) for ours in pair.ours]
    remarks = [*notes, *verdict.remarks(pair, question, suite, sensitivity, margin, profile_p, sizes)]
    plans: tuple[SeedsNeeded, ...] = ()
    lines: tuple[str, ...] = ()
    if status == "inconclusive" and question.mode != "improves":
        plans, lines = verdict.plans(pair, alpha, margin, suite.difference, sizes, hours_per_run)
    code = 0 if status == "above" and question.allow_better else verdict.EXIT_CODES[status]
    return Verdict(
        status=status,
        exit_code=code,
        headline=verdict.headline(status, question, suite, margin, improvement, pair, sizes, profile_p),
        question=question,
        notes=tuple(remarks),
        units=units,
        margin=margin,
        suite=suite,
        sensitivity=sensitivity,
        profile_statistic=statistic,
        profile_p=profile_p,
        improvement=improvement,
        tasks=tuple(equivalence.task_table(pair, alpha, verdict.TASK_MARGIN * margin)),
        plans=plans,
        plan_lines=lines,
        seeds=(min(sizes), max(sizes)),
        data_sha256=digest,
        reference=described,
    )


def invalid_headline(causes: Sequence[str]) -> str:
    """The cause, or the number of causes."""
    return f"INVALID: {causes[0]}" if len(causes) == 1 else f"INVALID, for {len(causes)} causes"


def data_sha256(scores: pd.DataFrame) -> str:
    """Hash of the scores, with tasks and values sorted, so that row order and seed labels have no effect."""
    lines = sorted(f"{task} {float(score)!r}" for task, score in zip(scores["task"], scores["score"], strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def margin_of(normalization: str, protocol: Any, given: float | None) -> tuple[float, str]:
    """The margin and its origin: the given one, else the protocol's, else the default of the normalisation."""
    if given is not None:
        return given, "--margin"
    if protocol is not None:
        return float(protocol.margin), f"protocol {protocol.id}"
    if normalization not in verdict.MARGINS:
        raise UserError(
            f"there is no margin for the normalisation {normalization!r}; give one with --margin, or name a --protocol"
        )
    return verdict.MARGINS[normalization], f"default of {normalization}"


def _score_causes(scores: pd.DataFrame, reference: Reference, budget_env_steps: int) -> list[str]:
    causes = []
    ours, theirs = set(scores["task"]), set(reference.scores["task"])
    if theirs - ours:
        causes.append(f"no runs on {_list(theirs - ours)}, which the reference has; add them, or compare fewer with --tasks")
    if ours - theirs:
        causes.append(f"the reference has no {_list(ours - theirs)}; leave them out with --tasks")
    if abs(budget_env_steps - reference.budget_env_steps) > 0.01 * reference.budget_env_steps:
        causes.append(
            f"budget {budget_env_steps:,} env_steps against the reference's {reference.budget_env_steps:,}; compare at one "
            "with --at"
        )
    for name, frame in (("", scores), ("the reference's ", reference.scores)):
        bad = frame[~np.isfinite(frame["score"].to_numpy(float))]
        if len(bad):
            row = bad.iloc[0]
            causes.append(
                f"{name}{row['method']}, {row['task']}, seed {row['seed']} has no finite score; fix or remove that run"
            )
    sizes = scores.groupby("task").size()
    few = sizes[sizes < verdict.MIN_SEEDS]
    if len(few):
        causes.append(
            f"{_first_place(scores, few.index)}{_list(few.index)} {'have' if len(few) > 1 else 'has'} {few.min()} "
            f"seed{'s' if few.min() > 1 else ''}; at "
            f"least {verdict.MIN_SEEDS} are needed, {verdict.GOOD_SEEDS} recommended"
        )
    if reference.kind == "raw":
        sizes = reference.scores.groupby("task").size()
        if (sizes < 2).any():
            causes.append(
                f"{_first_place(reference.scores, sizes[sizes < 2].index)}the reference has a single seed on "
                f"{_list(sizes[sizes < 2].index)}, so no variance to compare with; add seeds, or leave it out with "
                "--tasks"
            )
    values = scores.groupby("task")["score"].agg(lambda score: tuple(sorted(score)))
    other = reference.scores.groupby("task")["score"].agg(lambda score: tuple(sorted(score)))
    if reference.kind == "raw" and ours == theirs and values.equals(other) and any(len(set(value)) > 1 for value in values):
        causes.append("these are the reference's own scores; compare runs that are not part of it")
    return causes


def _pair(scores: pd.DataFrame, reference: Reference, question: Question) -> tuple[Pair, str, float]:
    """Both sides in the units of the test, and the margin in them."""
    kind = normalize.find(question.normalization)
    ours = scores_by_task(normalize.normalize(scores, question.normalization), question.method)
    method = str(reference.scores["method"].iloc[0])
    theirs = scores_by_task(normalize.normalize(reference.scores, question.normalization), method)
    tasks = tuple(sorted(ours))
    units, margin = kind.label, question.margin

    def unit(values: list[float]) -> np.ndarray:
        return np.asarray(values, dtype=float)

    if kind.logarithmic:
        # Scores differ by orders of magnitude between games; on the log scale no game dominates the mean. The margin is 10%
        # at the reference's IQM.
        iqm = max(float(bootstrap.iqm(np.concatenate([unit(theirs[task]) for task in tasks]))), 0.0)
        if iqm == 0.0:
            raise InvalidData(
                "the reference's IQM is not above the random agent's, so 10% of it is no margin; choose another --normalize"
            )
        units, margin = f"log(1 + {kind.label})", math.log1p(iqm * (1 + question.margin)) - math.log1p(iqm)

        def unit(values: list[float]) -> np.ndarray:  # type: ignore[no-redef]
            return np.log1p(np.maximum(np.asarray(values, dtype=float), 0.0))

    return (
        Pair(
            tasks=tasks,
            ours=[unit(ours[task]) for task in tasks],
            reference=[unit(theirs[task]) for task in tasks],
            kind=reference.kind,
            reference_seeds=reference.seeds,
        ),
        units,
        margin,
    )


def _improvement(scores: pd.DataFrame, reference: Reference, question: Question) -> aggregate.Estimate:
    import pandas as pd

    assert reference.kind == "raw", reference.name  # the command refuses a reference of means
    if question.alpha * aggregate.REPS < 2:  # each tail of the interval would lie beyond the last resample
        raise UserError(
            f"interim analysis {question.interim} of --improves is tested at {question.alpha:.2g}, which {aggregate.REPS:,} "
            "resamples cannot decide; use --non-inferior, or plan fewer interim analyses"
        )
    both = pd.concat([scores.assign(method="ours"), reference.scores.assign(method="reference")], ignore_index=True)
    return aggregate.improvement(both, "ours", "reference", confidence=1.0 - question.alpha)


def _status(
    question: Question, suite: SuiteTest, margin: float, profile_p: float, improvement: aggregate.Estimate | None
) -> Status:
    if improvement is not None:
        return "improved" if improvement.low > 0.5 else "not-improved" if improvement.high < 0.5 else "inconclusive"
    if question.mode == "non-inferior":
        return "non-inferior" if suite.low > -margin else "below" if suite.high < -margin else "inconclusive"
    outcome = suite.verdict(margin)
    if outcome == "reproduced" and profile_p < verdict.PROFILE_ALPHA and question.profile == "fail":
        return "profile-differs"
    return outcome


def _describe(reference: Reference) -> dict[str, Any]:
    return {
        "name": reference.name,
        "title": reference.title,
        "source": reference.source,
        "licence": reference.licence,
        "kind": reference.kind,
        "seeds": reference.seeds,
        "budget_env_steps": reference.budget_env_steps,
        "window_env_steps": reference.window_env_steps,
        "evaluation": reference.evaluation,
        "sha256": reference.sha256,
    }


def _first_place(scores: pd.DataFrame, tasks: Any) -> str:
    """The place of the first run of the first of these tasks."""
    return where(scores[scores["task"] == min(tasks)].iloc[0])


def _list(names: Any) -> str:
    ordered = sorted(map(str, names))
    return (
        ordered[0]
        if len(ordered) == 1
        else f"{ordered[0]} and {len(ordered) - 1} more tasks"
        if len(ordered) > 3
        else ", ".join(ordered)
    )
