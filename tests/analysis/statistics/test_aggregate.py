"""Aggregates against rliable 1.2.0, which defines them, and what rliable does not promise: the same digits for the same
scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rliable import library, metrics

from analysis.statistics import aggregate, small_samples
from dreamer_bench_base import InvalidData
from tests.analysis.made_up_scores import TASKS, made_up, rectangle, scores

ORACLE = {
    "iqm": metrics.aggregate_iqm,
    "median": metrics.aggregate_median,
    "mean": metrics.aggregate_mean,
    "optimality-gap": metrics.aggregate_optimality_gap,
}


@pytest.mark.parametrize(("tasks", "seeds"), [(1, 2), (3, 3), (6, 5), (10, 7), (10, 30)])
def test_points_are_rliables(tasks: int, seeds: int) -> None:
    frame = made_up(tasks=tasks, seeds=seeds, seed=tasks * seeds)
    for estimate in aggregate.estimates(frame, reps=100):
        expected = float(ORACLE[estimate.metric](rectangle(frame, estimate.method)))
        assert estimate.point == pytest.approx(expected, abs=1e-12)


def test_interval_ends_are_rliables_within_monte_carlo_error() -> None:
    frame = made_up(["a"], tasks=6, seeds=5)
    np.random.seed(0)  # noqa: NPY002  rliable resamples from the global generator whatever it is given
    _, oracle = library.get_interval_estimates(
        {"a": rectangle(frame, "a")}, lambda x: np.array([metric(x) for metric in ORACLE.values()]), reps=4_000
    )
    spread = (oracle["a"][1] - oracle["a"][0]) / 4  # about one standard deviation
    for index, estimate in enumerate(aggregate.estimates(frame, reps=50_000)):
        # A 2.5% quantile of 4,000 normal draws has a standard error of 0.042 standard deviations; four of them.
        assert abs(estimate.low - oracle["a"][0][index]) < 0.17 * spread[index]
        assert abs(estimate.high - oracle["a"][1][index]) < 0.17 * spread[index]


def test_probability_of_improvement_is_rliables() -> None:
    frame = pd.concat([made_up(["a"], tasks=4, seeds=5), made_up(["b"], tasks=4, seeds=7, seed=9)])
    a, b = rectangle(frame, "a"), rectangle(frame, "b")
    estimate = aggregate.improvement(frame, "a", "b", reps=20_000)
    assert estimate.point == pytest.approx(metrics.probability_of_improvement(a, b), abs=1e-12)
    np.random.seed(0)  # noqa: NPY002
    _, oracle = library.get_interval_estimates({"a,b": [a, b]}, metrics.probability_of_improvement, reps=300)
    low, high = oracle["a,b"].ravel()
    assert estimate.low == pytest.approx(low, abs=0.05)
    assert estimate.high == pytest.approx(high, abs=0.05)


def test_ties_count_half_in_improvement() -> None:
    frame = scores({"a": {TASKS[0]: [1, 1, 2]}, "b": {TASKS[0]: [1, 2, 0]}})
    # pairs a-b: (1,1) tie, (1,2) loss, (1,0) win, twice; (2,1) win, (2,2) tie, (2,0) win
    assert aggregate.improvement(frame, "a", "b", reps=100).point == pytest.approx((2 * 1.5 + 2.5) / 9)


def test_pairs_together_have_the_digits_of_each_alone() -> None:
    frame = made_up(["a", "b", "c"])
    frame = pd.concat([frame, frame[frame["method"] == "a"].assign(method="twin of a")])
    pairs = [("a", "b"), ("c", "a"), ("b", "twin of a"), ("twin of a", "a")]
    together = aggregate.improvements(frame, pairs, reps=9_000)  # more than one chunk of draws
    assert together == [aggregate.improvement(frame, *pair, reps=9_000) for pair in pairs]
    assert aggregate.improvements(frame, []) == []


def test_profiles_are_rliables() -> None:
    frame = made_up(tasks=5, seeds=4)
    thresholds = np.linspace(0, 1.2, 13)
    ours = aggregate.profiles(frame, thresholds.tolist(), reps=2_000)
    points, ends = library.create_performance_profile({m: rectangle(frame, m) for m in "ab"}, thresholds, reps=300)
    for method in "ab":
        rows = ours[ours["method"] == method]
        np.testing.assert_allclose(rows["point"], points[method], atol=1e-12)
        np.testing.assert_allclose(rows["low"], ends[method][0], atol=0.1)
        np.testing.assert_allclose(rows["high"], ends[method][1], atol=0.1)


def test_same_scores_give_the_same_digits_whatever_else_is_in_the_call() -> None:
    frame = made_up(["a", "b", "c"])
    alone = aggregate.estimates(frame[frame["method"] == "b"], metrics=["median"], reps=3_000)[0]
    aggregate._known_ends.cache_clear()  # the second answer must not be the first, kept
    shuffled = frame.sample(frac=1.0, random_state=3).assign(seed=lambda rows: "run-" + rows["seed"])
    among = next(each for each in aggregate.estimates(shuffled, reps=3_000) if (each.method, each.metric) == ("b", "median"))
    assert alone == among


def test_other_scores_give_other_draws() -> None:
    frame = made_up(["a"])
    moved = frame.assign(score=frame["score"] + 1e-9)
    first, second = (aggregate.estimates(each, metrics=["mean"], reps=1_000)[0] for each in (frame, moved))
    assert abs(second.low - first.low) > 1e-6


def test_swapping_methods_flips_differences_and_improvements() -> None:
    frame = made_up()
    forth, back = (aggregate.difference(frame, *pair, metric="iqm", reps=2_000) for pair in (("a", "b"), ("b", "a")))
    assert (forth.point, forth.low, forth.high) == pytest.approx((-back.point, -back.high, -back.low), abs=1e-12)
    forth, back = (aggregate.improvement(frame, *pair, reps=2_000) for pair in (("a", "b"), ("b", "a")))
    assert (forth.point, forth.low, forth.high) == pytest.approx((1 - back.point, 1 - back.high, 1 - back.low), abs=1e-12)


def test_two_methods_with_equal_scores_are_resampled_apart() -> None:
    frame = made_up(["a"])
    twins = pd.concat([frame, frame.assign(method="b")])
    difference = aggregate.difference(twins, "a", "b", reps=2_000)
    assert difference.point == 0
    assert difference.low < -0.01 < 0.01 < difference.high


def test_difference_interval_agrees_with_the_normal_approximation() -> None:
    frame = made_up(tasks=10, seeds=30)
    found = aggregate.difference(frame, "a", "b", metric="mean", reps=20_000)
    variance = sum((rectangle(frame, m).var(axis=0) / 30).sum() / 10**2 for m in "ab")
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.03)


def test_unequal_seeds_pool_runs_for_the_iqm_and_weigh_tasks_equally_for_the_mean() -> None:
    frame = scores({"a": {TASKS[0]: [0, 0], TASKS[1]: [1, 1, 1, 1, 1, 1]}})
    found = {each.metric: each for each in aggregate.estimates(frame, reps=500)}
    assert found["mean"].point == pytest.approx(0.5)
    assert found["iqm"].point == pytest.approx(1.0)  # the middle four of 0 0 1 1 1 1 1 1
    assert found["optimality-gap"].point == pytest.approx(2 / 8)
    assert (found["mean"].seeds_min, found["mean"].seeds_max, found["mean"].runs) == (2, 6, 8)


def test_zero_variance_gives_a_point_interval() -> None:
    frame = scores({"a": {task: [0.7] * 4 for task in TASKS[:3]}})
    for each in aggregate.estimates(frame, reps=200):
        assert each.low == pytest.approx(each.point) == pytest.approx(each.high)


def test_many_runs_per_task_take_the_other_way_of_counting() -> None:
    """More than 48 runs are counted by bincount, more than 255 in wider integers; the interval must still be right."""
    for seeds in (60, 300):
        frame = made_up(["a"], tasks=2, seeds=seeds)
        mean = aggregate.estimates(frame, metrics=["mean"], reps=4_000)[0]
        width = 2 * 1.96 * np.sqrt((rectangle(frame, "a").var(axis=0) / seeds).sum() / 4)
        assert mean.high - mean.low == pytest.approx(width, rel=0.08)


def test_ranks_share_where_intervals_overlap() -> None:
    near = np.random.default_rng(1).normal(0.5, 0.1, (3, 5, 4))
    frame = scores(
        {
            **{f"near-{index}": {TASKS[t]: near[index, :, t].tolist() for t in range(4)} for index in range(3)},
            "best": {TASKS[t]: [2.0, 2.1, 2.2, 2.0, 2.1] for t in range(4)},
        }
    )
    ranks = aggregate.rank_ranges(frame, reps=2_000).set_index("method")
    assert ranks.loc["best", ["rank", "rank_low", "rank_high"]].tolist() == [1, 1, 1]
    assert ranks.loc["near-0", "rank_low"] == 2
    assert ranks["rank_high"].max() == 4
    gap = aggregate.rank_ranges(frame, metric="optimality-gap", reps=500)
    assert gap["method"].iloc[0] == "best"  # the least gap is the best


def test_coverage_note_below_ten_seeds_only() -> None:
    assert "3 seeds" in str(small_samples.small_sample_note(made_up(seeds=3)))
    assert "86-88%" in str(small_samples.small_sample_note(made_up(seeds=5)))
    assert small_samples.small_sample_note(made_up(seeds=10)) is None


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            made_up().assign(score=lambda rows: rows["score"].where(rows.index != 3)),
            "a, dmc_acrobot_swingup, seed 3 has no finite score",
        ),
        (made_up().drop(index=range(5)), "a has no score on dmc_acrobot_swingup"),
        (made_up(seeds=1), "single seed on dmc_acrobot_swingup"),
        (pd.concat([made_up(), made_up().head(1)]), "more than one score"),
    ],
)
def test_holes_are_refused_by_name(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(InvalidData, match=message) as error:
        aggregate.estimates(frame, reps=100)
    assert "\n" not in str(error.value)


def test_a_single_seed_may_give_a_point_without_an_interval() -> None:
    found = aggregate.estimates(made_up(seeds=1), metrics=["mean"], single_seed="omit")[0]
    assert np.isfinite(found.point)
    assert np.isnan([found.low, found.high]).all()


def test_common_tasks_cut_to_what_every_method_has() -> None:
    frame = made_up(tasks=4)
    cut = frame[~((frame["method"] == "a") & (frame["task"] == TASKS[0]))]
    assert sorted(aggregate.common_tasks(cut)["task"].unique()) == sorted(TASKS[1:4])
    assert len(aggregate.estimates(aggregate.common_tasks(cut), reps=100)) == 8


def test_unknown_metrics_and_too_few_resamples_are_usage_errors() -> None:
    with pytest.raises(ValueError, match="choose from iqm"):
        aggregate.estimates(made_up(), metrics=["average"])
    with pytest.raises(ValueError, match="at least 100"):
        aggregate.estimates(made_up(), reps=10)
