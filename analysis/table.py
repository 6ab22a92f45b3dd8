"""The long table of scores: how runs folders and score files become one, and how a run becomes one number.

Everything in `analysis` works on pandas DataFrames of two shapes:

    table   one row per evaluation episode or logged point: the columns COLUMNS
    scores  one row per run: method, task, seed, score (+ env_steps, points, carried), from `select`

Knows no simulator and no agent; a runs folder is read through `protocols.store` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from protocols.spec import ScoreRule

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("protocol", "method", "task", "seed", "env_steps", "episode", "score", "source", "final", "device_seconds")
"""Columns of a table.

protocol        str    protocol id, "" for a score file that names none
method          str    agent label or the file's method name
task            str    catalog name, aliases resolved: "dmc_walker_walk", "atari_pong"
seed            str    label of the run inside (method, task)
env_steps       int64  simulator steps, action repeat included
episode         int64  index inside one evaluation; 0 for a logged point
score           float  undiscounted, unnormalised return
source          str    file or run folder
final           bool   belongs to the separate final evaluation
device_seconds  float  this run's share of training time until env_steps; NaN where no record says it
"""

Short = Literal["drop", "carry", "fail"]


class InvalidData(ValueError):
    """Data that cannot be used as it is: one line naming place and cure. The command line exits with `exit_code`."""

    exit_code = 4


def read(paths: Sequence[str | Path], *, protocol: str | None = None) -> pd.DataFrame:
    """Long table (COLUMNS) of runs folders and score files, side by side, sorted by protocol, method, task, seed, env_steps, episode.

    A folder is a runs folder; a file is recognised by its content (`analysis.formats`), gzip included.
    protocol: keep only records of this protocol id (score files that name none are kept).

    Raises ValueError (one line) for a path that is neither, InvalidData for holes (NaN, a repeated point) and for one
    method name under two protocols.
    """
    ...


@dataclass(frozen=True, kw_only=True)
class Selection:
    """One score per run, and what was left out on the way.

    scores    method, task, seed, score, env_steps (last point used), points (how many were averaged), carried (bool);
              sorted by method, task, seed
    left_out  method, task, seed, env_steps (how far it came): runs that stop short of the budget
    rule      the score rule in words, for captions: "mean of the last 100,000 env steps before 5,000,000"
    budget_env_steps  the budget compared at
    """

    scores: pd.DataFrame
    left_out: pd.DataFrame
    rule: str
    budget_env_steps: int
    notes: tuple[str, ...] = field(default=())


def select(
    table: pd.DataFrame,
    *,
    rule: ScoreRule | None = None,
    at: int | None = None,
    window: int = 0,
    short: Short = "fail",
) -> Selection:
    """One score per (method, task, seed) by a score rule at a budget.

    rule    None: the protocol's own where the table is of one known protocol and neither `at` nor `window` is given,
            else "window" where window > 0, else "last"
    at      budget in env steps; None: the protocol's budget, or else the largest env_steps that every method reaches
    window  mean of the points with at - window < env_steps <= at; 0: the last evaluation at or before `at`
    short   runs that stop before the budget: "drop" leaves them out (listed in left_out), "carry" uses their last
            points (marked), "fail" raises InvalidData naming them. A run is short when its last point lies more than one
            of its own evaluation intervals before the budget.
    """
    ...


def cells(scores: pd.DataFrame, method: str) -> dict[str, list[float]]:
    """task -> scores of the seeds (sorted by value), tasks sorted: what the estimators take of one method."""
    ...
