"""The scores of one method for the estimators, and the values of metrics on resamples of them.

The metrics are in `analysis.statistics.aggregate`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.statistics import bootstrap
from dreamer_bench_base import InvalidData, UserError

if TYPE_CHECKING:
    import pandas as pd


class MethodScores:
    """The scores of one method, sorted by task and by score within a task, so that their order has no effect."""

    def __init__(self, scores: pd.DataFrame, method: str) -> None:
        rows = scores[scores["method"] == method]
        if rows.empty:
            raise UserError(
                f"method {method!r} is not among the scores; they hold {', '.join(sorted(scores['method'].unique()))}"
            )
        scored = rows["score"].to_numpy(float)
        bad = np.flatnonzero(~np.isfinite(scored))
        if len(bad):
            row = rows.iloc[bad[0]]
            raise InvalidData(f"{method}, {row['task']}, seed {row['seed']} has no finite score; fix or remove that run")
        tasks = rows["task"].tolist()
        if len({*zip(tasks, rows["seed"].tolist())}) < len(rows):
            row = rows[rows.duplicated(["task", "seed"])].iloc[0]
            raise InvalidData(f"{method}, {row['task']}, seed {row['seed']} has more than one score; select one per run first")
        groups: dict[str, list[float]] = {}
        for task, score in zip(tasks, scored.tolist()):
            groups.setdefault(str(task), []).append(score)
        self.method = method
        self.tasks = tuple(sorted(groups))
        self.values = [np.sort(np.array(groups[task])) for task in self.tasks]
        self.sizes = [len(value) for value in self.values]
        self.pooled = np.concatenate(self.values)

    @property
    def rows(self) -> list[slice]:
        """The position of each task's runs in `pooled`."""
        ends = np.cumsum([0, *self.sizes])
        return [slice(start, end) for start, end in itertools.pairwise(ends)]

    def key(self) -> bytes:
        """A key that is equal for two methods with the same scores."""
        return repr([(task, value.tolist()) for task, value in zip(self.tasks, self.values, strict=True)]).encode()


def roles_of(every: Sequence[MethodScores]) -> list[int]:
    """0, 1, ... for methods with equal scores, which would otherwise share their draws and never differ."""
    twins: dict[bytes, list[str]] = {}
    for one in every:
        twins.setdefault(one.key(), []).append(one.method)
    return [sorted(twins[one.key()]).index(one.method) for one in every]


def generator_of(one: MethodScores, role: int = 0) -> np.random.Generator:
    """The generator of a method's resamples; `role` separates methods with equal scores."""
    return bootstrap.generator(f"runs {role}", one.tasks, one.values)


def point_of(one: MethodScores, metric: str) -> float:
    """The value of a metric on the scores themselves, by rliable's definition."""
    means = np.array([value.mean() for value in one.values])
    if metric == "iqm":
        return float(bootstrap.iqm(one.pooled))
    if metric == "optimality-gap":
        return float(1.0 - np.minimum(one.pooled, 1.0).mean())
    return float(np.median(means) if metric == "median" else means.mean())


def samples_of(one: MethodScores, metrics: Sequence[str], reps: int, role: int = 0) -> dict[str, bootstrap.Values]:
    """Metric -> [reps] values under resampling. The draws do not depend on the choice of metrics."""
    trimmed = bootstrap.TrimmedMean(one.pooled) if "iqm" in metrics else None
    capped = np.minimum(one.pooled, 1.0)
    weights = np.zeros((len(one.tasks), len(one.pooled)))  # [T, N]: task means are weights @ counts
    for task, (rows, value) in enumerate(zip(one.rows, one.values, strict=True)):
        weights[task, rows] = value / len(value)
    chunks: dict[str, list[bootstrap.Values]] = {metric: [] for metric in metrics}
    for counts in bootstrap.draws(one.sizes, reps, generator_of(one, role)):
        if trimmed is not None:
            chunks["iqm"].append(trimmed(counts))
        if {"mean", "median", "optimality-gap"} & set(metrics):
            floats = counts.astype(float)
            if "median" in metrics:
                chunks["median"].append(np.median(weights @ floats, axis=0))
            if "mean" in metrics:
                chunks["mean"].append(weights.mean(axis=0) @ floats)
            if "optimality-gap" in metrics:
                chunks["optimality-gap"].append(1.0 - capped @ floats / len(capped))
    return {metric: np.concatenate(parts) for metric, parts in chunks.items()}
