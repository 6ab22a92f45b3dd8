"""The four aggregates computed by rliable itself, and their differences to ours.

Agarwal et al. 2021; rliable 1.2.0. It needs the same number of runs on every task and resamples one by one, so it is slower.
Its intervals differ from ours by the noise of resampling.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.scores.exchange import rectangles
from analysis.statistics.aggregate import Estimate

if TYPE_CHECKING:
    import pandas as pd

SEED = 0
"""Seed of rliable's resamples, so that the same scores give the same table."""


def estimates(scores: pd.DataFrame, ours: Sequence[Estimate]) -> list[Estimate]:
    """The same estimates with rliable's points and intervals. Raises InvalidData if tasks have different numbers of runs."""
    from rliable import library, metrics

    functions = {
        "iqm": metrics.aggregate_iqm,
        "median": metrics.aggregate_median,
        "mean": metrics.aggregate_mean,
        "optimality-gap": metrics.aggregate_optimality_gap,
    }
    arrays = rectangles(scores)
    found = []
    for each in ours:
        function = functions[each.metric]
        array = arrays[each.method]
        with _seeded():
            low, high = library.StratifiedBootstrap(array).conf_int(
                lambda drawn, function=function: np.array([function(drawn)]),
                reps=each.reps,
                size=each.confidence,
                method="percentile",
            )[:, 0]
        found.append(replace(each, point=float(function(array)), low=float(low), high=float(high)))
    return found


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """Seeds NumPy's global generator, from which rliable 1.2.0 draws whatever `random_state` it is given, and gives it back."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(SEED)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def differences(theirs: Sequence[Estimate], ours: Sequence[Estimate]) -> str:
    """The largest difference of points and of interval ends, in words."""

    def worst(names: Sequence[str]) -> tuple[float, str]:
        return max(
            (abs(getattr(one, name) - getattr(other, name)), f"{one.metric} of {one.method}")
            for one, other in zip(theirs, ours, strict=True)
            for name in names
        )

    point, of_point = worst(["point"])
    end, of_end = worst(["low", "high"])
    return f"largest difference to ours: point {point:.1e} ({of_point}), interval end {end:.1e} ({of_end})"
