"""Question and verdict of `verify` as data, and the sentences for people. `analysis.verify.judge` decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from analysis.statistics import aggregate, equivalence
from analysis.statistics.equivalence import Pair, SeedsNeeded, SuiteTest, TaskRow

Mode = Literal["equivalent", "non-inferior", "improves"]
Status = Literal[
    "reproduced", "non-inferior", "improved", "not-improved", "below", "above", "profile-differs", "inconclusive", "invalid"
]

EXIT_CODES: dict[str, int] = {
    "reproduced": 0,
    "non-inferior": 0,
    "improved": 0,
    "below": 1,
    "above": 1,
    "profile-differs": 1,
    "not-improved": 1,
    "inconclusive": 3,
    "invalid": 4,
}

MIN_SEEDS, GOOD_SEEDS = 3, 5
"""Fewer than three seeds give no usable variance. With five, the suite test passes 98% of simulated true reproductions."""

PROFILE_ALPHA = 0.01
"""Level of the profile check. The level .05 would reject 4.5% (3 seeds) to 7% (5 seeds) of splits of real seeds."""

TASK_MARGIN = 2.0
"""Margin of single tasks in units of the suite's margin: 100 points if the suite has 50."""

MARGINS = {"dmc": 0.05, "atari-human": 0.1, "atari-gamer": 0.1}
"""Margin without a protocol: 50 points of 1,000; 10% of the reference's IQM."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """The question, which is fixed before the answer is known.

    margin         equivalence margin in normalised units (for atari-human: share of the reference's IQM)
    margin_source  "protocol dmc-5m@1", "--margin", "default of dmc"
    interim        number of this interim analysis on growing data; analysis k is tested at 0.05 / 2^(k-1)
    """

    method: str
    mode: Mode = "equivalent"
    normalization: str
    margin: float
    margin_source: str
    protocol: str = ""
    interim: int = 1
    allow_better: bool = False
    profile: Literal["fail", "warn"] = "fail"

    @property
    def alpha(self) -> float:
        return 0.05 / 2 ** (self.interim - 1)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer with all numbers behind it.

    causes       causes of an invalid comparison, one line each
    units        units of the test: "return / 1000", or "log(1 + human-normalised score)"
    margin       the margin in these units
    sensitivity  for mean-only references: the suite test with twice the variance
    """

    status: Status
    exit_code: int
    headline: str
    question: Question
    causes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    units: str = ""
    margin: float = math.nan
    suite: SuiteTest | None = None
    sensitivity: SuiteTest | None = None
    profile_statistic: float = math.nan
    profile_p: float = math.nan
    improvement: aggregate.Estimate | None = None
    tasks: tuple[TaskRow, ...] = ()
    plans: tuple[SeedsNeeded, ...] = ()
    plan_lines: tuple[str, ...] = ()
    seeds: tuple[int, int] = (0, 0)
    data_sha256: str = ""
    reference: dict[str, Any] = field(default_factory=dict)


_WORDS = {
    "reproduced": "REPRODUCED",
    "non-inferior": "NOT INFERIOR",
    "improved": "IMPROVED",
    "not-improved": "NOT IMPROVED",
    "below": "BELOW",
    "above": "ABOVE",
    "profile-differs": "REPRODUCED (mean), PROFILE DIFFERS",
    "inconclusive": "INCONCLUSIVE",
}


def headline(
    status: str,
    question: Question,
    suite: SuiteTest,
    margin: float,
    improvement: aggregate.Estimate | None,
    pair: Pair,
    sizes: list[int],
    profile_p: float,
) -> str:
    n = f"{len(pair.tasks)} task{'s' if len(pair.tasks) > 1 else ''}, {_span(sizes)} seeds"
    m = [pair.reference_seeds] if pair.kind == "mean" else [len(values) for values in pair.reference]
    against = f"against {_span(m)}{' (means only)' if pair.kind == 'mean' else ''}"
    level = f"{100 * (1 - 2 * suite.alpha):g}%"
    if improvement is not None:
        interval = f"{improvement.point:.3f} [{improvement.low:.3f}, {improvement.high:.3f}]"
        return f"{_WORDS[status]}: P(improvement) {interval}, {n} {against}"
    gap = f"difference {suite.difference:+.4f}, {level} interval [{suite.low:+.4f}, {suite.high:+.4f}], margin {margin:g}"
    tail = f"; profile p = {profile_p:.4f}" if question.mode == "equivalent" else ""
    return f"{_WORDS[status]}: {gap}, {n} {against}{tail}"


def remarks(
    pair: Pair,
    question: Question,
    suite: SuiteTest,
    sensitivity: SuiteTest | None,
    margin: float,
    profile_p: float,
    sizes: list[int],
) -> list[str]:
    notes = []
    if min(sizes) < GOOD_SEEDS:
        notes.append(
            f"{min(sizes)} seeds are few: {GOOD_SEEDS} or more are recommended (a true reproduction passes in 98% of "
            "simulations instead of 86%)"
        )
    if sensitivity is not None:
        notes.append(
            f"the reference has means only, so it is assumed to have our spread and {pair.reference_seeds} seeds; with "
            "twice that variance "
            f"the interval is [{sensitivity.low:+.4f}, {sensitivity.high:+.4f}]: {sensitivity.verdict(margin).upper()}"
        )
    if suite.standard_error == 0:
        notes.append("the runs of each task are all equal: the interval is a point")
    if question.mode == "equivalent" and profile_p < PROFILE_ALPHA and suite.within(margin):
        notes.append("the means agree but the tasks do not: differences of opposite sign cancel (see the per-task table)")
    if question.interim > 1:
        notes.append(
            f"interim analysis {question.interim} of this question: tested at {question.alpha:g} instead of 0.05, so that "
            "all of them together stay below 0.10"
        )
    return notes


def plans(
    pair: Pair, alpha: float, margin: float, difference: float, sizes: list[int], hours_per_run: float | None
) -> tuple[tuple[SeedsNeeded, ...], tuple[str, ...]]:
    plans, lines = [], []
    for gap, words in (
        (0.0, "if there is no true difference"),
        (difference, f"if the true difference is the observed {difference:+.4f}"),
    ):
        found = equivalence.plan(pair, alpha, margin, gap)
        plans.append(found)
        if found.seeds is None:
            why = "this difference is not inside the margin" if abs(gap) >= margin else "the reference has too few runs"
            lines.append(f"{words}: more seeds will not help: {why}")
            continue
        more = sum(max(0, found.seeds - size) for size in sizes)
        cost = (
            f"about {more * hours_per_run:,.1f} device hours"
            if hours_per_run is not None
            else "hours unknown: the records have no times"
        )
        lines.append(f"{words}: {found.seeds} seeds per task give {found.power:.0%} power ({more} more runs, {cost})")
    return tuple(plans), tuple(lines)


def _span(sizes: Sequence[int]) -> str:
    return str(min(sizes)) if min(sizes) == max(sizes) else f"{min(sizes)}-{max(sizes)}"
