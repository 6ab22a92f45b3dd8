"""Aggregates over tasks and seeds with stratified-bootstrap intervals: rliable's definitions in vectorised code.

Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice". Tests compare with rliable
1.2.0.

`scores` is a DataFrame with at least method, task, seed, score (`analysis.scores.per_run.select`), normalised by the caller.
The digits depend only on a method's own scores, not on row order, seed labels, other methods, or other metrics.
All methods must have the same tasks: `common_tasks` selects these; a missing task raises InvalidData with its name.
Tasks may have different numbers of seeds. The IQM and the optimality gap pool all runs, so a task with more runs has more
weight. The mean and the median give tasks equal weight. With equal numbers, all four are rliable's.

The file has more than 300 lines, because all estimates check and resample the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from analysis.scores.columns import refuse_single_seeds
from analysis.statistics import bootstrap
from analysis.statistics.resampling import MethodScores, generator_of, point_of, roles_of, samples_of
from dreamer_bench_base import InvalidData, UserError, count
from dreamer_bench_processes import in_order

if TYPE_CHECKING:
    import pandas as pd


METRICS = ("iqm", "median", "mean", "optimality-gap")
REPS = 50_000
MOST_REPS = 1_000_000
MANY_DRAWS = 20_000_000
"""Runs times resamples that take about half a second, and are worth processes of their own."""
MOST_PAIRS = 200
"""Pairs whose resamples are in memory together: 80 MB."""

SingleSeed = Literal["refuse", "omit"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its interval and its n.

    method      the method, or "a - b" / "P(a > b)" for two
    metric      one of METRICS, or "improvement"
    point, low, high   value and ends of the percentile interval (NaN if a task has one seed and single_seed="omit")
    tasks, runs        number of tasks and runs
    seeds_min, seeds_max   fewest and most seeds per task
    reps, confidence   resamples and confidence of the bootstrap
    """

    method: str
    metric: str
    point: float
    low: float
    high: float
    tasks: int
    runs: int
    seeds_min: int
    seeds_max: int
    reps: int
    confidence: float


def common_tasks(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows of the tasks that every method has."""
    methods = scores["method"].nunique()
    have = scores.groupby("task")["method"].nunique()
    return scores[scores["task"].isin(have[have == methods].index)].reset_index(drop=True)


def estimates(
    scores: pd.DataFrame,
    *,
    metrics: Sequence[str] = METRICS,
    reps: int = REPS,
    confidence: float = 0.95,
    single_seed: SingleSeed = "refuse",
) -> list[Estimate]:
    """Point and interval of every metric for every method, sorted by method, with metrics in the given order.

    iqm             mean of the middle half of all runs of all tasks pooled (scipy trim_mean, 25%)
    median, mean    of the tasks' mean scores
    optimality-gap  mean of max(0, 1 - score) over all runs pooled
    single_seed     "refuse" raises InvalidData if a task has one seed; "omit" gives the point without an interval
    """
    return estimates_of_each([scores], metrics=metrics, reps=reps, confidence=confidence, single_seed=single_seed)[0]


def estimates_of_each(
    tables: Sequence[pd.DataFrame],
    *,
    metrics: Sequence[str] = METRICS,
    reps: int = REPS,
    confidence: float = 0.95,
    single_seed: SingleSeed = "refuse",
) -> list[list[Estimate]]:
    """`estimates` of each table. The resamples of many methods are drawn by a process for each core."""
    _check(metrics, reps, confidence)
    every = [[(one, one.key()) for one in _every_method(table, single_seed)] for table in tables]
    known = {key: _known_ends(key, reps, confidence) for members in every for _, key in members}
    todo: dict[bytes, tuple[MethodScores, list[str]]] = {}
    for one, key in (member for members in every for member in members):
        unknown = [metric for metric in metrics if metric not in known[key]]
        if unknown and min(one.sizes) == 1:
            known[key] |= dict.fromkeys(unknown, (np.nan, np.nan))
        elif unknown:
            todo[key] = one, unknown
    work = list(todo.values())
    least = 1 if reps * sum(len(one.pooled) for one, _ in work) >= MANY_DRAWS else len(work) + 1
    drawn = in_order(partial(_ends_of, reps, confidence), work, least=least)
    for key, ends in zip(todo, drawn, strict=True):
        known[key] |= ends
    return [
        [
            _estimate(one.method, metric, point_of(one, metric), known[key][metric], [one], reps, confidence)
            for one, key in members
            for metric in metrics
        ]
        for members in every
    ]


@lru_cache(maxsize=4_000)
def _known_ends(key: bytes, reps: int, confidence: float) -> dict[str, tuple[float, float]]:
    """metric -> ends of the interval of scores with that key, as far as anybody asked: a report and a board ask three times."""
    return {}


def _ends_of(reps: int, confidence: float, asked: tuple[MethodScores, list[str]]) -> dict[str, tuple[float, float]]:
    """metric -> ends of its interval, for the scores of a method and some metrics."""
    samples = samples_of(*asked, reps)
    return {metric: _ends(samples[metric], confidence) for metric in asked[1]}


def difference(
    scores: pd.DataFrame, first: str, second: str, *, metric: str = "mean", reps: int = REPS, confidence: float = 0.95
) -> Estimate:
    """metric(first) - metric(second), both resampled independently. Exchanging the two changes only the signs."""
    _check([metric], reps, confidence)
    a, b = pair_of(scores, first, second)
    role_a, role_b = roles_of([a, b])
    samples = samples_of(a, [metric], reps, role_a)[metric] - samples_of(b, [metric], reps, role_b)[metric]
    point = point_of(a, metric) - point_of(b, metric)
    return _estimate(f"{first} - {second}", metric, point, _ends(samples, confidence), [a, b], reps, confidence)


def improvement(scores: pd.DataFrame, first: str, second: str, *, reps: int = REPS, confidence: float = 0.95) -> Estimate:
    """P(a run of first beats a run of second on the same task), averaged over tasks; a tie counts half."""
    _check([], reps, confidence)
    return _improvements([pair_of(scores, first, second)], reps, confidence)[0]


def improvements(
    scores: pd.DataFrame, pairs: Sequence[tuple[str, str]], *, reps: int = REPS, confidence: float = 0.95
) -> list[Estimate]:
    """`improvement` of each pair, to the same digits; the resamples of a method are drawn once, not once a pair."""
    _check([], reps, confidence)
    if not pairs:
        return []
    named = {method for pair in pairs for method in pair}
    every = {one.method: one for one in _every_method(scores[scores["method"].isin(named)], "refuse")}
    found: list[Estimate] = []
    for start in range(0, len(pairs), MOST_PAIRS):
        found += _improvements([(every[a], every[b]) for a, b in pairs[start : start + MOST_PAIRS]], reps, confidence)
    return found


def _improvements(pairs: Sequence[tuple[MethodScores, MethodScores]], reps: int, confidence: float) -> list[Estimate]:
    roles = [roles_of(pair) for pair in pairs]
    every = {(one.method, role): one for pair, own in zip(pairs, roles) for one, role in zip(pair, own)}
    wins = [
        [
            (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])  # [n, m]
            for x, y in zip(a.values, b.values, strict=True)
        ]
        for a, b in pairs
    ]
    samples = np.empty((len(pairs), reps))
    start = 0
    for drawn in zip(*(bootstrap.draws(one.sizes, reps, generator_of(one, role)) for (_, role), one in every.items())):
        counts = dict(zip(every, drawn))
        chunk = slice(start, start + drawn[0].shape[1])
        for number, ((a, b), (role_a, role_b)) in enumerate(zip(pairs, roles)):
            x, y = counts[a.method, role_a], counts[b.method, role_b]
            total = np.zeros(x.shape[1])
            for win, rows_a, rows_b in zip(wins[number], a.rows, b.rows, strict=True):
                total += np.einsum("nr,nr->r", x[rows_a].astype(float), win @ y[rows_b].astype(float)) / win.size
            samples[number, chunk] = total / len(wins[number])
        start = chunk.stop
    return [
        _estimate(
            f"P({a.method} > {b.method})",
            "improvement",
            float(np.mean([win.mean() for win in own])),
            _ends(row, confidence),
            [a, b],
            reps,
            confidence,
        )
        for (a, b), own, row in zip(pairs, wins, samples)
    ]


def profiles(
    scores: pd.DataFrame, thresholds: Sequence[float] | None = None, *, reps: int = 2_000, confidence: float = 0.95
) -> pd.DataFrame:
    """Performance profiles: method, threshold, point, low, high, where point is the fraction of runs with score > threshold.

    thresholds  None: 101 values from the lowest to the highest score
    """
    import pandas as pd

    _check([], reps, confidence)
    every = _every_method(scores, "refuse")
    if thresholds is None:
        thresholds = np.linspace(min(c.pooled.min() for c in every), max(c.pooled.max() for c in every), 101).tolist()
    frames = []
    for one in every:
        above = (one.pooled[None, :] > np.asarray(thresholds)[:, None]).astype(float)  # [thresholds, N]
        drawn = bootstrap.draws(one.sizes, reps, generator_of(one))
        samples = np.concatenate([above @ counts.astype(float) for counts in drawn], axis=1) / len(one.pooled)
        low, high = bootstrap.interval(samples, confidence)
        frames.append(
            pd.DataFrame({"method": one.method, "threshold": thresholds, "point": above.mean(axis=1), "low": low, "high": high})
        )
    return pd.concat(frames, ignore_index=True)


def rank_ranges(scores: pd.DataFrame, *, metric: str = "iqm", reps: int = REPS, confidence: float = 0.95) -> pd.DataFrame:
    """Ranking by one metric: method, point, low, high, rank (1 best), rank_low, rank_high (interval of the rank over
    resamples).

    Best first; for the optimality gap the smallest value is best. Methods are resampled independently.
    """
    import pandas as pd

    _check([metric], reps, confidence)
    every = _every_method(scores, "refuse")
    sign = -1.0 if metric == "optimality-gap" else 1.0
    points = np.array([point_of(one, metric) for one in every])
    samples = np.stack([samples_of(c, [metric], reps, role)[metric] for c, role in zip(every, roles_of(every), strict=True)])
    best = np.array([1 + (sign * samples > sign * own).sum(axis=0) for own in samples])  # ties get the better rank here
    worst = np.array([(sign * samples >= sign * own).sum(axis=0) for own in samples])  # and the worse rank here
    tail = (1.0 - confidence) / 2.0
    low, high = bootstrap.interval(samples, confidence)
    frame = pd.DataFrame(
        {
            "method": [one.method for one in every],
            "point": points,
            "low": low,
            "high": high,
            "rank": [int(1 + (sign * points > sign * point).sum()) for point in points],
            "rank_low": np.quantile(best, tail, axis=1, method="inverted_cdf").astype(int),
            "rank_high": np.quantile(worst, 1.0 - tail, axis=1, method="inverted_cdf").astype(int),
        }
    )
    return frame.sort_values(["rank", "method"], ignore_index=True)


def _check(metrics: Sequence[str], reps: int, confidence: float) -> None:
    for metric in metrics:
        if metric not in METRICS:
            raise UserError(f"metric {metric!r} is not known; choose from {', '.join(METRICS)}")
    if reps < 100:
        raise UserError(f"{reps} resamples give no 95% interval; give at least 100 (the default is {REPS:,})")
    if reps > MOST_REPS:
        raise UserError(f"{reps:,} resamples take too long; give at most {MOST_REPS:,} (the default is {REPS:,})")
    if not 0.0 < confidence < 1.0:
        raise UserError(f"confidence must lie between 0 and 1, not {confidence}; 0.95 is customary")


def _every_method(scores: pd.DataFrame, single_seed: SingleSeed) -> list[MethodScores]:
    if scores.empty:
        raise InvalidData("there are no scores to aggregate; check --at, --tasks and the files given")
    every = [MethodScores(scores, method) for method in sorted(scores["method"].unique())]
    tasks = set().union(*(one.tasks for one in every))
    for one in every:
        missing = sorted(tasks - set(one.tasks))
        if missing:
            more = f" and {count(len(missing) - 1, 'more task')}" if missing[1:] else ""
            raise InvalidData(
                f"{one.method} has no score on {missing[0]}{more} "
                "that other methods have; add the runs, or compare on the common tasks (--common)"
            )
    if single_seed == "refuse":
        refuse_single_seeds(scores)
    return every


def pair_of(scores: pd.DataFrame, first: str, second: str) -> tuple[MethodScores, MethodScores]:
    """Two methods. Raises UserError for an unknown one, and InvalidData for a task that one lacks or has with a single seed."""
    for method in (first, second):
        MethodScores(scores, method)
    if first == second:
        raise UserError(f"{first!r} cannot be compared with itself; name two methods")
    by_name = {one.method: one for one in _every_method(scores[scores["method"].isin([first, second])], "refuse")}
    return by_name[first], by_name[second]


def _ends(samples: bootstrap.Values, confidence: float) -> tuple[float, float]:
    low, high = bootstrap.interval(samples, confidence)
    return float(low), float(high)


def _estimate(
    name: str, metric: str, point: float, ends: tuple[float, float], every: Sequence[MethodScores], reps: int, confidence: float
) -> Estimate:
    sizes = [size for one in every for size in one.sizes]
    return Estimate(
        method=name,
        metric=metric,
        point=point,
        low=ends[0],
        high=ends[1],
        tasks=len(every[0].tasks),
        runs=sum(sizes),
        seeds_min=min(sizes),
        seeds_max=max(sizes),
        reps=reps,
        confidence=confidence,
    )
