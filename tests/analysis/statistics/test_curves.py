"""Learning curves on a common grid and the IQM curve, against loops and rliable."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rliable import library, metrics

from analysis.scores import per_run
from analysis.scores.columns import COLUMNS, DEFAULTS
from analysis.statistics import curves
from dreamer_bench_base import InvalidData
from tests.analysis.made_up_scores import TASKS, needs_reference


def table_of(runs: dict[tuple[str, str, str], list[tuple[int, float]]], seconds_per_step: float | None = None) -> pd.DataFrame:
    rows = [
        (method, task, seed, x, y, "made up", x * seconds_per_step if seconds_per_step else np.nan, "")
        for (method, task, seed), points in runs.items()
        for x, y in points
    ]
    names = ["method", "task", "seed", "env_steps", "score", "source", "device_seconds", "place"]
    return pd.DataFrame(rows, columns=names).assign(**{**DEFAULTS, "device_seconds": lambda frame: frame["device_seconds"]})[
        list(COLUMNS)
    ]


def random_table(methods: str = "ab", tasks: int = 3, seeds: int = 4, points: int = 10, **options: float) -> pd.DataFrame:
    generator = np.random.default_rng(2)
    return table_of(
        {
            (method, TASKS[task], str(seed)): [
                (100 * i, float(generator.normal(i / points, 0.1))) for i in range(1, points + 1)
            ]
            for method in methods
            for task in range(tasks)
            for seed in range(seeds)
        },
        **options,
    )


def by_loop(points: list[tuple[int, float]], x: float, window: float) -> float:
    inside = [y for at, y in points if x - window < at <= x]
    before = [(at, y) for at, y in points if at <= x]
    if inside:
        return float(np.mean(inside))
    return float(np.mean([y for at, y in before if at == before[-1][0]])) if before else float("nan")


def test_a_grid_point_is_the_mean_of_its_window_or_the_last_evaluation_before_it() -> None:
    points = [(5, 1.0), (10, 2.0), (10, 4.0), (18, 5.0), (50, 6.0), (60, 7.0)]
    grid = np.arange(10.0, 61.0, 10.0)
    found = curves.learning_curves(table_of({("a", TASKS[0], "0"): points}), grid=grid)["score"].tolist()
    assert found == pytest.approx([by_loop(points, x, 10.0) for x in grid])
    assert found == pytest.approx([7 / 3, 5.0, 5.0, 5.0, 6.0, 7.0])


def test_a_curve_starts_and_ends_with_its_run() -> None:
    grid = [10.0, 20.0, 30.0, 40.0, 50.0]
    found = curves.learning_curves(table_of({("a", TASKS[0], "0"): [(20, 1.0), (30, 2.0)]}), grid=grid)["score"]
    assert np.isnan(found[0])
    assert found[1:4].tolist() == [1.0, 2.0, 2.0]  # 40: still within the spacing after its last point
    assert np.isnan(found[4])


def test_final_episodes_are_no_points_of_a_curve() -> None:
    points = random_table("a", 1, 2)
    extra = points.tail(1).assign(final=True, score=1e9)
    pd.testing.assert_frame_equal(
        curves.learning_curves(points), curves.learning_curves(pd.concat([points, extra], ignore_index=True))
    )


def test_grid_ends_where_the_first_method_ends() -> None:
    points = random_table()
    cut = points[(points["method"] == "a") | (points["env_steps"] <= 600)]
    assert curves.grid_of(cut, points=6).tolist() == [100, 200, 300, 400, 500, 600]


def test_runs_evaluated_at_the_same_times_are_drawn_at_those_times_alone() -> None:
    times = {0: 0.0, 100: 1.0, 300: 3.0, 1_000: 9.0}
    runs = {("a", TASKS[0], str(seed)): [(x, seed + y) for x, y in times.items()] for seed in (0, 1)}
    points = table_of(runs)
    assert curves.grid_of(points).tolist() == [0, 100, 300, 1_000]
    assert curves.efficiency(points, metric="mean", reps=100)["point"].tolist() == [0.5, 1.5, 3.5, 9.5]
    late = table_of({**runs, ("a", TASKS[0], "2"): [(50, 0.0), (1_000, 1.0)]})
    assert len(curves.grid_of(late)) == 100


def test_iqm_curve_is_rliables() -> None:
    points = random_table()
    found = curves.efficiency(points, points=10, reps=20_000)
    cube = {
        method: rows.pivot_table(index="seed", columns=["task", "env_steps"], values="score").to_numpy().reshape(4, 3, 10)
        for method, rows in points.groupby("method")
    }  # [runs, tasks, steps]
    np.random.seed(0)  # noqa: NPY002
    iqm = lambda scores: np.array([metrics.aggregate_iqm(scores[..., i]) for i in range(scores.shape[-1])])  # noqa: E731
    expected, ends = library.get_interval_estimates(cube, iqm, reps=1_000)
    for method in "ab":
        rows = found[found["method"] == method]
        np.testing.assert_allclose(rows["point"], expected[method], atol=1e-12)
        np.testing.assert_allclose(rows["low"], ends[method][0], atol=0.02)
        np.testing.assert_allclose(rows["high"], ends[method][1], atol=0.02)


def test_curves_have_the_same_digits_whatever_else_is_in_the_call() -> None:
    points = random_table("ab")
    alone = curves.efficiency(points[points["method"] == "b"], points=5, reps=500)
    shuffled = points.sample(frac=1.0, random_state=1).assign(
        seed=lambda rows: "s" + rows["seed"].map({"0": "3", "1": "2", "2": "1", "3": "0"})
    )
    among = curves.efficiency(shuffled, points=5, reps=500).query("method == 'b'").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, among, check_exact=True)


def test_device_hours_take_the_methods_that_have_them() -> None:
    timed, untimed = random_table("a", seconds_per_step=36.0), random_table("b")
    found = curves.efficiency(pd.concat([timed, untimed]), axis="device_hours", points=10, reps=200)
    assert found["method"].unique().tolist() == ["a"]
    assert found["x"].max() == pytest.approx(1000 * 36.0 / 3600)
    with pytest.raises(InvalidData, match="no record says how long"):
        curves.efficiency(untimed, axis="device_hours")


def test_each_method_is_drawn_to_the_end_of_its_own_device_hours() -> None:
    """A slow learner beside a fast one: 10 hours a run beside a tenth of an hour."""
    slow, fast = random_table("a", seconds_per_step=36.0), random_table("b", seconds_per_step=0.36)
    found = curves.efficiency(pd.concat([slow, fast]), axis="device_hours", points=10, reps=200)
    assert found.groupby("method")["x"].max().to_dict() == pytest.approx({"a": 10.0, "b": 0.1})
    alone = curves.efficiency(slow, axis="device_hours", points=10, reps=200)
    pd.testing.assert_frame_equal(found[found["method"] == "a"].reset_index(drop=True), alone, check_exact=True)


def test_mean_curve_weighs_tasks_equally() -> None:
    points = table_of(
        {("a", TASKS[0], str(s)): [(10, 0.0), (20, 0.0)] for s in range(6)}
        | {("a", TASKS[1], str(s)): [(10, 1.0), (20, 1.0)] for s in range(2)}
    )
    assert curves.efficiency(points, metric="mean", points=2, reps=200)["point"].tolist() == [0.5, 0.5]


def test_task_curves_show_every_seeds_range() -> None:
    points = table_of({("a", TASKS[0], str(seed)): [(10, float(seed)), (20, 2.0 * seed)] for seed in range(3)})
    rows = curves.task_curves(curves.learning_curves(points, grid=[10.0, 20.0]))
    assert rows[["mean", "low", "high", "seeds"]].values.tolist() == [[1.0, 0.0, 2.0, 3], [2.0, 0.0, 4.0, 3]]


@needs_reference
def test_published_curves_end_at_the_score_selected_there() -> None:
    from analysis.scores import normalize, table
    from analysis.statistics import aggregate
    from tests.analysis.made_up_scores import REFERENCE

    points = table.read([REFERENCE / "dmc_vision_dreamerv2.csv.gz"])
    curve = curves.efficiency(points, normalization="dmc", points=66, reps=200)
    selected = per_run.select(points, at=1_980_000, window=30_000)
    iqm = aggregate.estimates(normalize.normalize(selected.scores, "dmc"), metrics=["iqm"], reps=200)[0]
    assert curve["point"].iloc[-1] == pytest.approx(iqm.point, abs=1e-12)
