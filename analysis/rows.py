"""The rows of the long table: their columns, what may not stand side by side, and the error that data can be refused with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("protocol", "method", "task", "seed", "env_steps", "episode", "score", "source", "final", "device_seconds")
"""Columns of a table.

protocol        str    protocol id; "" for a score file that names none and for runs with a cut budget (`run --limit`)
method          str    agent label or the file's method name
task            str    catalog name, aliases resolved: "dmc_walker_walk", "atari_pong"
seed            str    label of the run inside (method, task)
env_steps       int64  simulator steps, action repeat included
episode         int64  index inside one evaluation; 0 for a logged point
score           float  undiscounted, unnormalised return
source          str    file or run folder
final           bool   belongs to the separate final evaluation
device_seconds  float  this run's share of its cohort's training time until env_steps; NaN where no record says it
"""

RUN = ["method", "task", "seed"]


class InvalidData(ValueError):
    """Data that cannot be used as it is: one line naming place and cure. The command line exits with `exit_code`."""

    exit_code = 4


def refuse_clashes(table: pd.DataFrame) -> None:
    """Raises InvalidData for a method under two protocols and for a run that two sources give."""
    clashing = table.groupby("method")["protocol"].unique()
    for method, protocols in clashing.items():
        if len(protocols) > 1:
            names = " and ".join(sorted(name or "no protocol" for name in protocols))
            raise InvalidData(
                f"method {method!r} appears under {names}; choose one with --protocol, or import the file under another "
                "--method"
            )
    repeated = table[table.duplicated([*RUN, "env_steps", "episode", "final"])]
    if len(repeated):
        row = repeated.iloc[0]
        raise InvalidData(
            f"{row['method']}, {row['task']}, seed {row['seed']} is given twice (again in {row['source']}); give it once"
        )
    sources = table.groupby(RUN)["source"].unique()
    double = sources[sources.map(len) > 1]
    if len(double):
        method, task, seed = double.index[0]
        first, second = double.iloc[0][:2]
        raise InvalidData(
            f"{method}, {task}, seed {seed} comes from both {first} and {second}; give one of them, or import one under "
            "another --method"
        )
