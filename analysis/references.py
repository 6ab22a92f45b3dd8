"""Published numbers that ship with the project, each with its source, and any score file as a reference for `verify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("dreamer-2020-appendix-g",)
"""References that `verify --reference NAME` knows."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Something to compare with; never a bare number.

    kind    "raw": scores has one row per run; "mean": one row per task, the mean of `seeds` runs that are not available
    scores  method, task, seed ("" where kind is "mean"), score, in unnormalised units
    """

    name: str
    title: str
    source: str
    licence: str
    kind: Literal["raw", "mean"]
    seeds: int
    budget_env_steps: int
    window_env_steps: int | None
    evaluation: str
    scores: pd.DataFrame


def appendix_g() -> pd.DataFrame:
    """Appendix G of Hafner et al. 2020: task, method ("A3C", "D4PG", "PlaNet", "Dreamer"), modality, env_steps, score, source.

    Only reported cells: A3C and D4PG have 18 tasks (no quadruped), PlaNet and Dreamer 20.
    """
    ...


def appendix_g_means() -> pd.DataFrame:
    """method, tasks, mean (over the method's own tasks, as printed), mean_common (over the 18 tasks all four have)."""
    ...


def atari_scores() -> pd.DataFrame:
    """task, random, human, record (NaN where none is known), with the sources of each; index by nothing."""
    ...


def load(name_or_path: str | Path, *, method: str | None = None, at: int | None = None, window: int = 0) -> Reference:
    """A shipped reference by name, or a score file or runs folder as a raw reference (method: which one in the file)."""
    ...
