"""Scores against env_steps or device hours: every seed on a common grid, and the IQM curve with its band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Axis = Literal["env_steps", "device_hours"]


def grid_of(table: pd.DataFrame, *, points: int = 100, axis: Axis = "env_steps") -> np.ndarray:
    """Common grid [points]: evenly spaced, ending where the first method ends (the largest value that every method reaches)."""
    ...


def learning_curves(
    table: pd.DataFrame, *, grid: Sequence[float] | None = None, window: float | None = None, axis: Axis = "env_steps"
) -> pd.DataFrame:
    """Every run on the common grid: method, task, seed, x, score; score is NaN before the first and after the last point of a run.

    score at x: mean of the run's points in (x - window, x]; where that is empty, of its last point before x.
    window None: the grid's spacing.
    """
    ...


def task_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean, least and greatest over the seeds at every grid point: method, task, x, mean, low, high, seeds."""
    ...


def efficiency(
    table: pd.DataFrame,
    *,
    metric: str = "iqm",
    normalization: str = "none",
    axis: Axis = "env_steps",
    points: int = 100,
    reps: int = 50_000,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Sample-efficiency curve: method, x, point, low, high, tasks, runs. Runs are resampled whole, the same draw for every x.

    Each method's curve spans the grid points that all its runs cover. axis "device_hours" needs records with times:
    methods without them are left out; InvalidData where none has them.
    """
    ...
