"""The JSON of the Atari-100k papers (IRIS, STORM, DIAMOND, TWM): game -> final score per seed, without steps."""

from __future__ import annotations

from typing import Any

from analysis.scores.formats.raw import Raw
from analysis.scores.formats.source import Source, is_number, problem
from analysis.scores.import_options import Options


def parse(source: Source, options: Options) -> Raw:
    """Raw points. The seed is the position in the list, the step is --at, and the method is --method."""
    import pandas as pd

    if options.at is None:
        raise problem(
            source.path,
            "",
            "holds final scores without steps",
            "say when they were reached with `import --at ENV_STEPS` (Atari-100k: --at 400000)",
        )
    if not is_this(source.json):
        raise problem(source.path, "", "is no object of lists", "expected {game: [a final score per seed]}")
    rows: list[tuple[Any, ...]] = []
    for game, scores in source.json.items():
        for seed, score in enumerate(scores):
            place = f"{game}, score {seed + 1}"
            if score is not None and not is_number(score):
                raise problem(source.path, place, f"is {score!r}", "it must be a number or null")
            rows.append((place, game, str(seed), float(options.at), float("nan") if score is None else float(score)))
    frame = pd.DataFrame(rows, columns=["place", "task", "seed", "step", "score"])
    return Raw(frame=frame, unit="given", steps="--at", notes=("the seed is the place in a game's list",))


def is_this(value: Any) -> bool:
    """Whether a JSON value has this form."""
    return isinstance(value, dict) and bool(value) and all(isinstance(scores, list) for scores in value.values())
