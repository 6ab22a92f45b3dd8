"""Counts in how many sets of three seeds each agent of `quick@2` beats random actions, and prints what to expect of one set.

    python docs/figures/quick_sets.py [RUNS...]      # default: the shipped records of results/studies/quick-2

Sets are consecutive seeds, so that no run counts twice; a set that is not complete is left out. An agent beats random actions
in a set if the 95% bootstrap interval of the difference of means lies above 0. With three seeds against three that interval is
too narrow, and Welch's t-interval stands beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from finished_runs import finished, print_or_refuse
from scipy import stats

from analysis.statistics.aggregate import difference
from dreamer_bench_base import UserError
from protocols import catalog

SHIPPED = Path(__file__).resolve().parents[2] / "results" / "studies" / "quick-2" / "runs"
PROTOCOL = "quick@2"
TASK = "dmc_cartpole_swingup"
FIRST_SEED, SEEDS_A_SET = 200, 3


def sets(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per agent and complete set: the mean score, and the lower ends of both intervals of its difference to random
    actions. Raises UserError if no set is complete.
    """
    begin = scores["seed"].map(lambda seed: FIRST_SEED if seed >= FIRST_SEED else 0)
    scores = scores.assign(set=begin + (scores["seed"] - begin) // SEEDS_A_SET * SEEDS_A_SET)[scores["task"] == TASK]
    seeds = scores.groupby(["set", "method"])["seed"].transform("nunique")
    found = []
    for number, of_set in scores[seeds == SEEDS_A_SET].groupby("set"):
        methods = set(of_set["method"])
        for method in sorted(methods - {"random"}) if "random" in methods else ():
            estimate = difference(of_set, method, "random")
            ours, random = (of_set.loc[of_set["method"] == name, "score"] for name in (method, "random"))
            welch = stats.ttest_ind(ours, random, equal_var=False).confidence_interval(0.95).low
            found.append((number, method, ours.mean(), estimate.low, welch))
    if not found:
        raise UserError(
            f"no agent and random actions both have a complete set of {SEEDS_A_SET} seeds on {TASK} (0 to 2, 3 to 5, …; "
            f"{FIRST_SEED} to {FIRST_SEED + 2}, …); run them with the same seeds"
        )
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


def page(arguments: Sequence[str]) -> str:
    return table(sets(finished([Path(name) for name in arguments] or [SHIPPED], catalog.find(PROTOCOL))))


if __name__ == "__main__":
    sys.exit(print_or_refuse(lambda: page(sys.argv[1:])))
