"""`aggregate`: prints the estimates as a table for people, or as JSON with all digits."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from analysis.scores import exchange, normalize, per_run, table
from analysis.statistics import aggregate, curves, rliable_engine, small_samples
from dreamer_bench_base import UserError, count

CURVE_POINTS = 20


def aggregate_scores(command: Any) -> int:
    """Prints the estimates of an `AggregateCommand`.

    Notes on what was left out and on the coverage of the intervals go to standard error.
    """
    notes: list[str] = []
    points = table.read(command.scores, protocol=command.protocol, own_tasks=command.own_tasks, notes=notes)
    points = table.chosen(points, command.methods, command.tasks)
    selection = per_run.select(points, at=command.at, window=command.window, short=command.short)
    name = normalize.for_tasks(selection.scores["task"].unique()) if command.normalize == "auto" else command.normalize
    scores = normalize.normalize(selection.scores, name)
    if command.common:
        scores = aggregate.common_tasks(scores)
    metrics = _metrics(command, name, sorted(scores["task"].unique()), notes)
    found = aggregate.estimates(scores, metrics=metrics, reps=command.reps)
    engine = ""
    if command.engine == "rliable":
        if command.improvement or command.profiles or command.efficiency:
            raise UserError(
                "--engine rliable computes the four aggregates; leave --improvement, --profiles and --efficiency out"
            )
        ours, found = found, rliable_engine.estimates(scores, found)
        engine = "; by rliable"
        notes.append(rliable_engine.differences(found, ours))
    methods = sorted(scores["method"].unique())
    if command.improvement and len(methods) < 2:
        raise UserError(
            f"--improvement compares methods in pairs, and there is only {methods[0]!r}; name another, or leave it out"
        )
    if command.improvement:
        found += aggregate.improvements(scores, list(combinations(methods, 2)), reps=command.reps)
    notes += exchange.left_out_lines(selection)
    note = small_samples.small_sample_note(scores)
    notes += [note] if note else []
    result: dict[str, Any] = {
        "rule": selection.rule,
        "budget_env_steps": selection.budget_env_steps,
        "normalization": normalize.find(name).id,
        "tasks": sorted(scores["task"].unique()),
        "estimates": [asdict(each) for each in found],
        "notes": notes,
    }
    if command.profiles:
        result["profiles"] = aggregate.profiles(scores, reps=command.reps).to_dict("records")
    if command.efficiency:
        kept = points.merge(scores[["method", "task", "seed"]], on=["method", "task", "seed"])
        kept = kept[kept["env_steps"] <= selection.budget_env_steps]
        result["efficiency"] = curves.efficiency(kept, normalization=name, points=CURVE_POINTS, reps=command.reps).to_dict(
            "records"
        )
    if command.json:
        print(json.dumps(result, indent=1, allow_nan=False))
        return 0
    tasks = count(len(result["tasks"]), "task")
    print(f"{selection.rule}; {normalize.find(name).id}; {tasks}; {command.reps:,} resamples{engine}")
    print(_text(found))
    for title in ("profiles", "efficiency"):
        if title in result:
            print(f"\n{title}\n{_rows(result[title])}")
    for remark in notes:
        print(f"note: {remark}", file=sys.stderr)
    return 0


def _metrics(command: Any, name: str, tasks: list[str], notes: list[str]) -> list[str]:
    """The requested metrics that are possible in these units. Raises InvalidData if none is."""
    if not normalize.one_scale(tasks, name):
        if not command.improvement or command.profiles or command.efficiency:
            normalize.refuse_mixed_scales(tasks, name)
        notes.append("raw returns of several tasks have no common scale: only the probability of improvement is given")
        return []
    if normalize.find(name).name == "none" and "optimality-gap" in command.metrics:
        notes.append("no optimality gap: it is the distance to a normalised score of 1, and these are raw returns")
        allowed = [metric for metric in command.metrics if metric != "optimality-gap"]
        if not allowed:
            raise UserError("the optimality gap needs normalised scores; choose another --normalize")
        return allowed
    return list(command.metrics)


def _text(found: Sequence[aggregate.Estimate]) -> str:
    lines = [("method", "metric", "point", "95% interval", "tasks", "runs", "seeds per task")]
    for each in found:
        seeds = str(each.seeds_min) if each.seeds_min == each.seeds_max else f"{each.seeds_min}-{each.seeds_max}"
        interval = f"[{each.low:.4f}, {each.high:.4f}]"
        lines.append((each.method, each.metric, f"{each.point:.4f}", interval, str(each.tasks), str(each.runs), seeds))
    return _aligned(lines)


def _rows(records: Sequence[dict[str, Any]]) -> str:
    names = list(records[0])
    cut = records[:: max(1, len(records) // 20)] if len(records) > 40 else records
    return _aligned(
        [tuple(names), *(tuple(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()) for row in cut)]
    )


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
