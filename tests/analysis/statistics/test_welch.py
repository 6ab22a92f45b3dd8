"""Differences of two methods' means: Welch's interval by SciPy for one task, by hand for two."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from scipy import stats

from analysis.statistics import welch
from dreamer_bench_base import InvalidData


def scores(**methods: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        (method, task, seed, score)
        for method, tasks in methods.items()
        for task, values in tasks.items()
        for seed, score in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["method", "task", "seed", "score"])


def test_one_task_is_what_scipy_says():
    a, b = [700.0, 680.0, 750.0, 600.0], [300.0, 420.0, 310.0]
    found = welch.difference(scores(a={"t": a}, b={"t": b}), "a", "b")
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.point == pytest.approx(682.5 - 1030 / 3)
    assert (found.tasks, found.runs, found.seeds_min, found.seeds_max) == (1, 7, 3, 4)


def test_two_tasks_by_hand():
    table = scores(a={"t": [1.0, 3.0], "u": [10.0, 14.0]}, b={"t": [0.0, 2.0], "u": [4.0, 8.0]})
    found = welch.difference(table, "a", "b")
    parts = [2 / 2 / 4, 8 / 2 / 4, 2 / 2 / 4, 8 / 2 / 4]  # variance / seeds / tasks squared
    freedom = sum(parts) ** 2 / sum(part**2 for part in parts)  # of two seeds each
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert (found.point, found.low, found.high) == pytest.approx((3.5, 3.5 - half, 3.5 + half))


@pytest.mark.parametrize(
    ("theirs", "says"), [({"t": [1.0]}, "a single seed"), ({"t": [1.0, 2.0], "u": [1.0, 2.0]}, "no score on u")]
)
def test_a_single_seed_and_a_task_of_one_method_alone_are_refused(theirs, says):
    with pytest.raises(InvalidData, match=says):
        welch.difference(scores(a={"t": [1.0, 2.0]}, b=theirs), "a", "b")
