"""Runs under two seed labels that are one run: the check that `verify` and the leaderboard make of any scores."""

from __future__ import annotations

import pandas as pd

from protocols.records.score import alike

MOST = 5
"""Most causes of one kind that are listed; further ones are only counted."""


def copies(table: pd.DataFrame) -> list[str]:
    """Causes for runs of one task whose records are equal although the scores vary: the same run under two seed labels."""
    found = []
    for (method, task), runs in table.groupby(["method", "task"], sort=True):
        seen: list[tuple[str, list[int], list[float]]] = []
        for seed, run in runs.groupby("seed", sort=True):
            played = run.sort_values(["env_steps", "episode", "final"])
            steps, scores = played["env_steps"].tolist(), played["score"].tolist()
            for other, other_steps, other_scores in seen:
                if steps == other_steps and alike(scores, other_scores):
                    found.append(f"{method}, {task}: the seeds {other} and {seed} hold identical records; keep one")
                    break
            seen.append((str(seed), steps, scores))
    return listed(found)


def listed(causes: list[str]) -> list[str]:
    return causes if len(causes) <= MOST else [*causes[:MOST], f"and {len(causes) - MOST} more like the last"]
