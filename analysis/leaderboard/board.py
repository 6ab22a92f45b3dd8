"""The ranking of one protocol with its tables and figures, for the templates of the leaderboard."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from analysis.figures import comparison, curves, efficiency, intervals
from analysis.figures.comparison import MOST_DRAWN, Comparison
from analysis.figures.drawing import Drawing, csv_text, rendered, svg_text
from analysis.figures.style import number, short_count, task_label
from analysis.leaderboard.entries import Entry
from analysis.scores import normalize, per_run
from analysis.statistics import aggregate, small_samples
from dreamer_bench_base import InvalidData, UserError
from protocols.records.schema import SCHEMA
from protocols.spec import Protocol, digest

MOST_INCHES = 10.0
"""A wider figure takes both columns of a wide page."""


def board_of(entries: list[Entry], reps: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    protocol = entries[0].protocol
    names = [entry.method for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"two entries of {protocol.id} are named {twice!r}; change the name on one card")
    anchor = re.sub(r"[^a-z0-9]+", "-", protocol.id).strip("-")
    one_scale = normalize.one_scale(protocol.tasks, protocol.normalization)
    ranked = [entry for entry in entries if one_scale and not entry.unranked]
    incomplete = [entry for entry in entries if entry.unranked]
    subject = _subject(protocol, ranked or entries, reps)
    files: dict[str, bytes] = {}
    drawings: list[Drawing] = []
    rows: list[dict[str, Any]] = []
    pairs: dict[str, Any] = {}
    not_drawn = ""
    if ranked:
        estimates = intervals.estimate_table(
            aggregate.estimates(subject.normalized, reps=reps, metrics=_metrics(subject), single_seed="refuse")
        )
        ranks = aggregate.rank_ranges(subject.normalized, reps=reps)
        rows = [_row(subject, entry_of(ranked, rank.method), rank, estimates) for rank in ranks.itertuples()]
    order = [row["method"] for row in rows]
    everyone = subject if len(ranked) in (0, len(entries)) else _subject(protocol, entries, reps)
    drawn = order + sorted(entry.method for entry in entries if entry.method not in set(order))
    table = _points([entry for entry in entries if entry.method in drawn[:MOST_DRAWN]])
    if ranked:
        best = order[:MOST_DRAWN]
        pairs = _pairs(subject.only(best), best, reps)
        drawings.append(intervals.ranking(subject, order))
        drawings.append(intervals.aggregates(subject, order=order))
        recorded = [method for method in best if entry_of(ranked, method).submission.imported is None]
        shown = replace(subject.only(best), table=table[table["method"].isin(best)])
        drawing, not_drawn = _efficiency(shown, recorded)
        drawings += drawing
    drawings.append(curves.curves(replace(everyone.only(drawn[:MOST_DRAWN]), table=table)))
    figures = _figures(drawings, anchor, files)
    glance = figures.pop(0) if ranked else None
    board = {
        "id": protocol.id,
        "anchor": anchor,
        "title": protocol.title,
        "purpose": protocol.purpose,
        "digest": digest(protocol),
        "budget_env_steps": protocol.env_steps,
        "budget": short_count(protocol.env_steps),
        "tasks": len(protocol.tasks),
        "unit": intervals.axis_label(subject),
        "metrics": [intervals.METRIC_TITLES[metric] for metric in _metrics(subject)],
        "rows": rows,
        "unranked": "No entry can be ranked yet."
        if one_scale
        else "Not ranked: the raw returns of these tasks have different scales, so their mean has no meaning. See each task.",
        "partial": [{"method": entry.method, "why": entry.unranked} for entry in incomplete],
        "pairs": pairs,
        "drawn": min(len(drawn), MOST_DRAWN),
        "per_task": _per_task(everyone, [*order, *(entry.method for entry in entries if entry.method not in set(order))], reps),
        "figures": figures,
        "not_drawn": not_drawn,
        "glance": glance,
        "note": small_samples.small_sample_note(subject.scores),
        "entries": [_card(entry) for entry in sorted(entries, key=lambda entry: entry.method.lower())],
        "reps": reps,
    }
    return board, files


def entry_of(entries: Sequence[Entry], method: str) -> Entry:
    return next(entry for entry in entries if entry.method == method)


def _metrics(subject: Comparison) -> tuple[Any, ...]:
    return aggregate.METRICS if subject.normalization != "none" else aggregate.METRICS[:3]


def _subject(protocol: Protocol, entries: Sequence[Entry], reps: int) -> Comparison:
    """The entries of one protocol as one comparison. Imported scores have their own score rule, which their facts name.

    Its table has one row for each run. The evaluations are read only for the methods that are drawn (`_points`): those of all
    methods would fill the memory.
    """
    scores = pd.concat([entry.scores for entry in entries], ignore_index=True)
    left_out = scores.iloc[:0][["method", "task", "seed", "env_steps"]]
    selection = per_run.Selection(
        scores=scores, left_out=left_out, rule="each entry's rule is on its card", budget_env_steps=protocol.env_steps
    )
    return Comparison(
        title=protocol.id,
        table=scores.assign(final=False),
        selection=selection,
        normalization=protocol.normalization,
        published=comparison.published_for([]),
        reps=reps,
    )


def _points(entries: Sequence[Entry]) -> pd.DataFrame:
    """The evaluations of the runs that have a score, until the budget."""
    parts = []
    for entry in entries:
        points, run = entry.points(), ["method", "task", "seed"]
        points = points[points["env_steps"] <= entry.protocol.env_steps * 1.02]
        counted = pd.MultiIndex.from_frame(entry.scores[run])
        parts.append(points[pd.MultiIndex.from_frame(points[run]).isin(counted)])
    return pd.concat(parts, ignore_index=True)


def _efficiency(subject: Comparison, recorded: Sequence[str]) -> tuple[list[Drawing], str]:
    """Sample efficiency, and a sentence about what is not in it. Published curves may have no time in common with the others;
    then only the recorded methods are drawn, which all have the protocol's times."""
    try:
        return [efficiency.efficiency(subject)], ""
    except InvalidData:
        why = "because the times of some evaluations do not fit those of the others"
    if recorded and set(recorded) < set(subject.methods):
        with suppress(InvalidData):
            return [efficiency.efficiency(subject.only(recorded))], f"Sample efficiency is without imported scores, {why}."
    return [], f"Sample efficiency is not drawn, {why}."


def _row(subject: Comparison, entry: Entry, rank: Any, estimates: pd.DataFrame) -> dict[str, Any]:
    mine = {row.metric: row for row in estimates[estimates["method"] == entry.method].itertuples()}
    first = mine["iqm"]
    digits = 1 if subject.normalization == "none" else 3
    low, high = int(rank.rank_low), int(rank.rank_high)
    seeds = f"{first.seeds_min}" if first.seeds_min == first.seeds_max else f"{first.seeds_min}–{first.seeds_max}"
    return {
        **_common(subject, entry),
        "rank": str(low) if low == high else f"{low}–{high}",
        "rank_sort": low + high / 1000,
        "values": [
            {
                "text": number(row.point, digits),
                "interval": f"{number(row.low, digits)} to {number(row.high, digits)}",
                "sort": row.point,
            }
            for row in mine.values()
        ],
        "seeds": seeds,
        "seeds_sort": first.seeds_min,
    }


def _common(subject: Comparison, entry: Entry) -> dict[str, Any]:
    return {
        "method": entry.method,
        "slug": entry.submission.slug,
        "color": subject.styles_of([entry.method])[entry.method].color,
        "input": entry.submission.input_of(entry.protocol.id),
        "budget_env_steps": entry.protocol.env_steps,
        "diverged": entry.diverged,
        "schema": f"schema {entry.schema}" if entry.schema < SCHEMA else "",
        "replayed": f"replayed {entry.replayed} of {entry.runs}" if entry.replayed else "",
        "origin": "imported" if entry.submission.imported is not None else "recorded",
        "paper": entry.submission.paper,
        "code": entry.submission.code,
    }


def _pairs(subject: Comparison, order: Sequence[str], reps: int) -> dict[str, Any]:
    """P(row beats column) for every pair, best first."""
    pairs = list(itertools.combinations(order, 2))
    found = dict(zip(pairs, aggregate.improvements(subject.scores, pairs, reps=reps)))
    rows = []
    for first in order:
        cells: list[dict[str, Any] | None] = []
        for second in order:
            if first == second:
                cells.append(None)
                continue
            turned = (first, second) not in found
            estimate = found[second, first] if turned else found[first, second]
            point, low, high = (
                (1 - estimate.point, 1 - estimate.high, 1 - estimate.low)
                if turned
                else (estimate.point, estimate.low, estimate.high)
            )
            verdict = "better" if low > 0.5 else "worse" if high < 0.5 else "open"
            cells.append({"text": f"{point:.2f}", "interval": f"{low:.2f} to {high:.2f}", "verdict": verdict})
        rows.append({"method": first, "cells": cells})
    return {"columns": list(order), "rows": rows}


def _per_task(subject: Comparison, order: Sequence[str], reps: int) -> dict[str, Any]:
    data = intervals.task_estimates(subject.scores, reps)
    cells = {(row.task, row.method): row for row in data.itertuples()}
    rows = []
    for task in sorted(data["task"].unique()):
        values = []
        for method in order:
            cell = cells.get((task, method))
            interval = "" if cell is None or cell.low != cell.low else f"{number(cell.low)} to {number(cell.high)}"
            values.append({"text": "–" if cell is None else number(cell.point), "interval": interval})
        rows.append({"task": task_label(task), "cells": values})
    return {"columns": list(order), "rows": rows}


def _card(entry: Entry) -> dict[str, Any]:
    submission = entry.submission
    return {
        "method": entry.method,
        "slug": submission.slug,
        "authors": ", ".join(submission.authors),
        "paper": submission.paper,
        "code": submission.code,
        "note": submission.note,
        "input": submission.input_of(entry.protocol.id),
        "facts": entry.facts,
        "runs": len(entry.scores),
    }


def _figures(drawings: Sequence[Drawing], anchor: str, files: dict[str, bytes]) -> list[dict[str, Any]]:
    found = []
    for drawing, svg in zip(drawings, rendered(drawings, partial(svg_text, prefix=f"{anchor}-"))):
        files[f"{anchor}/{drawing.name}.svg"] = svg.encode()
        files[f"{anchor}/{drawing.name}.csv"] = csv_text(drawing.data).encode()
        found.append(
            {
                "title": drawing.title,
                "caption": drawing.caption,
                "svg": svg,
                "csv": f"{anchor}/{drawing.name}.csv",
                "wide": drawing.figure.get_figwidth() > MOST_INCHES,
            }
        )
    return found
