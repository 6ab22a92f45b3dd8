"""Paths and choices of a command line in, the one comparison they mean out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures import comparison
from analysis.figures.comparison import Comparison
from analysis.scores import groups
from analysis.scores import table as tables
from analysis.scores.columns import two_protocols
from dreamer_bench_base import UserError
from protocols.spec import ScoreRule


def gather(
    paths: Sequence[str | Path],
    *,
    several_protocols: bool = False,
    protocol: str | None = None,
    methods: Sequence[str] = (),
    tasks: Sequence[str] = (),
    at: int | None = None,
    window: int = 0,
    short: tables.Short = "drop",
    normalization: str | None = None,
    reps: int = 50_000,
) -> Comparison:
    """Scores of runs folders and files as one comparison. Cut runs (`--limit`) and diverged ones are never among them.

    several_protocols  bring protocols that differ in their action repeat alone together, as methods "agent action_repeat=R"
                       (Figure 12 alone may do so)

    Raises ValueError where the folders hold several protocols and none is chosen, and for a method or task that is not there.
    """
    folders, files = comparison.split_paths(paths)
    found = groups.groups(comparison.runs_of(folders))
    if protocol is not None:
        found = [group for group in found if group.protocol == protocol]
    if several_protocols:
        found = groups.repeats(found)
    elif len({group.protocol for group in found}) > 1:
        raise UserError(
            f"the runs are of several protocols ({', '.join(group.protocol for group in found)}), which never share a figure; "
            "choose one with --protocol"
        )
    elif len(found) > 1:
        raise two_protocols(found[0].cells[0].run.folder, found[1].cells[0].run.folder, found[0].protocol)
    parts: list[pd.DataFrame] = []
    overrides: dict[str, dict[str, Any]] = {}
    own_options: dict[str, dict[str, Any]] = {}
    for group in found:
        cells = {
            (cell.method, cell.task, str(cell.seed))
            for cell in group.cells
            if cell.counts or cell.why == groups.REASONS["unfinished"]
        }
        if not group.evaluated:
            continue
        table = tables.read(folders, protocol=group.protocol)
        table = table[[key in cells for key in zip(table["method"], table["task"], table["seed"].astype(str), strict=True)]]
        overrides |= groups.overrides(group.cells)
        own_options |= groups.own_options(group.cells)
        if several_protocols:
            repeat = group.data["action_repeat"]
            table = table.assign(method=[f"{method} action_repeat={repeat}" for method in table["method"]], protocol="")
        parts.append(table)
    if files:
        parts.append(tables.read(files, protocol=protocol))
    parts = [part for part in parts if len(part)]
    if not parts:
        raise UserError(
            f"{', '.join(map(str, paths))} holds no evaluation{f' of {protocol}' if protocol else ''} to draw; let a run reach "
            "its first evaluation"
        )
    table = pd.concat(parts, ignore_index=True)
    table = tables.chosen(table, methods, tasks)
    rule = None
    if len(found) == 1 and at is None and not window and table["protocol"].nunique() == 1:
        rule, at = ScoreRule(**found[0].data["score_rule"]), found[0].data["env_steps"]
    names = [group.protocol for group in found] or sorted({name for name in table["protocol"] if name})
    title = ", ".join(names) or ", ".join(path.name.split(".")[0] for path in files)
    return comparison.assemble(
        table,
        title=title,
        rule=rule,
        at=at,
        window=window,
        short=short,
        normalization=normalization,
        overrides=overrides,
        own_options=own_options,
        reps=reps,
    )
