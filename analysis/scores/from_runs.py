"""Runs folders as tables of scores, through `protocols.records.store` alone. A damaged file is InvalidData that names it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from analysis.scores.columns import COLUMNS, rule_text
from dreamer_bench_base import InvalidData
from protocols.records import integrity, score, store
from protocols.records.schema import EpisodeLine
from protocols.spec import ScoreRule

if TYPE_CHECKING:
    import pandas as pd


IDENTITY = ("protocol", "protocol_data", "digest", "label", "task", "seed", "limit_env_steps")
"""What a manifest must say for its scores to have a place in a table."""


def find(root: Path) -> list[store.Run]:
    """The runs of a folder. ValueError where it is no runs folder, InvalidData for a manifest or result that is damaged."""
    runs = store.find_runs(root)
    for run in runs:
        path = run.folder / store.MANIFEST
        with _damage_is_invalid():
            manifest, _ = run.manifest, run.result()
        missing = [key for key in IDENTITY if key not in manifest]
        if missing:
            raise InvalidData(f"{path} lacks {', '.join(missing)}; restore the file from a copy")
        tasks = manifest["protocol_data"]["tasks"]
        if manifest["task"] not in tasks:
            raise InvalidData(
                f"{path}: task {manifest['task']!r} is not in {manifest['protocol']}, which has {len(tasks)}, for example "
                f"{tasks[0]!r}; restore the file from a copy"
            )
        _lines(run)  # says what is wrong where; the hashes after it only that something is
        with _damage_is_invalid():
            integrity.check(run)
    return runs


def episodes(run: store.Run) -> list[EpisodeLine]:
    """The evaluation episodes of a run, as they count. InvalidData for a damaged line and for lines that went missing."""
    return score.points(run, _lines(run))


def _lines(run: store.Run) -> list[EpisodeLine]:
    path = run.folder / store.EPISODES
    with _damage_is_invalid():
        lines, result = run.episodes(), run.result()
    for number, line in enumerate(lines, start=1):
        missing = [key for key in ("env_steps", "episode", "score", "final") if key not in line]
        if missing:
            raise InvalidData(f"{path}:{number}: lacks {', '.join(missing)}; restore the file from a copy")
    values: list[Any] = [line["score"] for line in lines]
    bad = next((n for n, value in enumerate(values) if not isinstance(value, (int, float)) or value != value), None)
    if bad is not None:
        raise InvalidData(
            f"{path}:{bad + 1}: the score is {values[bad]}, no finite number; "
            "leave the run out of the comparison or train it again"
        )
    if result is not None and len(lines) != result["episodes"]:
        raise InvalidData(
            f"{path}:{len(lines) + 1}: the file ends here, but the run had {result['episodes']} episodes; restore it from a "
            "copy"
        )
    return lines


def read_runs(runs: Sequence[store.Run]) -> pd.DataFrame:
    """The evaluation episodes of these runs as a table (COLUMNS). Raises InvalidData for a score that is no number."""
    import numpy as np
    import pandas as pd

    frames = []
    for run in runs:
        lines = episodes(run)
        if not lines:
            continue
        scores = [line["score"] for line in lines]
        manifest, data = run.manifest, run.manifest["protocol_data"]
        env_steps = np.array([line["env_steps"] for line in lines], dtype="int64")
        path = str(run.folder / store.EPISODES)
        frames.append(
            {
                "protocol": str(manifest["protocol"]),
                "method": str(manifest["label"]),
                "task": np.array([str(line.get("task", manifest["task"])) for line in lines], dtype=object),
                "seed": str(manifest["seed"]),
                "env_steps": env_steps,
                "episode": [int(line["episode"]) for line in lines],
                "score": [float(cast(float, value)) for value in scores],
                "source": str(run.folder),
                "final": [bool(line["final"]) for line in lines],
                "device_seconds": _device_seconds(run, env_steps),
                "budget_env_steps": int(data["env_steps"]),
                "score_rule": rule_text(ScoreRule(**data["score_rule"])),
                "finished": run.result() is not None,
                "place": [f"{path}:{number}" for number in range(1, len(lines) + 1)],
            }
        )
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS))
    lengths = [len(frame["env_steps"]) for frame in frames]
    joined: dict[str, Any] = {}
    for name in COLUMNS:
        values = [frame[name] for frame in frames]
        if isinstance(values[0], (str, int)):
            joined[name] = np.repeat(np.array(values, dtype=object if isinstance(values[0], str) else None), lengths)
        else:
            joined[name] = np.concatenate(values) if name != "place" else [place for each in values for place in each]
    return pd.DataFrame(joined)


def _device_seconds(run: store.Run, env_steps: Any) -> Any:
    """Training seconds until each of these steps, interpolated in the metrics and divided among the seeds of the cohort."""
    import numpy as np

    with _damage_is_invalid():
        lines = [line for line in run.metrics() if line.get("seconds") is not None]
    if not lines:
        return np.full(len(env_steps), np.nan)
    steps = [0.0, *(float(line["env_steps"]) for line in lines)]
    seconds = [0.0, *(float(line["seconds"]) for line in lines)]
    return np.interp(env_steps, steps, seconds) / max(1, len(run.manifest.get("cohort") or [0]))


@contextmanager
def _damage_is_invalid() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InvalidData(str(error)) from None
