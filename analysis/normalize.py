"""Named, versioned normalisations of scores. A name that appears in a caption or a verdict decides every constant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """name "atari-human", version 1, label for axes "human-normalised score", source of the constants."""

    name: str
    version: int
    label: str
    source: str

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


NORMALIZATIONS: Mapping[str, Normalization] = {}
"""none, dmc (score / 1000), atari-human ((x - random) / (human - random)), atari-record."""


def normalize(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The same table or scores with `score` in normalised units. ValueError for an unknown name, InvalidData for a task without constants."""
    ...


def for_tasks(tasks: list[str]) -> str:
    """The normalisation that fits these tasks: "dmc", "atari-human", or "none" where they are mixed or of another suite."""
    ...
