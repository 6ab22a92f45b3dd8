"""The finished runs behind the tables of docs/results.md, as one table. The scripts beside this file read records only here.

A run counts or not by the project's own rule (`protocols.records.score.counts`), under its label, so that a run with options
set by hand or with a cut budget never stands for the agent.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from dreamer_bench_base import UserError
from protocols.records.score import REASONS, counts
from protocols.records.store import find_runs
from protocols.spec import Protocol, digest


def finished(folders: Sequence[Path], protocol: Protocol) -> pd.DataFrame:
    """One row per run of the protocol that counts: method (the label), task, seed, score and device minutes; sorted.

    Raises UserError if there is none, and for a run that is given twice or was made under another definition of the protocol.
    """
    rows, left_out = [], Counter[str]()
    for run in (run for folder in folders for run in find_runs(folder)):
        manifest, result = run.manifest, run.result()
        if manifest["protocol"] != protocol.id:
            continue
        if manifest["digest"] != digest(protocol):
            raise UserError(f"{run.folder} was made under another definition of {protocol.id}; give a folder without it")
        why = counts(run)
        if why is not None or result is None:
            left_out[REASONS[why or "unfinished"]] += 1
            continue
        rows.append((manifest["label"], manifest["task"], manifest["seed"], result["score"], result["device_seconds"] / 60))
    found = pd.DataFrame(rows, columns=["method", "task", "seed", "score", "minutes"])
    named = ", ".join(map(str, folders)) or "results/"
    if found.empty:
        why = "".join(f"; {number} left out: {reason}" for reason, number in left_out.items())
        raise UserError(f"{named}: no run of {protocol.id} counts{why}; give the folder that `run --runs` wrote")
    twice = found[found.duplicated(["method", "task", "seed"])]
    if len(twice):
        run = twice.iloc[0]
        raise UserError(
            f"{named}: {run['method']}, {run['task']}, seed {run['seed']} is there twice; give folders that hold it once"
        )
    return found.sort_values(["task", "method", "seed"], ignore_index=True)


def print_or_refuse(table: Callable[[], str]) -> int:
    """Prints the table and returns 0; for bad input prints its line to standard error and returns its exit code."""
    try:
        print(table())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
