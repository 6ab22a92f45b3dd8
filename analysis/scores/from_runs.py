"""Runs folders as tables of scores, through `protocols.records.store` alone. A damaged file is InvalidData that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.scores.columns import COLUMNS, two_protocols
from dreamer_bench_base import InvalidData
from protocols.records import store
from protocols.records.schema import EpisodeLine

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
    return runs


def episodes(run: store.Run) -> list[EpisodeLine]:
    """The evaluation episodes of a run. InvalidData for a damaged line and for lines that went missing after the run ended."""
    path = run.folder / store.EPISODES
    with _damage_is_invalid():
        lines, result = run.episodes(), run.result()
    for number, line in enumerate(lines, start=1):
        missing = [key for key in ("env_steps", "episode", "score", "final") if key not in line]
        if missing:
            raise InvalidData(f"{path}:{number}: lacks {', '.join(missing)}; restore the file from a copy")
    if result is not None and len(lines) != result["episodes"]:
        raise InvalidData(
            f"{path}:{len(lines) + 1}: the file ends here, but the run had {result['episodes']} episodes; restore it from a "
            "copy"
        )
    return lines


def protocols(root: Path) -> set[str]:
    """The protocol ids of a runs folder."""
    return {str(run.manifest["protocol"]) for run in find(root)}


def read_runs(root: Path, protocol: str | None) -> pd.DataFrame:
    """The evaluation episodes of a runs folder as a table (COLUMNS).

    protocol: only its records, without runs of a cut budget. Raises InvalidData for a score that is no number and for two
    protocols under one name.
    """
    import pandas as pd

    digests: dict[str, tuple[str, Path]] = {}
    frames = []
    for run in find(root):
        manifest, lines = run.manifest, episodes(run)
        id, digest = str(manifest["protocol"]), str(manifest["digest"])
        if protocol not in (None, id):
            continue
        other, folder = digests.setdefault(id, (digest, run.folder))
        if other != digest:
            raise two_protocols(run.folder / store.MANIFEST, folder / store.MANIFEST, id)
        cut = manifest["limit_env_steps"] is not None
        if not lines or (cut and protocol is not None):
            continue
        frame = pd.DataFrame(lines)
        bad = frame[pd.to_numeric(frame["score"], errors="coerce").isna()]
        if len(bad):
            raise InvalidData(
                f"{run.folder / store.EPISODES}:{bad.index[0] + 1}: the score is {bad['score'].iloc[0]}, no finite number; "
                "leave the run out of the comparison or train it again"
            )
        frames.append(
            pd.DataFrame(
                {
                    "protocol": "" if cut else id,
                    "method": str(manifest["label"]),
                    "task": str(manifest["task"]),
                    "seed": str(manifest["seed"]),
                    "env_steps": frame["env_steps"].astype("int64"),
                    "episode": frame["episode"].astype("int64"),
                    "score": frame["score"].astype(float),
                    "source": str(run.folder),
                    "final": frame["final"].astype(bool),
                    "device_seconds": _device_seconds(run, frame["env_steps"].to_numpy()),
                    "place": [f"{run.folder / store.EPISODES}:{number}" for number in range(1, len(frame) + 1)],
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


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
