"""The folder of a run: its files, how they are written and read. Only this file knows it.

    runs/<protocol>/<agent>[+<overrides>][~<limit>]/<task>/seed-<n>/
        manifest.json          written first: what is run, with which code, on which machine
        episodes.jsonl         one line per evaluation episode, appended and flushed to the disk
        metrics.jsonl          one line per evaluation: progress of the training
        sessions.jsonl         one line per process that worked on the run
        lock                   held (flock) by the process that works on it; a dead process holds no lock
        checkpoint-<n>/        from which the next process resumes (protocols/records/checkpoint.py)
        replay/                data that the agent keeps there while it trains
        last_evaluation.webp   first episode of the last evaluation, for people
        result.json            written last, atomically: if it exists, the run is complete (or diverged)

protocols/records/schema.py defines the files field by field. Analysis gets nothing from a run but this record, so this file
needs neither torch nor a simulator.

To make records by hand, as tests do: `run = create_run(root, manifest)`, `append_lines(run.folder / EPISODES, lines)`, and
`write_result(run, status="complete", ...)`; `tests/make_records.py` combines the three.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote

from dreamer_bench_base import UserError
from dreamer_bench_files import sha256
from protocols.records import chain
from protocols.records.fields import check_lines
from protocols.records.json_files import finite, read_json, read_lines, write_json
from protocols.records.lock import is_locked
from protocols.records.places import PROTOCOL_FOLDER, runs_folders
from protocols.records.schema import (
    Checkpoint,
    EpisodeLine,
    Manifest,
    MetricsLine,
    ReadEpisodeLine,
    ReadManifest,
    ReadMetricsLine,
    ReadResult,
    Result,
    SessionLine,
    Status,
)
from protocols.records.score import result_score, task_scores
from protocols.spec import canonical_json

MANIFEST, EPISODES, METRICS, SESSIONS, RESULT = (
    "manifest.json",
    "episodes.jsonl",
    "metrics.jsonl",
    "sessions.jsonl",
    "result.json",
)

REPLAY, VIDEO = "replay", "last_evaluation.webp"
HASHED = (MANIFEST, EPISODES, METRICS, SESSIONS, VIDEO)
"""Files whose hashes are in the result, if they exist."""

OPTIONAL = (VIDEO,)
"""Those of these files that a copy of the record may leave out."""

SEED_FOLDER = re.compile(r"seed-(\d+)")
State = Literal["done", "running", "resumable", "diverged"]


@dataclass(frozen=True)
class Run:
    """One run folder: one seed of one agent on one task under one protocol."""

    folder: Path

    @cached_property
    def manifest(self) -> Manifest:
        return cast(Manifest, read_json(self.folder / MANIFEST, ReadManifest))

    @property
    def schema(self) -> int:
        """The number of the schema of the record."""
        return int(self.manifest.get("schema", 1))

    def state(self) -> State:
        """Complete or diverged if there is a result; else running if a living process holds the lock."""
        result = self.result()
        if result is not None:
            return "diverged" if result["status"] == "diverged" else "done"
        return "running" if is_locked(self.folder) else "resumable"

    def episodes(self) -> list[EpisodeLine]:
        """Evaluation episodes in the order of play, without an incomplete last line that a kill left."""
        path = self.folder / EPISODES
        check_lines(ReadEpisodeLine, lines := read_lines(path), path)
        return cast(list[EpisodeLine], lines)

    def metrics(self) -> list[MetricsLine]:
        path = self.folder / METRICS
        check_lines(ReadMetricsLine, lines := read_lines(path), path)
        return cast(list[MetricsLine], lines)

    def sessions(self) -> list[SessionLine]:
        return cast(list[SessionLine], read_lines(self.folder / SESSIONS))

    def result(self) -> Result | None:
        path = self.folder / RESULT
        return cast(Result, read_json(path, ReadResult)) if path.exists() else None

    @property
    def budget_env_steps(self) -> int:
        """The env_steps at which this run ends: the protocol's budget, or the limit with which it was started."""
        limit = self.manifest["limit_env_steps"]
        return int(self.manifest["protocol_data"]["env_steps"] if limit is None else limit)


def find_runs(root: Path) -> list[Run]:
    """All runs of a runs folder, or of the runs folders that `root` contains (`protocols.records.places`), in the order of
    protocol, label, task and seed. Raises UserError if it is not a runs folder, and if two of them have the same run.
    """
    found: dict[tuple[tuple[str, ...], int], Path] = {}
    for place in runs_folders(root):
        for folder in place.glob("*@*/*/*/seed-*"):
            seed = SEED_FOLDER.fullmatch(folder.name)
            if seed and PROTOCOL_FOLDER.fullmatch(folder.parts[-4]) and (folder / MANIFEST).exists():
                other = found.setdefault((folder.parts[-4:-1], int(seed[1])), folder)
                if other != folder:
                    raise UserError(f"the same run lies in {other} and in {folder}; give folders that hold it once")
    return [Run(folder) for _, folder in sorted(found.items())]


def run_folder(root: Path, protocol: str, label: str, task: str, seed: int) -> Path:
    """The folder of a run. Characters of a task's name that a folder name cannot have are quoted."""
    return root / protocol / label / quote(task, safe=":@+~ ") / f"seed-{seed}"


def create_run(root: Path, manifest: Mapping[str, Any]) -> Run:
    """Makes the folder of a run and writes its manifest. Refuses to overwrite another manifest."""
    folder = run_folder(root, manifest["protocol"], manifest["label"], manifest["task"], manifest["seed"])
    if (folder / MANIFEST).exists():
        raise UserError(f"{folder} holds a run already; give another folder with --runs")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MANIFEST, manifest)
    return Run(folder)


def write_result(
    run: Run,
    *,
    status: Status,
    env_steps: int,
    agent_steps: int,
    gradient_steps: int,
    wall_seconds: float,
    device_seconds: float,
    checkpoint: Checkpoint | None = None,
) -> Result:
    """Writes the last file of a run: its counts, its score by the protocol's rule, and the hashes of all its files."""
    episodes = run.episodes()
    score = result_score(run.manifest["protocol_data"], status, episodes, run.budget_env_steps)
    result: Result = {
        "status": status,
        "env_steps": env_steps,
        "agent_steps": agent_steps,
        "gradient_steps": gradient_steps,
        "episodes": len(episodes),
        "score": score,
        "device_seconds": device_seconds,
        "wall_seconds": wall_seconds,
        "sha256": {name: sha256(run.folder / name) for name in HASHED if (run.folder / name).exists()},
    }
    if any("task" in line for line in episodes):
        rule = run.manifest["protocol_data"]["score_rule"]
        result["task_scores"] = task_scores(rule, episodes, run.budget_env_steps) if status == "complete" else None
    if run.schema >= 2:
        result["chain"], _ = chain.end(run.manifest, episodes)
        result["checkpoint"] = checkpoint
        result["seal"] = seal(result)
    write_json(run.folder / RESULT, result)
    return result


def seal(result: Mapping[str, Any]) -> str:
    """Hash of all fields of a result except the seal."""
    rest = {name: value for name, value in result.items() if name != "seal"}
    return hashlib.sha256(canonical_json(finite(rest)).encode()).hexdigest()
