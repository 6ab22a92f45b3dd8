"""The rows of the long table: their columns, and which rows a table must not contain together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dreamer_bench_base import InvalidData
from dreamer_bench_untrusted import as_cell, check_name, is_printable
from protocols.spec import ScoreRule

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("protocol", "method", "task", "seed", "env_steps", "episode", "score", "source", "final", "device_seconds"),
    *("budget_env_steps", "score_rule", "finished", "place"),
)
"""Columns of a table.

protocol        str    protocol id; "" for a score file that names none
method          str    agent label or the file's method name
task            str    catalog name, aliases resolved: "dmc_walker_walk", "atari_pong"
seed            str    label of the run inside (method, task)
env_steps       int64  simulator steps, including action repeat
episode         int64  index in the evaluation; 0 for a logged point
score           float  undiscounted, unnormalised return
source          str    file or run folder
final           bool   belongs to the separate final evaluation
device_seconds  float  this run's share of its cohort's training time until env_steps; NaN if no record has it
budget_env_steps int64 the protocol's budget, from the run's own manifest; 0 without a known protocol
score_rule      str    the protocol's score rule, also from the manifest: "window 100000", "last 0", "final 0"; "" if unknown
finished        bool   False for a run of this benchmark that has no result yet
place           str    its place in a file: "scores.csv:12", "scores.json, entry 3, point 7", "…/seed-0/episodes.jsonl:3"
"""

DEFAULTS: Mapping[str, Any] = {
    "protocol": "",
    "episode": 0,
    "final": False,
    "device_seconds": math.nan,
    "budget_env_steps": 0,
    "score_rule": "",
    "finished": True,
}
"""Values of columns that a score file does not have."""

RUN = ["method", "task", "seed"]
MOST_CHARACTERS = 200
"""Most characters of a name."""


def as_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table for a CSV: text that a spreadsheet would run as a formula becomes plain text."""
    return table.assign(
        **{
            str(name): [as_cell(entry) if isinstance(entry, str) else entry for entry in column]
            for name, column in table.items()
            if column.dtype == object
        }
    )


def rule_text(rule: ScoreRule) -> str:
    """A score rule as text in a table."""
    return f"{rule.kind} {rule.window_env_steps}"


def rule_of(text: str) -> ScoreRule:
    """The score rule from its text in a table."""
    kind, _, window = text.partition(" ")
    return ScoreRule(kind=kind, window_env_steps=int(window))  # type: ignore[arg-type]


def where(row: pd.Series) -> str:
    """The start of a message about a row: its place, if it has one."""
    return f"{row['place']}: " if row.get("place") else ""


def two_protocols(first: object, second: object, protocol: str) -> InvalidData:
    """The error for two runs with one protocol id and different definitions of it."""
    return InvalidData(f"{first} and {second} hold two protocols under the name {protocol}; keep them in two runs folders")


def refuse_single_seeds(scores: pd.DataFrame) -> None:
    """Raises InvalidData for a method with one run on a task, because the spread of its scores is unknown."""
    lone = scores[scores.groupby(["method", "task"])["seed"].transform("nunique") == 1]
    if len(lone):
        row = lone.iloc[0]
        raise InvalidData(
            f"{where(row)}{row['method']} has a single seed on {row['task']}: no interval can be given; add seeds, or leave "
            "the method out with --methods"
        )


def refuse_clashes(table: pd.DataFrame) -> None:
    """Raises InvalidData for a name that cannot be shown, a method under two protocols, and a run from two sources."""
    for column in ("method", "task", "seed", "protocol"):
        for name in table[column].unique():
            if not is_printable(name) or len(name) > MOST_CHARACTERS:
                check_name(name, f"{where(table[table[column] == name].iloc[0])}the {column}", most=MOST_CHARACTERS)
    named = table[["method", "protocol"]].drop_duplicates()
    mixed = sorted(named.loc[named["method"].duplicated(), "method"])
    if mixed:
        protocols = table[table["method"] == mixed[0]].drop_duplicates("protocol")
        first, second = protocols.iloc[0], protocols.iloc[1]
        raise InvalidData(
            f"{where(second)}method {mixed[0]!r} is filed under {second['protocol'] or 'no protocol'}, but under "
            f"{first['protocol'] or 'no protocol'} at {first['place']}; choose one with --protocol, or import one file "
            "under another --method"
        )
    repeated = table[table.duplicated([*RUN, "env_steps", "episode", "final"])]
    if len(repeated):
        row = repeated.iloc[0]
        raise InvalidData(
            f"{where(row)}{row['method']}, {row['task']}, seed {row['seed']} at {row['env_steps']:,} env_steps is given for "
            "the second time; give it once"
        )
    starts = table.drop_duplicates([*RUN, "source"])
    double = starts[starts.duplicated(RUN)]
    if len(double):
        second = double.iloc[0]
        first = starts[(starts[RUN] == second[RUN]).all(axis=1)].iloc[0]
        raise InvalidData(
            f"{where(second)}{second['method']}, {second['task']}, seed {second['seed']} begins again, after {first['place']}; "
            "give one of them, or import one under another --method"
        )
