"""The four aggregates of DreamerV2's Table 1 over games: gamer median, gamer mean, record mean, clipped record mean.

Seeds are averaged first, then each game is normalised, then the games are aggregated. In this order the published runs of
DreamerV2 with schedules give all printed digits (docs/algorithms/dreamer_v2.md §11). Source: Hafner et al. 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.scores import normalize

if TYPE_CHECKING:
    import pandas as pd

AGGREGATES = {
    "gamer median": ("atari-gamer", "median"),
    "gamer mean": ("atari-gamer", "mean"),
    "record mean": ("atari-gamer-record", "mean"),
    "clipped record mean": ("atari-gamer-clipped", "mean"),
}
"""Name -> (normalisation, aggregate over games)."""


def table_1(scores: pd.DataFrame) -> pd.DataFrame:
    """Columns method, games and the four aggregates, from scores (method, task, score and any seeds) in the games' own units.

    Every method is aggregated over its own games; compare only methods with the same games.
    """
    games = scores.groupby(["method", "task"], as_index=False)["score"].mean()
    rows = games.groupby("method").agg(games=("task", "size"))
    for name, (normalization, over) in AGGREGATES.items():
        rows[name] = normalize.normalize(games, normalization).groupby("method")["score"].agg(over)
    return rows.reset_index()
