"""The statistics of `verify`, from arrays to numbers: equivalence of suite means, profile check, per-task table, planning.

There is one array of scores per task for us, and one for a raw reference; a mean-only reference has means and a number of runs.
docs/verifying.md says why these tests are used, with simulated error rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics import bootstrap

Values = NDArray[np.float64]

DRAWS = 10_000
"""Random draws of the profile check."""

FLOOR = 0.2
"""In the profile check, smaller standard deviations are raised to this share of the margin, so that 21.0 against 20.9 in a game
that always ends with the same score cannot decide."""

CAP = 2.0
"""Mean-only references: most standard errors that one task can add to the profile. Real seeds are not normal, and three seeds
that happen to agree make the ratio of a task huge. Without the cap, 5-19% of 150 splits of DreamerV3's and DrQ-v2's published
seeds were called different (p < .01), with it 0-3%. DreamerV2 against the means of Dreamer at three seeds was detected in 50 of
50 splits with and without it."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Our scores and the reference's for every task, in the units of the test.

    reference  scores of the runs per task, or one value: the mean of `reference_seeds` runs that are not available
    """

    tasks: tuple[str, ...]
    ours: Sequence[Values]
    reference: Sequence[Values]
    kind: Literal["raw", "mean"]
    reference_seeds: int

    @property
    def differences(self) -> Values:
        """[T] our mean minus the reference's."""
        return np.array([a.mean() - r.mean() for a, r in zip(self.ours, self.reference, strict=True)])


@dataclass(frozen=True, kw_only=True)
class SuiteTest:
    """Difference of suite means with its interval at level 1 - 2 alpha, which gives two one-sided tests at alpha."""

    difference: float
    standard_error: float
    degrees_of_freedom: float
    alpha: float
    low: float
    high: float

    def within(self, margin: float) -> bool:
        return -margin < self.low and self.high < margin

    def verdict(self, margin: float) -> Literal["reproduced", "below", "above", "inconclusive"]:
        if self.within(margin):
            return "reproduced"
        if self.high < -margin:
            return "below"
        return "above" if self.low > margin else "inconclusive"


def suite_test(pair: Pair, alpha: float, inflation: float = 1.0) -> SuiteTest:
    """Welch-Satterthwaite t-interval of the mean over tasks of (our mean - reference mean).

    raw reference:   Var = 1/T² sum(s_a²/n + s_r²/m)
    mean only:       Var = 1/T² sum s_a² (1/n + 1/m), which assumes our spread for the reference
    inflation        factor on the variance, for the sensitivity line of mean-only references
    """
    parts, freedom = _variance_parts(pair)
    difference = float(pair.differences.mean())
    error, df = _combined(parts, freedom)
    error *= math.sqrt(inflation)
    half = float(stats.t.ppf(1.0 - alpha, df)) * error if error > 0 else 0.0
    return SuiteTest(
        difference=difference,
        standard_error=error,
        degrees_of_freedom=df,
        alpha=alpha,
        low=difference - half,
        high=difference + half,
    )


def _variance_parts(pair: Pair, seeds: int | None = None) -> tuple[Values, Values]:
    """Independent parts of the variance of D and their degrees of freedom; `seeds` replaces our own number for planning."""
    total = len(pair.tasks)
    parts, freedom = [], []
    for ours, theirs in zip(pair.ours, pair.reference, strict=True):
        n = seeds or len(ours)
        spread = float(ours.var(ddof=1))
        if pair.kind == "mean":
            parts.append(spread * (1.0 / n + 1.0 / pair.reference_seeds))
            freedom.append(n - 1)
        else:
            parts += [spread / n, float(theirs.var(ddof=1)) / len(theirs)]
            freedom += [n - 1, len(theirs) - 1]
    return np.array(parts) / total**2, np.array(freedom, dtype=float)


def _combined(parts: Values, freedom: Values) -> tuple[float, float]:
    variance = float(parts.sum())
    weight = float((parts**2 / freedom).sum())
    return math.sqrt(variance), variance**2 / weight if weight > 0 else math.inf


def profile_check(pair: Pair, margin: float, draws: int = DRAWS) -> tuple[float, float]:
    """Q = sum over tasks |mean difference| / pooled SD, and its p-value with the +1 rule. It finds differences that cancel in
    the mean.

    Raw reference: seeds change sides at random within tasks. Mean-only reference: normal seeds with our spread against the mean
    of m such seeds. The SD is then ours alone, its own uncertainty is drawn, too, and the term of each task is capped (CAP).
    """
    floor = FLOOR * margin
    generator = bootstrap.generator(
        f"profile {pair.kind} {pair.reference_seeds}",
        [f"{task} {side}" for task in pair.tasks for side in ("ours", "reference")],
        [np.sort(side) for both in zip(pair.ours, pair.reference, strict=True) for side in both],
    )
    observed, null = 0.0, np.zeros(draws)
    for ours, theirs in zip(pair.ours, pair.reference, strict=True):
        ours, theirs = np.sort(ours), np.sort(theirs)
        if pair.kind == "raw":
            pool = np.concatenate([ours, theirs])
            shuffled = generator.permuted(np.broadcast_to(pool, (draws, len(pool))), axis=1)
            observed += float(_pooled_term(ours[None], theirs[None], floor)[0])
            null += _pooled_term(shuffled[:, : len(ours)], shuffled[:, len(ours) :], floor)
        else:
            n, m, spread = len(ours), pair.reference_seeds, max(float(ours.std(ddof=1)), floor)
            scale = math.sqrt(1 / n + 1 / m)
            observed += min(abs(ours.mean() - theirs.mean()) / spread, CAP * scale)
            gap = spread * scale * np.abs(generator.standard_normal(draws))
            seen = spread * np.sqrt(generator.chisquare(n - 1, draws) / (n - 1))
            null += np.minimum(gap / np.maximum(seen, floor), CAP * scale)
    reached = int((null >= observed * (1 - 1e-9)).sum())
    return observed, (1 + reached) / (1 + draws)


def _pooled_term(a: Values, b: Values, floor: float) -> Values:
    """[draws] |mean difference| / pooled SD of a [draws, n] and b [draws, m]."""
    n, m = a.shape[1], b.shape[1]
    pooled = np.sqrt(((n - 1) * a.var(axis=1, ddof=1) + (m - 1) * b.var(axis=1, ddof=1)) / (n + m - 2))
    return np.abs(a.mean(axis=1) - b.mean(axis=1)) / np.maximum(pooled, floor)


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One line of the diagnostic table; it never decides.

    verdict  equivalence test at the wider margin: "equivalent", "below", "above", "inconclusive", or "undecidable" if the
             reference's own uncertainty exceeds that margin for any number of our seeds
    p        Holm-adjusted p-value of Welch's test of no difference
    """

    task: str
    ours: float
    reference: float
    seeds: int
    reference_seeds: int
    difference: float
    low: float
    high: float
    verdict: str
    p: float


def task_table(pair: Pair, alpha: float, margin: float) -> list[TaskRow]:
    """The per-task table; `margin` is the wider one for single tasks."""
    rows, p_values = [], []
    for index, task in enumerate(pair.tasks):
        ours, theirs = pair.ours[index], pair.reference[index]
        m = pair.reference_seeds if pair.kind == "mean" else len(theirs)
        single = Pair(tasks=(task,), ours=[ours], reference=[theirs], kind=pair.kind, reference_seeds=m)
        test = suite_test(single, alpha)
        if test.standard_error > 0:
            p_values.append(float(2 * stats.t.sf(abs(test.difference) / test.standard_error, test.degrees_of_freedom)))
        else:
            p_values.append(1.0 if test.difference == 0 else 0.0)
        spread = float((ours if pair.kind == "mean" else theirs).std(ddof=1))
        remaining = float(stats.t.ppf(1 - alpha, max(m - 1, 1))) * spread / math.sqrt(m)
        outcome: str = test.verdict(margin)
        if outcome == "inconclusive" and remaining >= margin:
            outcome = "undecidable"
        rows.append((task, ours, theirs, m, test, {"reproduced": "equivalent"}.get(outcome, outcome)))
    return [
        TaskRow(
            task=task,
            ours=float(ours.mean()),
            reference=float(theirs.mean()),
            seeds=len(ours),
            reference_seeds=m,
            difference=test.difference,
            low=test.low,
            high=test.high,
            verdict=outcome,
            p=p,
        )
        for (task, ours, theirs, m, test, outcome), p in zip(rows, holm(p_values), strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values after Holm's step-down adjustment, in the given order."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted.tolist()


@dataclass(frozen=True, kw_only=True)
class SeedsNeeded:
    """Seeds per task that would decide, if the spread stays as observed and the true gap is as assumed.

    seeds  None if no number of our seeds reaches the power, because the reference's own uncertainty is too large
    """

    gap: float
    power: float
    seeds: int | None


def plan(pair: Pair, alpha: float, margin: float, gap: float = 0.0, power: float = 0.8, most: int = 1_000) -> SeedsNeeded:
    """Smallest number of seeds per task with probability `power` of "reproduced" if the true difference is `gap`."""
    if chance(pair, alpha, margin, gap, most) < power:
        return SeedsNeeded(gap=gap, power=power, seeds=None)
    low, high = 2, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(pair, alpha, margin, gap, middle) >= power else (middle + 1, high)
    return SeedsNeeded(gap=gap, power=power, seeds=low)


def chance(pair: Pair, alpha: float, margin: float, gap: float, seeds: int) -> float:
    """Probability that the interval is inside the margin with `seeds` of our seeds per task (t approximation)."""
    error, df = _combined(*_variance_parts(pair, seeds))
    if error == 0:
        return float(abs(gap) < margin)
    critical = stats.t.ppf(1 - alpha, df)
    upper, lower = (margin - gap) / error - critical, (-margin - gap) / error + critical
    return float(max(0.0, stats.t.cdf(upper, df) - stats.t.cdf(lower, df)))
