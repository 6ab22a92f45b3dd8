"""Score tables for the tests of `analysis`: made up, or published ones where the reference folder lies beside the checkout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

REFERENCE = Path(__file__).resolve().parents[2] / "../shared/reference"

needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="needs the published scores in ../shared/reference, beside the checkout"
)

TASKS = (
    "dmc_acrobot_swingup",
    "dmc_cartpole_balance",
    "dmc_cheetah_run",
    "dmc_cup_catch",
    "dmc_finger_spin",
    "dmc_hopper_hop",
    "dmc_pendulum_swingup",
    "dmc_reacher_easy",
    "dmc_walker_run",
    "dmc_walker_walk",
)


def scores(cells: Mapping[str, Mapping[str, Sequence[float]]]) -> pd.DataFrame:
    """method -> task -> scores of the seeds 0, 1, ..., as `per_run.select` gives them."""
    rows = [
        (method, task, str(seed), float(score))
        for method, tasks in cells.items()
        for task, values in tasks.items()
        for seed, score in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["method", "task", "seed", "score"])


def made_up(methods: Sequence[str] = ("a", "b"), *, tasks: int = 6, seeds: int = 5, seed: int = 0) -> pd.DataFrame:
    """Scores in about [0, 1], another level for each task and method."""
    generator = np.random.default_rng(seed)
    return scores(
        {
            method: {TASKS[task]: generator.normal(generator.uniform(0.2, 1.1), 0.15, seeds).tolist() for task in range(tasks)}
            for method in methods
        }
    )


def rectangle(frame: pd.DataFrame, method: str) -> np.ndarray:
    """[runs, tasks] as rliable takes them."""
    rows = frame[frame["method"] == method]
    return rows.pivot(index="seed", columns="task", values="score").to_numpy()
