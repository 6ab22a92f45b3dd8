"""Counts in how many sets of three seeds each agent of `quick@2` beats random actions, and prints what to expect of one set.

    python docs/figures/quick_sets.py [RUNS...]      # default: the shipped records of results/studies/quick-2

Sets are consecutive seeds, so that no run counts twice. An agent beats random actions in a set if the 95% bootstrap interval of
the difference of means lies above 0. With three seeds against three that interval is too narrow, and Welch's t-interval stands
beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from scipy import stats

from analysis.statistics.aggregate import difference
from dreamer_bench_base import UserError
from protocols.records.store import find_runs

SHIPPED = Path(__file__).resolve().parents[2] / "results" / "studies" / "quick-2" / "runs"
TASK = "dmc_cartpole_swingup"
FIRST_SEED, SEEDS_A_SET = 200, 3


def collected(folders: list[Path]) -> pd.DataFrame:
    """One row per finished run: agent, task, seed and score."""
    rows = []
    for folder in folders:
        for run in find_runs(folder):
            manifest, result = run.manifest, run.result()
            if result is None:
                continue
            rows.append((manifest["agent"], manifest["task"], manifest["seed"], result["score"]))
    found = pd.DataFrame(rows, columns=["method", "task", "seed", "score"])
    if found.empty:
        raise UserError(f"no finished run lies in {', '.join(map(str, folders))}; give the folder that `run --runs` wrote")
    return found.sort_values(["task", "method", "seed"], ignore_index=True)


def sets(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per agent and set: the mean score, and the lower ends of both intervals of its difference to random actions."""
    found = []
    scores = scores[scores["task"] == TASK].assign(set=lambda table: (table["seed"] - FIRST_SEED) // SEEDS_A_SET)
    for number, of_set in scores.groupby("set"):
        for method in sorted(set(of_set["method"]) - {"random"}):
            estimate = difference(of_set, method, "random")
            mean = of_set.loc[of_set["method"] == method, "score"].mean()
            ours, random = (of_set.loc[of_set["method"] == name, "score"] for name in (method, "random"))
            welch = stats.ttest_ind(ours, random, equal_var=False).confidence_interval(0.95).low
            found.append((number, method, mean, estimate.low, welch))
    return pd.DataFrame(found, columns=["set", "method", "mean", "low", "welch_low"])


def table(found: pd.DataFrame) -> str:
    lines = [
        "| agent | sets | above random actions | by Welch's interval | mean of a set, lowest to highest |",
        "|---|---|---|---|---|",
    ]
    for method, rows in found.groupby("method"):
        above = int((rows["low"] > 0).sum())
        welch = int((rows["welch_low"] > 0).sum())
        lines.append(f"| {method} | {len(rows)} | {above} | {welch} | {rows['mean'].min():.0f} to {rows['mean'].max():.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        print(table(sets(collected([Path(name) for name in sys.argv[1:]] or [SHIPPED]))))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
