"""Dopamine's per-game JSON: a list of {Iteration, Value, Agent}, one file per game, runs of an agent one after the other."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from analysis.scores.formats.danijar import load_json
from analysis.scores.formats.raw import Options, Raw, problem

FRAMES_PER_ITERATION = 1_000_000
"""250,000 agent steps at action repeat 4: dopamine's baselines/README; point `Iteration` is the mean over it, so filed at
its end."""


def parse(text: str, path: Path, options: Options) -> Raw:
    """The game is the file's name; a run has no label, so the seed is its order in the file."""
    import pandas as pd

    game = options.task or re.sub(r"\.json(\.gz)?$", "", path.name)
    seen: Counter[tuple[str, int]] = Counter()
    rows = []
    points = load_json(text, path)
    for number, point in enumerate(points if isinstance(points, list) else [None], start=1):
        place = f"entry {number}"
        if not isinstance(point, dict) or not {"Iteration", "Value", "Agent"} <= point.keys():
            raise problem(path, place, "lacks Iteration, Value or Agent", "expected Dopamine's baseline JSON")
        if not isinstance(point["Iteration"], (int, float)) or not isinstance(point["Value"], (int, float, type(None))):
            raise problem(path, place, "Iteration or Value is no number", "expected Dopamine's baseline JSON")
        agent, iteration = str(point["Agent"]), int(point["Iteration"])
        seed = seen[agent, iteration]
        seen[agent, iteration] += 1
        value = float("nan") if point["Value"] is None else float(point["Value"])
        rows.append((place, agent, game, seed, (iteration + 1) * FRAMES_PER_ITERATION, value))
    return Raw(frame=pd.DataFrame(rows, columns=["place", "method", "task", "seed", "step", "score"]), unit="frames")
