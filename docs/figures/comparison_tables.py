"""Prints the tables of a protocol in docs/results.md from the records: scores, differences to Dreamer, device minutes.

    python docs/figures/comparison_tables.py dmc-small@1 [RUNS...]      # default: every shipped record of the protocol

A number stands in the tables only if all seeds of the program are complete; otherwise a dash. Agents of your own and agents
with options set by hand come last, under their labels. Intervals of scores are 95% percentile intervals of the bootstrap over
seeds. Those of differences are Welch's 95% t-intervals, because the bootstrap's are too narrow for a verdict with five seeds
(docs/verifying.md).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from finished_runs import finished, print_or_refuse

from analysis.statistics import welch
from analysis.statistics.aggregate import estimates
from dreamer_bench_base import UserError
from protocols import catalog
from protocols.spec import Protocol

RESULTS = Path(__file__).resolve().parents[2] / "results"
PLACES = "leaderboard/*/runs", "studies/dmc-small/runs"
"""Where the shipped records of whole comparisons lie; other studies hold further seeds and options set by hand."""
AGENTS = ("dreamer", "dreamer_v2", "sac", "planet", "no_value", "world_models", "random")
MISSING = "–"
Cell = Callable[[pd.DataFrame, str, Sequence[str]], str]


def shipped(protocol: Protocol) -> list[Path]:
    return [runs for pattern in PLACES for runs in sorted(RESULTS.glob(pattern)) if (runs / protocol.id).is_dir()]


def complete(runs: pd.DataFrame, protocol: Protocol) -> pd.DataFrame:
    """The runs of the programs that have all seeds of the protocol. Raises UserError if none has."""
    runs = runs[runs["seed"].isin(protocol.seeds)]
    seeds = runs.groupby(["method", "task"])["seed"].transform("nunique")
    found = runs[seeds == len(protocol.seeds)]
    if found.empty:
        most = (
            f"the most seeds are {seeds.max()}, of {runs['method'][seeds.idxmax()]}" if len(runs) else "there are only others"
        )
        raise UserError(
            f"no agent has all {len(protocol.seeds)} seeds of {protocol.id} on a task ({most}); finish the runs, or add theirs"
        )
    return found.reset_index(drop=True)


def of(scores: pd.DataFrame, method: str, tasks: Sequence[str]) -> pd.DataFrame:
    """The rows of a method on these tasks; none if it has not run on all of them."""
    rows = scores[(scores["method"] == method) & scores["task"].isin(tasks)]
    return rows if rows["task"].nunique() == len(tasks) else rows.iloc[:0]


def cell(point: float, low: float, high: float) -> str:
    return f"{point:.0f} ({low:.0f} to {high:.0f})"


def score_cell(scores: pd.DataFrame, method: str, tasks: Sequence[str]) -> str:
    rows = of(scores, method, tasks)
    if rows.empty:
        return MISSING
    mean = estimates(rows, metrics=["mean"])[0]
    return cell(mean.point, mean.low, mean.high)


def difference_cell(scores: pd.DataFrame, method: str, tasks: Sequence[str]) -> str:
    both = [of(scores, name, tasks) for name in ("dreamer", method)]
    if any(rows.empty for rows in both):
        return MISSING
    gap = welch.difference(pd.concat(both), "dreamer", method)
    return cell(gap.point, gap.low, gap.high)


def minutes_cell(scores: pd.DataFrame, method: str, tasks: Sequence[str]) -> str:
    rows = of(scores, method, tasks)
    return f"{rows['minutes'].mean():.1f}" if len(rows) else MISSING


def table(title: str, methods: Sequence[str], cells: Cell, scores: pd.DataFrame, columns: dict[str, Sequence[str]]) -> str:
    lines = [f"| {title} | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
    lines += [f"| {name} | " + " | ".join(cells(scores, name, tasks) for tasks in columns.values()) + " |" for name in methods]
    return "\n".join(lines)


def tables(scores: pd.DataFrame, protocol: Protocol) -> str:
    there = sorted(set(scores["method"]))
    known = [*(name for name in AGENTS if name in there), *(name for name in there if name not in AGENTS)]
    columns: dict[str, Sequence[str]] = {task.removeprefix("dmc_").removeprefix("gym:"): [task] for task in protocol.tasks}
    if protocol.normalization == "dmc":  # one scale
        columns["mean of all"] = protocol.tasks
    return "\n\n".join(
        [
            table("score", known, score_cell, scores, columns),
            table("Dreamer minus", [name for name in known if name != "dreamer"], difference_cell, scores, columns),
            table("device minutes a seed", known, minutes_cell, scores, columns),
        ]
    )


def page(arguments: Sequence[str]) -> str:
    if not arguments:
        raise UserError("give a protocol, for example dmc-small@1")
    protocol = catalog.find(arguments[0])
    return tables(complete(finished([Path(name) for name in arguments[1:]] or shipped(protocol), protocol), protocol), protocol)


if __name__ == "__main__":
    sys.exit(print_or_refuse(lambda: page(sys.argv[1:])))
