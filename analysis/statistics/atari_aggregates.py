"""The four aggregates of DreamerV2's Table 1 over games: gamer median, gamer mean, record mean, clipped record mean.

Seeds are averaged first, then each game is normalised, then the games are aggregated: so the printed row of DreamerV2 with
schedules comes out of its published runs, to every digit (docs/algorithms/dreamer_v2.md §11). Source: Hafner et al. 2021.
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
"""Name -> (normalisation, over games)."""


def table_1(scores: pd.DataFrame) -> pd.DataFrame:
    """method, games and the four, of scores (method, task, score and any seeds) in the games' own units.

    Every method has its own games; compare those that have the same.
    """
    games = scores.groupby(["method", "task"], as_index=False)["score"].mean()
    rows = games.groupby("method").agg(games=("task", "size"))
    for name, (normalization, over) in AGGREGATES.items():
        rows[name] = normalize.normalize(games, normalization).groupby("method")["score"].agg(over)
    return rows.reset_index()
