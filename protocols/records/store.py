"""The run directory, and nothing else knows it: what a run wrote down, how it is written, how it is read.

    runs/<protocol>/<agent>[+<overrides>][~<limit>]/<task>/seed-<n>/
        manifest.json          first: what is run, with what, on what
        episodes.jsonl         one line per evaluation episode, appended and flushed to the disk
        metrics.jsonl          one line per evaluation: where the training stands
        sessions.jsonl         one line per process that worked on the run
        lock                   held (flock) by the process that works on it; a dead process holds nothing
        checkpoint-<n>/        what the next process resumes from (protocols/records/checkpoint.py)
        replay/                what the agent keeps there while it trains
        last_evaluation.webp   the last evaluation's first episode, for people
        result.json            last and atomic: where it is present the run is complete (or diverged)

What the files hold is written down field by field in protocols/records/schema.py. A record on disk is the only thing that
passes from running to analysing, so this file needs neither torch nor a simulator.

To fabricate records (tests do): `run = create_run(root, manifest)`, `append_lines(run.folder / EPISODES, lines)`, and
`write_result(run, status="complete", ...)`; `tests/make_records.py` puts the three together.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote

from dreamer_bench_base import InvalidData, UserError, sha256, write_atomically
from dreamer_bench_untrusted import check_shape, parse_json, parse_lines
from protocols.records import chain
from protocols.records.schema import (
    Checkpoint,
    EpisodeLine,
    Manifest,
    MetricsLine,
    ReadManifest,
    ReadResult,
    Result,
    SessionLine,
    Status,
)
from protocols.records.score import result_score, task_scores
from protocols.spec import canonical_json

MANIFEST, EPISODES, METRICS, SESSIONS, RESULT, LOCK = (
    "manifest.json",
    "episodes.jsonl",
    "metrics.jsonl",
    "sessions.jsonl",
    "result.json",
    "lock",
)
REPLAY, VIDEO = "replay", "last_evaluation.webp"
HASHED = (MANIFEST, EPISODES, METRICS, SESSIONS, VIDEO)
"""Files whose hashes a result holds, where they are there."""
OPTIONAL = (VIDEO,)
"""Of these, the ones that a copy of the record may leave out."""

PROTOCOL_FOLDER = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+")
SEED_FOLDER = re.compile(r"seed-(\d+)")

_TAIL_BYTES = 1 << 16  # far more than a line takes

State = Literal["done", "running", "resumable", "diverged"]


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class Run:
    """One run folder: one seed of one agent on one task under one protocol."""

    folder: Path

    @cached_property
    def manifest(self) -> Manifest:
        return cast(Manifest, _read_json(self.folder / MANIFEST, ReadManifest))

    @property
    def schema(self) -> int:
        """Which rules the record was written under."""
        return int(self.manifest.get("schema", 1))

    def state(self) -> State:
        """Complete or diverged when there is a result, else running while a living process holds the lock."""
        result = self.result()
        if result is not None:
            return "diverged" if result["status"] == "diverged" else "done"
        return "running" if is_locked(self.folder) else "resumable"

    def episodes(self) -> list[EpisodeLine]:
        """Evaluation episodes in the order they were played; a last line cut short by a kill is left out."""
        return cast(list[EpisodeLine], read_lines(self.folder / EPISODES))

    def metrics(self) -> list[MetricsLine]:
        return cast(list[MetricsLine], read_lines(self.folder / METRICS))

    def sessions(self) -> list[SessionLine]:
        return cast(list[SessionLine], read_lines(self.folder / SESSIONS))

    def result(self) -> Result | None:
        path = self.folder / RESULT
        return cast(Result, _read_json(path, ReadResult)) if path.exists() else None

    @property
    def budget_env_steps(self) -> int:
        """Where this run ends: the protocol's budget, or the limit it was started with."""
        limit = self.manifest["limit_env_steps"]
        return int(self.manifest["protocol_data"]["env_steps"] if limit is None else limit)


def find_runs(root: Path) -> list[Run]:
    """Every run below a runs folder, in the order of protocol, label, task and seed. Raises ValueError where it is not one."""
    check_runs_folder(root)
    if not root.exists():
        raise UserError(f"runs folder {str(root)!r} does not exist; give the folder that `run --runs` wrote")
    found = []
    for folder in root.glob("*@*/*/*/seed-*"):
        seed = SEED_FOLDER.fullmatch(folder.name)
        if seed and PROTOCOL_FOLDER.fullmatch(folder.parts[-4]) and (folder / MANIFEST).exists():
            found.append((folder.parts[-4:-1], int(seed[1]), folder))
    return [Run(folder) for _, _, folder in sorted(found)]


def check_runs_folder(root: Path) -> None:
    """Raises ValueError where `root` is a file or holds something else than runs; a missing or empty folder will do."""
    if not root.exists():
        return
    if not root.is_dir():
        raise UserError(f"runs folder {str(root)!r} is a file; expected a folder, give another one with --runs")
    entries = [entry.name for entry in root.iterdir() if not entry.name.startswith(".")]
    if entries and not any(PROTOCOL_FOLDER.fullmatch(name) for name in entries):
        raise UserError(
            f"{str(root)!r} is not a runs folder: expected folders named protocol@version, "
            f"found {sorted(entries)[0]!r}; give an empty or a new folder"
        )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON Lines file, [] where it is missing. The last line may be cut short; other damage is an error."""
    if not path.exists():
        return []
    try:
        return parse_lines(path.read_bytes(), path)
    except InvalidData as error:
        raise InvalidData(f"{error}; restore the file from a copy") from None


def last_record(path: Path) -> dict[str, Any] | None:
    """The last whole line of a JSON Lines file, read from its end; None where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return None
    try:
        return parse_lines(lines[-1] + b"\n", path)[0] if lines else None
    except InvalidData:
        raise InvalidData(f"the last line of {path} is damaged; restore the file from a copy") from None


# ---------------------------------------------------------------- writing


def run_folder(root: Path, protocol: str, label: str, task: str, seed: int) -> Path:
    """Where a run is filed; a task's name is quoted where a folder cannot bear it."""
    return root / protocol / label / quote(task, safe=":@+~ ") / f"seed-{seed}"


def create_run(root: Path, manifest: Mapping[str, Any]) -> Run:
    """Makes the folder of a run and writes its manifest. Refuses to write over another one."""
    folder = run_folder(root, manifest["protocol"], manifest["label"], manifest["task"], manifest["seed"])
    if (folder / MANIFEST).exists():
        raise UserError(f"{folder} holds a run already; give another folder with --runs")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MANIFEST, manifest)
    return Run(folder)


def append_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> bytes:
    """Appends whole lines, waits until they are on the disk, and returns them. A line that was cut short before is dropped.

    When the disk is full the file is left as it was.
    """
    data = encode_lines(records)
    with path.open("ab+") as file:
        end = _end_of_last_line(file)
        file.truncate(end)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(path, end)
            raise
    return data


def encode_lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(finite(record), allow_nan=False).encode() + b"\n" for record in records)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a whole file or nothing: temporary file, fsync, rename, fsync of the folder."""
    write_atomically(path, (json.dumps(finite(value), indent=1, allow_nan=False) + "\n").encode())


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
    """Hash of a result's fields but this one."""
    rest = {name: value for name, value in result.items() if name != "seal"}
    return hashlib.sha256(canonical_json(finite(rest)).encode()).hexdigest()


@contextlib.contextmanager
def locked(folders: Sequence[Path]) -> Iterator[None]:
    """Holds the locks of several runs; the kernel lets go of them when this process dies, however it dies.

    Raises ValueError when another process works on one of them.
    """
    with contextlib.ExitStack() as stack:
        for folder in sorted(folders):
            file = stack.enter_context((folder / LOCK).open("ab"))
            for attempt in range(10):  # `status` looks at a lock by taking it for an instant
                if _try_lock(file.fileno(), fcntl.LOCK_EX):
                    break
                time.sleep(0.02 * (attempt + 1))
            else:
                raise UserError(f"another process is working on {folder}; wait for it, or stop it and run again")
        yield


def is_locked(folder: Path) -> bool:
    """Whether a living process works on the run."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _end_of_last_line(file: Any) -> int:
    """Bytes up to and with the last newline."""
    file.seek(0)
    return int(file.read().rfind(b"\n") + 1)


def _read_json(path: Path, shape: Any) -> dict[str, Any]:
    try:
        value = parse_json(path.read_bytes(), path)
        if isinstance(value, dict):
            check_shape(value, shape, path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; expected a run folder") from None
    except InvalidData as error:
        raise InvalidData(f"{error}; restore the file from a copy or move the run folder away") from None
    if not isinstance(value, dict):
        raise InvalidData(
            f"{path} is damaged: expected a JSON object; restore the file from a copy or move the run folder away"
        )
    return value


def finite(value: Any) -> Any:
    """JSON knows no NaN: what is not finite is written as null. NumPy scalars become Python's."""
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
