"""Runs folders as tables of scores, through `protocols.store` alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.rows import COLUMNS, InvalidData
from protocols import store

if TYPE_CHECKING:
    import pandas as pd


def protocols(root: Path) -> set[str]:
    """The protocol ids of a runs folder."""
    return {str(run.manifest["protocol"]) for run in store.find_runs(root)}


def read_runs(root: Path, protocol: str | None) -> pd.DataFrame:
    """The evaluation episodes of a runs folder as a table (COLUMNS).

    protocol: only its records, without runs of a cut budget. Raises InvalidData for a score that is no number and for two
    protocols under one name.
    """
    import pandas as pd

    digests: dict[str, tuple[str, Path]] = {}
    frames = []
    for run in store.find_runs(root):
        manifest, lines = _checked(run)
        id, digest = str(manifest["protocol"]), str(manifest["digest"])
        if protocol not in (None, id):
            continue
        other, folder = digests.setdefault(id, (digest, run.folder))
        if other != digest:
            raise InvalidData(
                f"{run.folder} and {folder} hold two protocols under the name {id}; keep them in two runs folders"
            )
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
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


def _device_seconds(run: store.Run, env_steps: Any) -> Any:
    """Training seconds until each of these steps, interpolated in the metrics and divided among the seeds of the cohort."""
    import numpy as np

    lines = [line for line in run.metrics() if line.get("seconds") is not None]
    if not lines:
        return np.full(len(env_steps), np.nan)
    steps = [0.0, *(float(line["env_steps"]) for line in lines)]
    seconds = [0.0, *(float(line["seconds"]) for line in lines)]
    return np.interp(env_steps, steps, seconds) / max(1, len(run.manifest.get("cohort") or [0]))


def _checked(run: store.Run) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Manifest and episode lines of a run. Raises InvalidData where one is damaged or lacks what a table needs."""
    try:
        manifest, lines = run.manifest, run.episodes()
    except ValueError as error:
        raise InvalidData(str(error)) from None
    missing = [key for key in ("protocol", "digest", "label", "task", "seed", "limit_env_steps") if key not in manifest]
    if missing:
        raise InvalidData(f"{run.folder / store.MANIFEST} lacks {', '.join(missing)}; restore the file from a copy")
    for number, line in enumerate(lines, start=1):
        missing = [key for key in ("env_steps", "episode", "score", "final") if key not in line]
        if missing:
            raise InvalidData(
                f"{run.folder / store.EPISODES}:{number}: lacks {', '.join(missing)}; restore the file from a copy"
            )
    return manifest, lines
