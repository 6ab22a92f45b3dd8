"""The statistics against rliable 1.2.0 on the same data, in one run: 4 methods x 20 tasks x 5 seeds.

rliable's own times grow with the resamples (an interpreted loop around one resample), so its large counts are measured at
`ORACLE_REPS` and scaled; what was measured and what was scaled is in `extra_info` of every result. Correctness: tests/analysis.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rliable import library, metrics

from analysis.scores.columns import COLUMNS, DEFAULTS
from analysis.statistics import aggregate, curves

pytestmark = pytest.mark.benchmark_suite

METHODS, TASKS, SEEDS, POINTS = 4, 20, 5, 100
REPS = 50_000
IMPROVEMENT_REPS = 2_000
ORACLE_REPS = {"metrics": 1_000, "improvement": 20, "curve": 20}


@pytest.fixture(scope="module")
def cube() -> np.ndarray:
    """[methods, seeds, tasks, points] scores in about [0, 1]."""
    generator = np.random.default_rng(0)
    levels = generator.uniform(0.1, 1.0, (METHODS, 1, TASKS, 1)) * np.linspace(0.2, 1.0, POINTS)
    return levels + generator.normal(0, 0.1, (METHODS, SEEDS, TASKS, POINTS))


@pytest.fixture(scope="module")
def scores(cube: np.ndarray) -> pd.DataFrame:
    rows = [
        (f"method-{m}", f"dmc_task_{t:02}", str(s), cube[m, s, t, -1])
        for m in range(METHODS) for s in range(SEEDS) for t in range(TASKS)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["method", "task", "seed", "score"])


def compare(benchmark: Any, ours: Callable[[], Any], oracle: Callable[[], Any], scale: float, wanted: float) -> None:
    """Times both in this process and records the ratio."""
    benchmark.pedantic(ours, rounds=5, warmup_rounds=1)
    start = time.perf_counter()
    oracle()
    oracle_seconds = (time.perf_counter() - start) * scale
    ratio = oracle_seconds / benchmark.stats.stats.median
    benchmark.extra_info.update(
        rliable_seconds=round(oracle_seconds, 3), rliable_scaled_by=scale, times_faster=round(ratio, 1), wanted=wanted
    )
    seconds = benchmark.stats.stats.median
    print(f"\n{benchmark.name}: {seconds:.4f} s, rliable {oracle_seconds:.1f} s (scaled by {scale:g}), {ratio:,.0f} x")
    assert ratio >= wanted


def test_four_metrics_at_50000_resamples(benchmark: Any, scores: pd.DataFrame, cube: np.ndarray) -> None:
    def all_metrics(x: np.ndarray) -> np.ndarray:
        functions = (metrics.aggregate_iqm, metrics.aggregate_median, metrics.aggregate_mean, metrics.aggregate_optimality_gap)
        return np.array([function(x) for function in functions])

    finals = {f"method-{m}": cube[m, :, :, -1] for m in range(METHODS)}
    reps = ORACLE_REPS["metrics"]
    compare(
        benchmark,
        lambda: aggregate.estimates(scores, reps=REPS),
        lambda: library.get_interval_estimates(finals, all_metrics, reps=reps),
        REPS / reps,
        wanted=100,
    )


def test_probability_of_improvement_at_2000_resamples(benchmark: Any, scores: pd.DataFrame, cube: np.ndarray) -> None:
    pair = {"0,1": [cube[0, :, :, -1], cube[1, :, :, -1]]}
    reps = ORACLE_REPS["improvement"]
    compare(
        benchmark,
        lambda: aggregate.improvement(scores, "method-0", "method-1", reps=IMPROVEMENT_REPS),
        lambda: library.get_interval_estimates(pair, metrics.probability_of_improvement, reps=reps),
        IMPROVEMENT_REPS / reps,
        wanted=1_000,
    )


def test_iqm_curve_of_100_points_at_50000_resamples(benchmark: Any, cube: np.ndarray) -> None:
    """One method's curve; the four of a figure take four times as long. Wanted: under 60 s on one core."""
    steps = np.arange(1, POINTS + 1) * 10_000
    frame = pd.concat([
        pd.DataFrame({"task": f"dmc_task_{t:02}", "seed": str(s), "env_steps": steps, "score": cube[0, s, t]})
        for s in range(SEEDS) for t in range(TASKS)
    ])  # fmt: skip
    table = frame.assign(**DEFAULTS, method="a", source="made up", place="")[list(COLUMNS)]

    def iqm_curve(x: np.ndarray) -> np.ndarray:
        return np.array([metrics.aggregate_iqm(x[..., point]) for point in range(x.shape[-1])])

    reps = ORACLE_REPS["curve"]
    compare(
        benchmark,
        lambda: curves.efficiency(table, points=POINTS, reps=REPS),
        lambda: library.get_interval_estimates({"a": cube[0]}, iqm_curve, reps=reps),
        REPS / reps,
        wanted=1,
    )
    assert benchmark.stats.stats.median < 60.0


def test_verdict_on_20_tasks_of_5_seeds(benchmark: Any, scores: pd.DataFrame) -> None:
    """The suite test, the profile check at 10,000 draws, and the per-task table."""
    from analysis.verify import judge
    from analysis.verify.reference import Reference
    from analysis.verify.verdict import Question

    ours = scores[scores["method"] == "method-0"]
    reference = Reference(
        name="benchmark", title="", source="", licence="", kind="raw", seeds=SEEDS, budget_env_steps=1, window_env_steps=None,
        evaluation="", scores=scores[scores["method"] == "method-1"],
    )  # fmt: skip
    question = Question(method="method-0", normalization="none", margin=0.05, margin_source="benchmark")
    benchmark.pedantic(lambda: judge.judge(ours, reference, question, budget_env_steps=1), rounds=5, warmup_rounds=1)
