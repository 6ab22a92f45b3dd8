"""Generations of checkpoints in the run folders of one cohort: written completely or not at all, read only if undamaged.

    seed-<n>/checkpoint-<number>/
        contents.json     size and SHA-256 of every file here, and the length of the run's own records
        loop.json         the state of the loop         (written by protocols/running/loop_state.py)
        open_episodes.npz actions of the interrupted episodes
        agent/            what the agent saved

A new generation is written beside the old ones, flushed to the disk, and renamed in the folder of every seed. Only then are
older ones removed. The one before the newest stays, in case the newest is damaged.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_files import sha256, sync
from dreamer_bench_untrusted import printable
from dreamer_bench_weights import unpacked_bytes
from protocols.records.json_files import read_json, write_json
from protocols.records.schema import Checkpoint
from protocols.records.store import HASHED, REPLAY, Run

CONTENTS = "contents.json"
KEPT_GENERATIONS = 2
MOST_FILE_BYTES = 8 << 30
"""Of one file of a checkpoint: it is read whole, to be compared with its hash."""
MOST_UNPACKED_BYTES = 1 << 30
"""Of a NumPy archive: the actions of the interrupted episodes take some kB."""
_NAME = re.compile(r"checkpoint-(\d+)")


class Recorded(TypedDict):
    """Length of one of a run's record files at a checkpoint, and the hash of its content."""

    bytes: int
    sha256: str


class _Noted(TypedDict):
    bytes: int
    sha256: str | None
    """None for the files that schema 1 did not hash."""


class _Contents(TypedDict):
    """contents.json, perhaps a stranger's."""

    files: dict[str, Recorded]
    records: dict[str, _Noted]


class _Progress(TypedDict):
    """What `status` needs of loop.json."""

    iteration: int


def recorded(path: Path) -> Recorded:
    """The length and hash of a file as it is now; a missing file has length 0."""
    size = path.stat().st_size if path.exists() else 0
    return {"bytes": size, "sha256": _sha256_of_start(path, size)}


def save(runs: Sequence[Path], write: Callable[[Sequence[Path]], None], records: Sequence[Mapping[str, Recorded]]) -> int:
    """Writes the next generation of a cohort and returns its number.

    runs     run folders, one per seed
    write    fills existing empty folders, one per seed
    records  per seed: the record files that belong to this generation, as the process that wrote them knows them
    Raises OSError if the disk is full or fails, and UserError if a record is not what was written. Earlier generations stay
    unchanged.
    """
    for run, known in zip(runs, records, strict=True):
        check_records(run, known)
    number = 1 + max((existing for run in runs for existing in generations(run)), default=0)
    parts = [run / f"checkpoint-{number}.tmp" for run in runs]
    try:
        for part in parts:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
        write(parts)
        for part, known in zip(parts, records, strict=True):
            _seal(part, known)
    except OSError:
        for part in parts:
            shutil.rmtree(part, ignore_errors=True)
        raise
    for run, part in zip(runs, parts, strict=True):
        os.rename(part, part.with_suffix(""))
        sync(run)
    prune(runs, keep=KEPT_GENERATIONS)
    return number


def begun(runs: Sequence[Path]) -> bool:
    """Whether a first generation was completed. If only some seeds have it, a kill interrupted it."""
    known = [set(generations(run)) for run in runs]
    return all(known) or max((number for numbers in known for number in numbers), default=0) > 1


def newest(runs: Sequence[Path], say: Callable[[str], None]) -> list[Path] | None:
    """The folders of the newest generation that is undamaged for all seeds; None if none was ever completed.

    say  gets one line about each damaged generation
    Raises ValueError if there are generations and all are damaged.
    """
    if not begun(runs):
        return None
    known = [set(generations(run)) for run in runs]
    why = "its seeds have no generation in common"
    for number in sorted(set.intersection(*known), reverse=True):
        parts = [run / f"checkpoint-{number}" for run in runs]
        faults = [found for run, part in zip(runs, parts, strict=True) if (found := fault(run, part)) is not None]
        if not faults:
            return parts
        why = faults[0]
        say(f"checkpoint passed over: {why}")
    raise UserError(
        f"no good checkpoint is left ({why}); restore the run folder from a copy, or move {runs[0]} away to start again"
    )


def prune(runs: Sequence[Path], keep: int) -> None:
    """Removes all but the newest `keep` generations, and the rest of an interrupted save."""
    for run in runs:
        for number in sorted(generations(run), reverse=True)[keep:]:
            shutil.rmtree(run / f"checkpoint-{number}")
        for leftover in run.glob("checkpoint-*.tmp"):
            shutil.rmtree(leftover)


def tidy(runs: Sequence[Path]) -> None:
    """Removes what only training needs: the replay, and all generations but the last, which `evaluate` and `video` load."""
    for run in runs:
        shutil.rmtree(run / REPLAY, ignore_errors=True)
    prune(runs, keep=1)


def generations(run: Path) -> list[int]:
    return [int(found[1]) for entry in run.iterdir() if (found := _NAME.fullmatch(entry.name))]


def env_steps(run: Run) -> int | None:
    """The env_steps of the newest generation of a run; None if it has none that can be read."""
    numbers = generations(run.folder)
    if not numbers:
        return None
    try:
        progress = read_json(run.folder / f"checkpoint-{max(numbers)}" / "loop.json", _Progress)
    except (OSError, UserError):
        return None
    return int(progress["iteration"]) * run.manifest["protocol_data"]["num_envs"] * run.manifest["action_repeat"]


def newest_seal(run: Path) -> Checkpoint | None:
    """The newest generation of a run, with the hash of its contents.json, which has the hashes of all its files."""
    numbers = generations(run)
    if not numbers:
        return None
    part = run / f"checkpoint-{max(numbers)}"
    return {"name": part.name, "sha256": sha256(part / CONTENTS)}


def check_records(run: Path, known: Mapping[str, Recorded]) -> None:
    """Raises UserError if another process changed, cut or deleted a record file."""
    for name, held in known.items():
        if _sha256_of_start(run / name, held["bytes"]) != held["sha256"]:
            raise UserError(
                f"{run / name} was changed or deleted during the run; restore it from a copy, then run the command again, "
                "or start the run in another folder"
            )


def _seal(part: Path, records: Mapping[str, Recorded]) -> None:
    files = {}
    for path in sorted(part.rglob("*")):
        if path.is_file():
            sync(path)
            files[str(path.relative_to(part))] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        else:
            sync(path)
    write_json(part / CONTENTS, {"files": files, "records": records})


def fault(run: Path, part: Path) -> str | None:
    """What is wrong with one generation of one seed; None if nothing is."""
    try:
        contents = read_json(part / CONTENTS, _Contents)
    except (OSError, UserError):
        return f"{part / CONTENTS} is missing or damaged"
    files, records = contents["files"], contents["records"]
    for name in (*(name for name in files if not _inside(part, name)), *(name for name in records if name not in HASHED)):
        return f"{part / CONTENTS} names {printable(name[:40])!r}, which is no file of a checkpoint"
    for name, expected in files.items():
        path = part / name
        if not path.is_file():
            return f"{path} is missing"
        if path.stat().st_size != expected["bytes"]:
            return f"{path} has {path.stat().st_size} bytes and was written with {expected['bytes']}"
        if path.stat().st_size > MOST_FILE_BYTES:
            return f"{path} has {path.stat().st_size:,} bytes; at most {MOST_FILE_BYTES:,} of one file are read"
        if sha256(path) != expected["sha256"]:
            return f"{path} is not what was written"
        if path.suffix == ".npz" and (what := _swells(path)):
            return what
    for name, known in records.items():
        if known["sha256"] is None:  # schema 1 hashed episodes only
            continue
        if _sha256_of_start(run / name, known["bytes"]) != known["sha256"]:
            return f"{run / name} does not match {part.name}"
    return None


def _inside(part: Path, name: str) -> bool:
    """Whether a file, also behind links, is in the folder of the checkpoint."""
    return "\0" not in name and len(name) < 256 and (part / name).resolve().is_relative_to(part.resolve())


def _swells(path: Path) -> str | None:
    """Whether a NumPy archive, perhaps a stranger's, unpacks to what nobody can hold."""
    try:
        with path.open("rb") as file:
            size = unpacked_bytes(file, path)
    except InvalidData as error:
        return str(error)
    return f"{path} unpacks to {size:,} bytes" if size > MOST_UNPACKED_BYTES else None


def _sha256_of_start(path: Path, size: int) -> str:
    """Hash of the first `size` bytes of a file; of the whole file if it is shorter, and of nothing if it is missing."""
    data = b""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        data = file.read(min(size, os.fstat(file.fileno()).st_size))
    return hashlib.sha256(data).hexdigest()
