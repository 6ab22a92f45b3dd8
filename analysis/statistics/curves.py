"""Scores against env_steps or device hours: every seed on a common grid, and the IQM curve with its band."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from analysis.scores.columns import RUN, refuse_single_seeds
from analysis.statistics import bootstrap
from dreamer_bench_base import InvalidData, UserError

if TYPE_CHECKING:
    import pandas as pd

Axis = Literal["env_steps", "device_hours"]
Metric = Literal["iqm", "mean"]

REPS = 50_000


def grid_of(table: pd.DataFrame, *, points: int = 100, axis: Axis = "env_steps") -> np.ndarray:
    """Common grid [points]: evenly spaced, ending at the largest value that every method reaches.

    If all runs were evaluated at the same few env_steps, as runs of one protocol are, these are the grid, because nothing is
    known between two of them.
    """
    timed = _timed(table, axis)
    own = np.unique(timed["x"])
    if axis == "env_steps" and len(own) <= points and (timed.groupby(RUN)["x"].nunique() == len(own)).all():
        return own
    end = float(timed.groupby("method")["x"].max().min())
    return np.linspace(end / points, end, points)


def learning_curves(
    table: pd.DataFrame,
    *,
    grid: Sequence[float] | np.ndarray | None = None,
    window: float | None = None,
    axis: Axis = "env_steps",
) -> pd.DataFrame:
    """Every run on the common grid: method, task, seed, x, score; score is NaN before the first and after the last point
    of a run.

    The score at x is the mean of the run's points in (x - window, x], or without such points that of its last evaluation
    before x. A run lasts until its last point plus half its widest evaluation interval.
    window  None: the smallest spacing of the grid
    The separate final evaluation is not a point of the curve.
    """
    import pandas as pd

    timed = _timed(table, axis)
    at = np.asarray(grid_of(table, axis=axis) if grid is None else grid, dtype=float)
    width = float(window if window is not None else (np.diff(at).min() if len(at) > 1 else at[0]))
    number = timed.groupby(RUN, sort=True).ngroup().to_numpy()
    order = np.lexsort((timed["x"].to_numpy(float), number))
    x, score, number = timed["x"].to_numpy(float)[order], timed["score"].to_numpy(float)[order], number[order]
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    runs = [slice(start, end) for start, end in itertools.pairwise([*starts, len(number)])]
    names = timed[RUN].iloc[order[starts]]
    return pd.DataFrame(
        {
            **{name: np.repeat(names[name].to_numpy(), len(at)) for name in RUN},
            "x": np.tile(at, len(runs)),
            "score": np.concatenate([_on_grid(x[run], score[run], at, width) for run in runs]),
        }
    )


def task_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean, minimum and maximum over the seeds at every grid point: method, task, x, mean, low, high, seeds."""
    present = curves.dropna(subset=["score"])
    result = present.groupby(["method", "task", "x"])["score"].agg(mean="mean", low="min", high="max", seeds="size")
    return result.reset_index()


def efficiency(
    table: pd.DataFrame,
    *,
    metric: Metric = "iqm",
    normalization: str = "none",
    axis: Axis = "env_steps",
    points: int = 100,
    reps: int = REPS,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Sample-efficiency curve: method, x, point, low, high, tasks, runs. Whole runs are resampled, with one draw for all x.

    A method's curve has the grid points that all its runs cover. The axis "device_hours" needs records with times; methods
    without them are left out, and InvalidData is raised if no method has them. On this axis each method has its own grid, so
    that the curve of a slow method does not end where that of a fast one does.
    """
    import pandas as pd

    from analysis.scores.normalize import normalize

    if metric not in ("iqm", "mean"):
        raise UserError(f"metric {metric!r} has no curve; choose iqm or mean")
    table = normalize(table, normalization)
    refuse_single_seeds(_timed(table, axis))
    parts = [table] if axis == "env_steps" else [rows for _, rows in _timed(table, axis).groupby("method")]
    curves = pd.concat([learning_curves(rows, grid=grid_of(rows, points=points, axis=axis), axis=axis) for rows in parts])
    frames = []
    for method, rows in curves.groupby("method", sort=True):
        tasks, values, x = _matrices(rows, str(method))
        point, samples = _resampled(tasks, values, metric, reps)
        low, high = bootstrap.interval(samples, confidence)
        runs = sum(len(value) for value in values)
        frames.append(
            pd.DataFrame(
                {"method": method, "x": x, "point": point, "low": low, "high": high, "tasks": len(tasks), "runs": runs}
            )
        )
    return pd.concat(frames, ignore_index=True)


def _timed(table: pd.DataFrame, axis: Axis) -> pd.DataFrame:
    """The points of the curve with their position on the axis as `x`."""
    regular = table[~table["final"]]
    if axis == "env_steps":
        return regular.assign(x=regular["env_steps"].astype(float))
    hours = regular["device_seconds"] / 3_600.0
    if hours.notna().sum() == 0:
        raise InvalidData(
            "no record says how long it trained; device hours need runs folders, or score files with device_seconds or hour"
        )
    return regular.assign(x=hours)[hours.notna()]


def _on_grid(x: np.ndarray, score: np.ndarray, at: np.ndarray, width: float) -> np.ndarray:
    """[grid] scores of one run, whose points are in order of x. With prefix sums, a grid point costs two searches."""
    prefix = np.concatenate([[0.0], np.cumsum(score)])
    last = np.searchsorted(x, at * (1 + 1e-12), side="right")
    first = np.searchsorted(x, (at - width) * (1 + 1e-12), side="right")
    evaluation = np.searchsorted(x, x[np.maximum(last - 1, 0)], side="left")
    first = np.where(first < last, first, evaluation)
    steps = np.unique(x)[-10:]
    reach = x[-1] + (np.diff(steps).max() / 2 if len(steps) > 1 else 0.0)
    inside = (last > 0) & (at <= max(reach, x[-1] + width))
    count = np.where(inside, last - first, 1)
    return np.where(inside, (prefix[last] - prefix[np.minimum(first, last)]) / count, np.nan)


def _matrices(rows: pd.DataFrame, method: str) -> tuple[list[str], list[np.ndarray], np.ndarray]:
    """Tasks, per task the runs' curves [runs, x] in canonical order, and the grid points that every run covers."""
    wide = rows.pivot(index=["task", "seed"], columns="x", values="score")
    covered = wide.columns[wide.notna().all(axis=0)]
    if covered.empty:
        raise InvalidData(f"{method} has no grid point that all of its runs cover; leave short runs out")
    tasks, values = [], []
    for task, curves in wide[covered].groupby(level="task", sort=True):
        value = curves.to_numpy(float)
        tasks.append(str(task))
        values.append(value[np.lexsort(value.T[::-1])])
    return tasks, values, covered.to_numpy(float)


def _resampled(tasks: list[str], values: list[np.ndarray], metric: Metric, reps: int) -> tuple[np.ndarray, np.ndarray]:
    """Points [x] and samples [x, reps], from one set of draws of whole runs for every x."""
    pooled = np.concatenate(values)
    width = pooled.shape[1]
    means = np.concatenate([np.full(len(value), 1.0 / (len(value) * len(values))) for value in values])
    if metric == "iqm":
        point = bootstrap.iqm(pooled)
        weigh = [bootstrap.TrimmedMean(np.ascontiguousarray(pooled[:, column])) for column in range(width)]
    else:
        point = means @ pooled
    samples = np.empty((width, reps))
    start = 0
    for counts in bootstrap.draws([len(value) for value in values], reps, bootstrap.generator("curves", tasks, values)):
        chunk = slice(start, start + counts.shape[1])
        if metric == "iqm":
            for column, trimmed in enumerate(weigh):
                samples[column, chunk] = trimmed(counts)
        else:
            samples[:, chunk] = (pooled.T * means) @ counts.astype(float)
        start = chunk.stop
    return point, samples
