"""Dopamine's per-game JSON: a list of {Iteration, Value, Agent}, one file per game, runs of an agent one after the other."""

from __future__ import annotations

from collections import Counter

from analysis.scores import tasks
from analysis.scores.formats.raw import Raw
from analysis.scores.formats.source import Source, is_number, problem
from analysis.scores.import_options import Options
from dreamer_bench_base import InvalidData


def parse(source: Source, options: Options) -> Raw:
    """Raw points. The game is in the file's name. A run has no label, so its seed is its position in the file.

    A point is the mean over an iteration, so its step is the end of the iteration.
    """
    import pandas as pd

    path = source.path
    seen: Counter[tuple[str, float]] = Counter()
    rows = []
    points = source.json
    for number, point in enumerate(points if isinstance(points, list) else [None], start=1):
        place = f"entry {number}"
        if not isinstance(point, dict) or not {"Iteration", "Value", "Agent"} <= point.keys():
            raise problem(path, place, "lacks Iteration, Value or Agent", "expected Dopamine's baseline JSON")
        if not is_number(point["Iteration"]) or not (point["Value"] is None or is_number(point["Value"])):
            raise problem(path, place, "Iteration or Value is no number", "expected Dopamine's baseline JSON")
        agent, iteration = str(point["Agent"]), float(point["Iteration"])
        seed = seen[agent, iteration]
        seen[agent, iteration] += 1
        value = float("nan") if point["Value"] is None else float(point["Value"])
        rows.append((place, agent, seed, iteration + 1, value))
    frame = pd.DataFrame(rows, columns=["place", "method", "seed", "step", "score"])
    return Raw(
        frame=frame,
        unit="iterations",
        steps="Iteration",
        assumed={"task": _game(source.stem, options)},
        notes=("the seed is the order of the runs in the file",),
    )


def _game(stem: str, options: Options) -> str:
    """The task in a file's name: the whole name, or the part before "_Agent"; the whole name if no task is known."""
    parts = stem.split("_")
    for end in range(len(parts), 0, -1):
        name = "_".join(parts[:end])
        try:
            return tasks.canonical(name, suite=options.suite if end == len(parts) else None, own=options.own_tasks)
        except InvalidData:
            continue
    return stem
