"""The tables of a section of the report, and the text of their entries."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from analysis.figures import intervals
from analysis.figures.comparison import Comparison
from analysis.figures.style import number, task_label
from dreamer_bench_base import count

BASELINE = "random"
Table = dict[str, Any]


def aggregate_table(subject: Comparison, data: pd.DataFrame, means: pd.DataFrame) -> Table:
    metrics = list(dict.fromkeys(data["metric"]))
    digits = 1 if subject.normalization == "none" else 3
    rows = []
    for row in means.itertuples():
        mine = {entry.metric: entry for entry in data[data["method"] == row.method].itertuples()}
        rows.append(
            [
                name_cell(subject, row.method),
                *(_value(mine[metric], digits) for metric in metrics),
                {"text": str(row.tasks)},
                {"text": seeds_in_words(row).removesuffix("s").removesuffix(" seed")},
                {"text": str(row.runs)},
            ]
        )
    columns = ["method", *(intervals.METRIC_TITLES[metric] for metric in metrics), "tasks", "seeds per task", "runs"]
    return table(f"In units of {intervals.axis_label(subject)}; 95% intervals below each number.", columns, rows)


def difference_table(subject: Comparison, data: pd.DataFrame) -> Table:
    rows = [
        [
            name_cell(subject, row.of),
            _value(row, subject.digits),
            {"text": verdict(row), "is_text": True},
            {"text": str(row.runs)},
        ]
        for row in data.itertuples()
    ]
    caption = f"Mean score minus that of {BASELINE} ({subject.unit}), with Welch's 95% t-interval."
    return table(caption, ["method", "difference", "verdict", "runs of both"], rows)


def task_table(subject: Comparison) -> Table:
    data = intervals.task_estimates(subject.scores, subject.reps)
    methods = sorted(data["method"].unique())
    cells = {(row.task, row.method): row for row in data.itertuples()}
    rows = []
    for task in sorted(data["task"].unique()):
        row: list[dict[str, Any]] = [{"text": task_label(task)}]
        for method in methods:
            cell = cells.get((task, method))
            row.append({"text": "–"} if cell is None else {**_value(cell, 1), "text": f"{number(cell.point)} (n={cell.runs})"})
        rows.append(row)
    return table("Mean score per task (n seeds), 95% interval below.", ["task", *map(subject.label, methods)], rows)


def table(caption: str, columns: list[str], rows: list[list[dict[str, Any]]]) -> Table:
    words = [bool(rows) and bool(cell.get("is_text")) for cell in (rows[0] if rows else [])]
    return {
        "caption": caption,
        "columns": [{"text": name, "is_text": word} for name, word in zip(columns, words)],
        "rows": rows,
    }


def seeds_in_words(row: Any) -> str:
    if row.seeds_min == row.seeds_max:
        return count(row.seeds_min, "seed")
    return f"{row.seeds_min}–{row.seeds_max} seeds"


def ends(row: Any, digits: int = 1) -> str:
    return f"[{number(row.low, digits)}, {number(row.high, digits)}]"


def verdict(gap: Any) -> str:
    return "above" if gap.low > 0 else "below" if gap.high < 0 else "not distinguishable"


def color(subject: Comparison, method: str) -> str:
    return subject.styles_of([method])[method].color


def name_cell(subject: Comparison, method: str) -> dict[str, Any]:
    return {"text": subject.label(method), "color": color(subject, method)}


def _value(row: Any, digits: int) -> dict[str, Any]:
    return {"text": number(row.point, digits), "interval": "" if math.isnan(row.low) else ends(row, digits)}
