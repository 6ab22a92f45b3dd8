"""The JSON of danijar/dreamer, dreamerv2 and dreamerv3: a list of runs {task, method, seed, xs, ys}, in simulator steps."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from analysis.scores.formats.raw import Raw
from analysis.scores.formats.source import Source, is_number, problem
from analysis.scores.import_options import Options
from dreamer_bench_base import count

if TYPE_CHECKING:
    import pandas as pd

PSEUDO_TASK = "stats_"
"""Prefix of aggregates in some of these files (dmc-vision-dreamerv2.json: stats_normalized_mean), which are not runs."""


def parse(source: Source, options: Options) -> Raw:
    """Raw points of the runs. Without `ys` it takes `reward` (Crafter's runs) and adds a note."""
    import pandas as pd

    path, runs = source.path, source.json
    rows: list[tuple[Any, ...]] = []
    pseudo = rewards = 0
    for number, run in enumerate(runs if isinstance(runs, list) else [None], start=1):
        place = f"entry {number}"
        if isinstance(run, dict) and "ys" not in run and "reward" in run:
            run = {**run, "ys": run["reward"]}
            rewards += 1
        missing = [key for key in ("task", "method", "seed", "xs", "ys") if not isinstance(run, dict) or key not in run]
        if missing:
            raise problem(path, place, f"lacks {', '.join(missing)}", "expected a list of {task, method, seed, xs, ys}")
        xs, ys = run["xs"], run["ys"]
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise problem(path, place, "xs and ys are no lists of one length", "every x needs its y, or null")
        if str(run["task"]).startswith(PSEUDO_TASK):
            pseudo += 1
            continue
        for point, (x, y) in enumerate(zip(xs, ys, strict=True), start=1):
            if not is_number(x) or not (y is None or is_number(y)):
                raise problem(path, f"{place}, point {point}", f"is ({x!r}, {y!r})", "a point is two numbers; y may be null")
            rows.append(
                (
                    f"{place}, point {point}",
                    run["method"],
                    run["task"],
                    run["seed"],
                    float(x),
                    float("nan") if y is None else float(y),
                )
            )
    notes = []
    if pseudo:
        notes.append(f"{count(pseudo, 'aggregate')} under {PSEUDO_TASK}* left out: they are not runs")
    if rewards:
        notes.append(f"scores are 'reward' in {count(rewards, 'run')} without 'ys'")
    frame = pd.DataFrame(rows, columns=["place", "method", "task", "seed", "step", "score"])
    return Raw(frame=frame, unit="env_steps", steps="xs", notes=tuple(notes))


def dump(table: pd.DataFrame) -> str:
    """The table as this JSON; several episodes at one step become their mean."""
    runs = []
    for (method, task, seed), group in table[~table["final"]].groupby(["method", "task", "seed"], sort=True):
        points = group.groupby("env_steps")["score"].mean()
        runs.append({"task": task, "method": method, "seed": seed, "xs": _plain(points.index), "ys": _plain(points)})
    return json.dumps(runs, allow_nan=False) + "\n"


def _plain(values: Iterable[Any]) -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in values]
