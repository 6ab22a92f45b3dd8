"""Turns the paths and options of a command line into one comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures import comparison
from analysis.figures.comparison import Comparison
from analysis.scores import groups, per_run
from analysis.scores import table as tables
from dreamer_bench_base import UserError


def gather(
    paths: Sequence[str | Path],
    *,
    several_protocols: bool = False,
    protocol: str | None = None,
    methods: Sequence[str] = (),
    tasks: Sequence[str] = (),
    at: int | None = None,
    window: int = 0,
    short: per_run.Short = "drop",
    normalization: str | None = None,
    reps: int = 50_000,
    own_tasks: Sequence[str] = (),
) -> Comparison:
    """Scores of runs folders and files as one comparison, without cut runs (`--limit`) and diverged runs.

    several_protocols  combine protocols that differ only in their action repeat, as methods "agent action_repeat=R"
                       (only for Figure 12)

    Raises UserError if the folders have several protocols and none is chosen, and for an unknown method or task.
    """
    folders, files = comparison.split_paths(paths)
    found = groups.chosen(groups.groups(comparison.runs_of(folders)), protocol)
    notes: list[str] = []
    if several_protocols:
        every, found = found, groups.repeats(found)
        for id in sorted({group.protocol for group in every} - {group.protocol for group in found}) if found else ():
            notes.append(
                f"{id} left out: no run of it counts yet, or it differs from the others in more than its action repeat"
            )
    elif len({group.protocol for group in found}) > 1:
        raise UserError(
            f"the runs are of several protocols ({', '.join(group.protocol for group in found)}), which never share a figure; "
            "choose one with --protocol"
        )
    if several_protocols and found:
        table = _repeats_beside_each_other(found, folders, notes)
        if files:
            table = pd.concat([table, tables.read(files, protocol=protocol, own_tasks=own_tasks, notes=notes)])
    else:
        table = tables.read([*folders, *files], protocol=protocol, own_tasks=own_tasks, notes=notes)
    table = tables.chosen(table, methods, tasks)
    names = [group.protocol for group in found] or sorted({name for name in table["protocol"] if name})
    overrides: dict[str, dict[str, Any]] = {}
    own_options: dict[str, dict[str, Any]] = {}
    for group in found:
        overrides |= groups.overrides(group.members)
        own_options |= groups.own_options(group.members)
    return comparison.assemble(
        table,
        title=", ".join(names) or ", ".join(path.name.split(".")[0] for path in files),
        at=at,
        window=window,
        short=short,
        normalization=normalization,
        overrides=overrides,
        own_options=own_options,
        reps=reps,
        notes=notes,
    )


def _repeats_beside_each_other(found: Sequence[groups.Group], folders: Sequence[Path], notes: list[str]) -> pd.DataFrame:
    """The tables of several protocols as one table, whose methods are named for their action repeats."""
    parts = []
    for group in found:
        table = tables.read(folders, protocol=group.protocol, notes=notes)
        repeat = group.data["action_repeat"]
        parts.append(table.assign(method=[f"{method} action_repeat={repeat}" for method in table["method"]], protocol=""))
    return pd.concat(parts, ignore_index=True)
