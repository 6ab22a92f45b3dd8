"""Aggregates over tasks and seeds with stratified-bootstrap intervals: rliable's definitions on a vectorised engine.

Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice"; rliable 1.2.0 is the oracle.

`scores` is a DataFrame with at least method, task, seed, score (see `analysis.table.select`), normalised by the caller.
Digits depend on a method's own scores alone: not on row order, seed labels, other methods, or the other metrics asked for.
Every method must have the same tasks: `common_tasks` cuts to those, everything else raises InvalidData naming the hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("iqm", "median", "mean", "optimality-gap")
REPS = 50_000


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its interval and its n.

    method      the method, or "a - b" / "P(a > b)" for two
    metric      one of METRICS, or "improvement"
    point, low, high   value and ends of the percentile interval (NaN ends where a task has one seed and single_seed="omit")
    tasks, runs        how many tasks and runs went in
    seeds_min, seeds_max   seeds per task
    reps, confidence   of the bootstrap
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
    """Only the tasks that every method has."""
    ...


def estimates(
    scores: pd.DataFrame,
    *,
    metrics: Sequence[str] = METRICS,
    reps: int = REPS,
    confidence: float = 0.95,
    single_seed: str = "refuse",
) -> list[Estimate]:
    """Point and interval of every metric for every method, methods sorted by name, metrics in the order asked for.

    iqm             mean of the middle half of all runs of all tasks pooled (scipy trim_mean, 25%)
    median, mean    of the tasks' mean scores
    optimality-gap  mean of max(0, 1 - score) over all runs pooled
    single_seed     "refuse" raises InvalidData where a task has one seed; "omit" gives the point without an interval
    """
    ...


def difference(
    scores: pd.DataFrame, first: str, second: str, *, metric: str = "mean", reps: int = REPS, confidence: float = 0.95
) -> Estimate:
    """metric(first) - metric(second), both resampled independently; swapping the two flips the signs exactly."""
    ...


def improvement(scores: pd.DataFrame, first: str, second: str, *, reps: int = REPS, confidence: float = 0.95) -> Estimate:
    """P(a run of first beats a run of second on the same task), ties count half, averaged over tasks."""
    ...


def profiles(
    scores: pd.DataFrame, thresholds: Sequence[float] | None = None, *, reps: int = 2_000, confidence: float = 0.95
) -> pd.DataFrame:
    """Performance profiles: method, threshold, point, low, high, where point is the fraction of runs with score > threshold.

    thresholds None: 101 values from the least to the greatest score.
    """
    ...


def rank_ranges(scores: pd.DataFrame, *, metric: str = "iqm", reps: int = REPS, confidence: float = 0.95) -> pd.DataFrame:
    """Ranking by one metric: method, point, low, high, rank (1 best), rank_low, rank_high (interval of the rank over resamples)."""
    ...


def small_sample_note(scores: pd.DataFrame) -> str | None:
    """What percentile intervals fall short of below 10 seeds per task, or None."""
    ...
