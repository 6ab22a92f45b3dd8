"""The statistics of `verify` against scipy, against closed forms, and in simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import equivalence
from analysis.statistics.equivalence import Pair

MARGIN = 0.05
SPREADS = np.array(
    [
        0.010,
        0.012,
        0.015,
        0.02,
        0.02,
        0.025,
        0.03,
        0.03,
        0.035,
        0.035,
        0.04,
        0.045,
        0.05,
        0.06,
        0.07,
        0.09,
        0.11,
        0.14,
        0.18,
        0.248,
    ]
)
"""Standard deviations of 20 tasks, as spread as those of Dreamer's seeds at 2M env_steps (median 35, range 10-248 points)."""


def pair(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], seeds: int | None = None) -> Pair:
    return Pair(
        tasks=tuple(f"task_{index}" for index in range(len(ours))),
        ours=[np.array(values, float) for values in ours],
        reference=[np.array(values, float) for values in theirs],
        kind="raw" if seeds is None else "mean",
        reference_seeds=seeds or min(map(len, theirs)),
    )


def drawn(
    generator: np.random.Generator, n: int, m: int, gap: float = 0.0, kind: str = "raw", spreads: np.ndarray = SPREADS
) -> Pair:
    """Normal seeds; every task of ours lies `gap` above the reference."""
    ours = [generator.normal(0.6 + gap, spread, n) for spread in spreads]
    theirs = [generator.normal(0.6, spread, m) for spread in spreads]
    if kind == "mean":
        return pair(ours, [[values.mean()] for values in theirs], seeds=m)
    return pair(ours, theirs)


def test_one_task_is_welchs_t_interval() -> None:
    a, b = [0.9, 0.8, 0.85, 0.7], [0.6, 0.9, 0.75]
    test = equivalence.suite_test(pair([a], [b]), 0.05)
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.90)
    assert (test.low, test.high) == pytest.approx((expected.low, expected.high))


def test_several_tasks_by_hand() -> None:
    # variances of the means: .02/2 + .08/2 and .02/2 + .02/2; D = (0 + .3) / 2
    test = equivalence.suite_test(pair([[0.4, 0.6], [0.7, 0.9]], [[0.3, 0.7], [0.4, 0.6]]), 0.05)
    variance = (0.01 + 0.04 + 0.01 + 0.01) / 4
    df = variance**2 / ((0.01**2 + 0.04**2 + 0.01**2 + 0.01**2) / 16)
    assert test.difference == pytest.approx(0.15)
    assert test.standard_error == pytest.approx(math.sqrt(variance))
    assert test.degrees_of_freedom == pytest.approx(df)
    assert test.high == pytest.approx(0.15 + stats.t.ppf(0.95, df) * math.sqrt(variance))


def test_a_mean_only_reference_is_given_our_spread_and_its_seeds() -> None:
    ours = [[0.4, 0.6, 0.5], [0.7, 0.9, 0.8]]
    test = equivalence.suite_test(pair(ours, [[0.5], [0.8]], seeds=5), 0.05)
    assert test.standard_error**2 == pytest.approx(2 * 0.01 * (1 / 3 + 1 / 5) / 4)
    doubled = equivalence.suite_test(pair(ours, [[0.5], [0.8]], seeds=5), 0.05, inflation=2.0)
    assert doubled.high - doubled.difference == pytest.approx(math.sqrt(2) * (test.high - test.difference))


@pytest.mark.parametrize(
    ("gap", "expected"), [(0.0, "reproduced"), (-0.2, "below"), (0.2, "above"), (-0.05, "inconclusive"), (0.05, "inconclusive")]
)
def test_the_four_verdicts(gap: float, expected: str) -> None:
    exact = [[0.5 + gap - 0.01, 0.5 + gap, 0.5 + gap + 0.01]] * 4
    assert equivalence.suite_test(pair(exact, [[0.49, 0.5, 0.51]] * 4), 0.05).verdict(MARGIN) == expected


def test_no_variance_anywhere_gives_a_point_interval() -> None:
    test = equivalence.suite_test(pair([[0.5] * 3] * 2, [[0.52] * 3] * 2), 0.05)
    assert (test.low, test.high, test.standard_error) == (test.difference, test.difference, 0.0)
    assert test.verdict(MARGIN) == "reproduced"
    assert test.verdict(0.01) == "below"


@pytest.mark.parametrize(("kind", "n", "m"), [("raw", 3, 5), ("raw", 5, 5), ("raw", 10, 5), ("mean", 3, 5), ("mean", 5, 5)])
def test_false_passes_at_the_margin_stay_below_six_percent(kind: str, n: int, m: int) -> None:
    """A method exactly one margin below passes by chance alone. 4,000 suites: the standard error of 5% is 0.34%."""
    generator = np.random.default_rng([n, m, len(kind)])
    passed = sum(equivalence.suite_test(drawn(generator, n, m, -MARGIN, kind), 0.05).within(MARGIN) for _ in range(4_000))
    assert passed / 4_000 <= 0.06


@pytest.mark.parametrize(("gap", "low", "high"), [(0.0, 0.97, 1.0), (-0.025, 0.57, 0.75), (-0.075, 0.0, 0.001)])
def test_five_seeds_pass_what_is_the_same_and_not_what_is_below(gap: float, low: float, high: float) -> None:
    """The table in docs/verifying.md: 98.5% at no gap, 66% at half the margin."""
    generator = np.random.default_rng(7)
    passed = np.mean([equivalence.suite_test(drawn(generator, 5, 5, gap), 0.05).within(MARGIN) for _ in range(1_000)])
    assert low <= passed <= high


@pytest.mark.parametrize(("kind", "n"), [("raw", 3), ("raw", 5), ("mean", 3), ("mean", 5)])
def test_the_profile_check_keeps_its_level_when_nothing_differs(kind: str, n: int) -> None:
    """p < .01 in at most 3% of 300 null suites (an exact 1% check exceeds 3% once in 1,000), p < .05 in at most 10%."""
    generator = np.random.default_rng([3, n, len(kind)])
    p = np.array([equivalence.profile_check(drawn(generator, n, 5, kind=kind), MARGIN, draws=400)[1] for _ in range(300)])
    assert (p < 0.01).mean() <= 0.03
    assert (p < 0.05).mean() <= 0.10


@pytest.mark.parametrize("kind", ["raw", "mean"])
def test_the_profile_check_finds_what_cancels_in_the_mean(kind: str) -> None:
    generator = np.random.default_rng(11)
    signs = np.where(np.arange(20) % 2, 1.0, -1.0)
    found = 0
    for _ in range(20):
        fair = drawn(generator, 5, 5, kind=kind)
        tilted = [values + 3 * sign * spread for values, sign, spread in zip(fair.ours, signs, SPREADS, strict=True)]
        shifted = Pair(tasks=fair.tasks, ours=tilted, reference=fair.reference, kind=fair.kind, reference_seeds=5)
        found += equivalence.profile_check(shifted, MARGIN)[1] < 0.01
    assert found >= 19


def test_the_profile_check_is_an_exact_permutation_test_on_one_task() -> None:
    """Three against three fully separated: 2 of the 20 divisions are as extreme, so p is about 0.1."""
    _, p = equivalence.profile_check(pair([[0.9, 0.8, 0.85]], [[0.1, 0.2, 0.15]]), MARGIN, draws=20_000)
    assert p == pytest.approx(0.1, abs=0.01)


def test_constant_tasks_do_not_decide_the_profile() -> None:
    """Pong at 21.0 in every run against 20.9: no variance, no division by zero, no verdict from it."""
    generator = np.random.default_rng(5)
    fair = drawn(generator, 5, 5, spreads=SPREADS[:5])
    for ours, theirs in (([1.0] * 5, [1.0] * 5), ([1.0] * 5, [0.998] * 5)):
        both = Pair(
            tasks=(*fair.tasks, "pong"),
            ours=[*fair.ours, np.array(ours)],
            reference=[*fair.reference, np.array(theirs)],
            kind="raw",
            reference_seeds=5,
        )
        statistic, p = equivalence.profile_check(both, MARGIN)
        assert math.isfinite(statistic)
        assert p > 0.01
        rows = equivalence.task_table(both, 0.05, 2 * MARGIN)
        assert rows[-1].verdict == "equivalent"


def test_holm_by_hand() -> None:
    assert equivalence.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert equivalence.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])


def test_a_reference_too_uncertain_for_its_task_is_called_undecidable() -> None:
    rows = equivalence.task_table(pair([[0.5, 0.52, 0.48]], [[0.1, 0.9, 0.6]]), 0.05, 0.1)
    assert rows[0].verdict == "undecidable"


def test_planned_seeds_have_the_promised_power() -> None:
    generator = np.random.default_rng(2)
    spreads = SPREADS * 2
    observed = drawn(generator, 3, 20, spreads=spreads)
    exact = Pair(  # samples whose variances are the true ones, so that the plan is for the truth
        tasks=observed.tasks,
        ours=[np.array([-s, 0, s]) for s in spreads],
        reference=[np.sqrt(19 / 20) * s * np.repeat([-1.0, 1.0], 10) for s in spreads],
        kind="raw",
        reference_seeds=20,
    )
    plan = equivalence.plan(exact, 0.05, MARGIN)
    assert plan.seeds is not None
    assert equivalence.chance(exact, 0.05, MARGIN, 0.0, plan.seeds - 1) < 0.8
    passed = np.mean(
        [equivalence.suite_test(drawn(generator, plan.seeds, 20, spreads=spreads), 0.05).within(MARGIN) for _ in range(600)]
    )
    assert passed == pytest.approx(0.8, abs=0.06)


def test_no_number_of_seeds_helps_against_a_reference_that_is_too_uncertain() -> None:
    assert equivalence.plan(pair([[0.4, 0.5, 0.6]] * 2, [[0.1, 0.9, 0.5]] * 2), 0.05, MARGIN).seeds is None
    assert equivalence.plan(pair([[0.49, 0.5, 0.51]] * 2, [[0.49, 0.5, 0.51]] * 2), 0.05, MARGIN, gap=0.06).seeds is None
