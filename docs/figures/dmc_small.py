"""Prints the tables of `dmc-small@1` in docs/results.md from the records: scores, differences to Dreamer, device minutes.

    python docs/figures/dmc_small.py [RUNS...]      # default: the shipped records of results/studies/dmc-small

A number stands in the tables only if all five seeds of the program are complete; otherwise a dash. Intervals are 95% percentile
intervals of the bootstrap over seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from analysis.statistics.aggregate import Estimate, difference, estimates
from dreamer_bench_base import UserError
from protocols.records.store import find_runs

SHIPPED = Path(__file__).resolve().parents[2] / "results" / "studies" / "dmc-small" / "runs"
SEEDS = 5
TASKS = ("dmc_cartpole_balance", "dmc_cartpole_swingup", "dmc_cup_catch", "dmc_walker_walk", "dmc_walker_stand")
AGENTS = ("dreamer", "dreamer_v2", "sac", "planet", "no_value", "world_models", "random")
MISSING = "–"


def collected(folders: list[Path]) -> pd.DataFrame:
    """One row per run of a complete program: method, task, seed, score and device minutes."""
    rows = []
    for folder in folders:
        for run in find_runs(folder):
            manifest, result = run.manifest, run.result()
            if result is not None:
                minutes = result["device_seconds"] / 60
                rows.append((manifest["agent"], manifest["task"], manifest["seed"], result["score"], minutes))
    found = pd.DataFrame(rows, columns=["method", "task", "seed", "score", "minutes"])
    if found.empty:
        raise UserError(f"no finished run lies in {', '.join(map(str, folders))}; give the folder that `run --runs` wrote")
    complete = found.groupby(["method", "task"])["seed"].transform("nunique") == SEEDS
    return found[complete].sort_values(["task", "method", "seed"], ignore_index=True)


def of(scores: pd.DataFrame, method: str, task: str) -> pd.DataFrame:
    return scores[(scores["method"] == method) & (scores["task"] == task)]


def cell(estimate: Estimate) -> str:
    return f"{estimate.point:.0f} ({estimate.low:.0f} to {estimate.high:.0f})"


def score_cell(scores: pd.DataFrame, method: str, task: str) -> str:
    rows = of(scores, method, task)
    return cell(estimates(rows, metrics=["mean"])[0]) if len(rows) else MISSING


def difference_cell(scores: pd.DataFrame, method: str, task: str) -> str:
    rows = scores[(scores["task"] == task) & scores["method"].isin(["dreamer", method])]
    return cell(difference(rows, "dreamer", method)) if rows["method"].nunique() == 2 else MISSING


def minutes_cell(scores: pd.DataFrame, method: str, task: str) -> str:
    rows = of(scores, method, task)
    return f"{rows['minutes'].mean():.1f}" if len(rows) else MISSING


def table(title: str, methods: list[str], cells: Callable[[pd.DataFrame, str, str], str], scores: pd.DataFrame) -> str:
    lines = [f"| {title} | " + " | ".join(task.removeprefix("dmc_") for task in TASKS) + " |", "|---" * (1 + len(TASKS)) + "|"]
    lines += [f"| {name} | " + " | ".join(cells(scores, name, task) for task in TASKS) + " |" for name in methods]
    return "\n".join(lines)


def tables(scores: pd.DataFrame) -> str:
    known = [name for name in AGENTS if name in set(scores["method"])]
    return "\n\n".join(
        [
            table("score", known, score_cell, scores),
            table("Dreamer minus", [name for name in known if name != "dreamer"], difference_cell, scores),
            table("device minutes a seed", known, minutes_cell, scores),
        ]
    )


if __name__ == "__main__":
    try:
        print(tables(collected([Path(name) for name in sys.argv[1:]] or [SHIPPED])))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
