"""Runs folders as tables of scores, through `protocols.records` alone. A damaged file is InvalidData that names it.

A record is read once. What a table needs from its lines is kept as arrays (20 kB for a run of 5M env_steps), not the lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from analysis.scores.columns import COLUMNS, rule_text
from dreamer_bench_base import InvalidData
from dreamer_bench_processes import in_order
from protocols.records import integrity, score, store
from protocols.records.read_once import ReadOnce
from protocols.records.schema import EpisodeLine, Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Points:
    """The evaluation episodes of a run that count, as columns; `tasks` if they are of several tasks."""

    env_steps: np.ndarray
    episode: np.ndarray
    score: np.ndarray
    final: np.ndarray
    device_seconds: np.ndarray
    tasks: tuple[str, ...] | None


@dataclass(frozen=True)
class ScoredRun(store.Run):
    """A run that was complete and unchanged when it was read: its manifest, its result and its points."""

    ended: Result | None = field(compare=False)
    points: Points = field(compare=False)

    def result(self) -> Result | None:
        return self.ended


def find(root: Path) -> list[ScoredRun]:
    """The runs of a folder. Raises ValueError if it is not a runs folder, InvalidData for a damaged manifest or result."""
    shared: dict[str, Any] = {}
    return [sharing(run, shared) for run in in_order(_found, store.find_runs(root))]


def _found(known: store.Run) -> ScoredRun:
    run = ReadOnce(known.folder)
    _check_identity(run)
    lines = _lines(run)  # its error names the place; the check of hashes after it can only say that something is wrong
    with _damage_is_invalid():
        integrity.check(run)
    return scored(run, lines)


def scored(run: ReadOnce, lines: list[EpisodeLine] | None = None) -> ScoredRun:
    """What is kept of a checked run. `lines`: the result of `_lines`, if it is known."""
    kept = ScoredRun(run.folder, run.result(), _points(run, lines))
    kept.__dict__["manifest"] = run.manifest
    return kept


def sharing(run: ScoredRun, shared: dict[str, Any]) -> ScoredRun:
    """The run with shared copies of what the manifests of a folder repeat; `shared` has these copies."""
    repeated = {
        name: shared.setdefault(f"{name} {run.manifest[name]!r}", run.manifest[name])  # type: ignore[literal-required]
        for name in ("protocol_data", "options", "hardware", "packages", "origins", "source")
        if name in run.manifest
    }
    run.__dict__["manifest"] = {**run.manifest, **repeated}
    return run


def episodes(run: store.Run) -> list[EpisodeLine]:
    """The evaluation episodes of a run that count. Raises InvalidData for a damaged or missing line."""
    return score.points(run, _lines(run))


def _check_identity(run: store.Run) -> None:
    path = run.folder / store.MANIFEST
    with _damage_is_invalid():
        manifest, _ = run.manifest, run.result()
    tasks = manifest["protocol_data"]["tasks"]
    if manifest["task"] not in tasks:
        raise InvalidData(
            f"{path}: task {manifest['task']!r} is not in {manifest['protocol']}, which has "
            f"{f'{len(tasks)}, for example {tasks[0]!r}' if tasks else 'none'}; restore the file from a copy"
        )


def _lines(run: store.Run) -> list[EpisodeLine]:
    path = run.folder / store.EPISODES
    with _damage_is_invalid():
        lines, result = run.episodes(), run.result()
    bad = next((number for number, line in enumerate(lines, start=1) if line["score"] is None), None)
    if bad is not None:
        raise InvalidData(
            f"{path}:{bad}: the score is null, which stands for a return that was not finite; "
            "leave the run out of the comparison or train it again"
        )
    if run.manifest["protocol_data"].get("joined", {}).get(run.manifest["task"]):
        nameless = next((number for number, line in enumerate(lines, start=1) if "task" not in line), None)
        if nameless is not None:
            raise InvalidData(f"{path}:{nameless}: lacks task, in a run on joined tasks; restore the file from a copy")
    if result is not None and len(lines) != result["episodes"]:
        raise InvalidData(
            f"{path}:{len(lines) + 1}: the file ends here, but the run had {result['episodes']} episodes; restore it from a "
            "copy"
        )
    return lines


def _points(run: store.Run, lines: list[EpisodeLine] | None = None) -> Points:
    import numpy as np

    lines = score.points(run, _lines(run) if lines is None else lines)
    env_steps = np.array([line["env_steps"] for line in lines], dtype="int64")
    joined = any("task" in line for line in lines)
    return Points(
        env_steps=env_steps,
        episode=np.array([int(line["episode"]) for line in lines], dtype="int64"),
        score=np.array([float(cast(float, line["score"])) for line in lines], dtype=float),
        final=np.array([bool(line["final"]) for line in lines], dtype=bool),
        device_seconds=_device_seconds(run, env_steps),
        tasks=tuple(str(line.get("task", run.manifest["task"])) for line in lines) if joined else None,
    )


def read_runs(runs: Sequence[store.Run]) -> pd.DataFrame:
    """The evaluation episodes of these runs as a table (COLUMNS). Raises InvalidData for a score that is not a number."""
    import numpy as np
    import pandas as pd

    known = [(run, run.points if isinstance(run, ScoredRun) else _points(ReadOnce(run.folder))) for run in runs]
    known = [(run, points) for run, points in known if len(points.score)]
    if not known:
        return pd.DataFrame(columns=list(COLUMNS))
    lengths = [len(points.score) for _, points in known]

    def repeated(values: Sequence[Any], kind: Any = object) -> Any:
        return np.repeat(np.array(values, dtype=kind), lengths)

    def joined(name: str) -> Any:
        return np.concatenate([getattr(points, name) for _, points in known])

    manifests = [run.manifest for run, _ in known]
    paths = [str(run.folder / store.EPISODES) for run, _ in known]
    columns = {
        "protocol": repeated([str(manifest["protocol"]) for manifest in manifests]),
        "method": repeated([str(manifest["label"]) for manifest in manifests]),
        "task": _tasks([(str(run.manifest["task"]), points) for run, points in known]),
        "seed": repeated([str(manifest["seed"]) for manifest in manifests]),
        "env_steps": joined("env_steps"),
        "episode": joined("episode"),
        "score": joined("score"),
        "source": repeated([str(run.folder) for run, _ in known]),
        "final": joined("final"),
        "device_seconds": joined("device_seconds"),
        "budget_env_steps": repeated([int(manifest["protocol_data"]["env_steps"]) for manifest in manifests], "int64"),
        "score_rule": repeated([rule_text(score.rule_of(manifest["protocol_data"]["score_rule"])) for manifest in manifests]),
        "finished": repeated([run.result() is not None for run, _ in known], bool),
        "place": [f"{path}:{number}" for path, length in zip(paths, lengths) for number in range(1, length + 1)],
    }
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


def _tasks(known: Sequence[tuple[str, Points]]) -> Any:
    import numpy as np

    parts = []
    for task, points in known:
        part = np.empty(len(points.score), dtype=object)
        part[:] = task if points.tasks is None else points.tasks
        parts.append(part)
    return np.concatenate(parts)


def _device_seconds(run: store.Run, env_steps: Any) -> Any:
    """Training seconds until each of these steps, interpolated between metrics lines and divided by the seeds of the cohort."""
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
