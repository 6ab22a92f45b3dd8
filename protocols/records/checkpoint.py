"""Generations of checkpoints in the run folders of one cohort: written whole or not at all, read only when undamaged.

    seed-<n>/checkpoint-<number>/
        contents.json     size and SHA-256 of every file here, and how far the run's own records reached
        loop.json         where the loop stood           (written by protocols/running/loop.py)
        open_episodes.npz actions of the interrupted episodes
        agent/            what the agent saved

A new generation is written beside the old ones, brought to the disk, and renamed in every seed's folder; only then are
older ones removed, and the one before the newest is kept for the day the newest is found damaged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from dreamer_bench_base import UserError
from dreamer_bench_files import sha256, sync_folder
from protocols.records.json_files import write_json
from protocols.records.schema import Checkpoint
from protocols.records.store import REPLAY, Run

CONTENTS = "contents.json"
KEPT_GENERATIONS = 2
_NAME = re.compile(r"checkpoint-(\d+)")


class Recorded(TypedDict):
    """How far one of a run's record files reached, and the hash of what it held."""

    bytes: int
    sha256: str


def recorded(path: Path) -> Recorded:
    """A whole file as it is now; of a missing one, nothing."""
    size = path.stat().st_size if path.exists() else 0
    return {"bytes": size, "sha256": _sha256_of_start(path, size)}


def save(runs: Sequence[Path], write: Callable[[Sequence[Path]], None], records: Sequence[Mapping[str, Recorded]]) -> int:
    """Writes the next generation of a cohort and returns its number.

    runs     run folders, one a seed
    write    fills existing empty folders, one a seed
    records  per seed: the record files that this generation stands on, as the process that wrote them knows them
    Raises OSError when the disk will not take it, UserError where a record is no longer what was written; the generations
    before stay as they were.
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
        sync_folder(run)
    prune(runs, keep=KEPT_GENERATIONS)
    return number


def begun(runs: Sequence[Path]) -> bool:
    """Whether a first generation was ever completed. One that only some seeds have was cut short by a kill."""
    known = [set(generations(run)) for run in runs]
    return all(known) or max((number for numbers in known for number in numbers), default=0) > 1


def newest(runs: Sequence[Path], say: Callable[[str], None]) -> list[Path] | None:
    """The folders of the newest generation that all seeds have undamaged; None where none was ever completed.

    say  told in one line about each generation that is passed over
    Raises ValueError when there are generations and none is good.
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
    """Removes all but the newest generations, and what an interrupted save left."""
    for run in runs:
        for number in sorted(generations(run), reverse=True)[keep:]:
            shutil.rmtree(run / f"checkpoint-{number}")
        for leftover in run.glob("checkpoint-*.tmp"):
            shutil.rmtree(leftover)


def tidy(runs: Sequence[Path]) -> None:
    """Removes what only training needs: the replay, and all but the last generation, which `evaluate` and `video` load."""
    for run in runs:
        shutil.rmtree(run / REPLAY, ignore_errors=True)
    prune(runs, keep=1)


def generations(run: Path) -> list[int]:
    return [int(found[1]) for entry in run.iterdir() if (found := _NAME.fullmatch(entry.name))]


def env_steps(run: Run) -> int | None:
    """How far the newest generation of a run came; None where it has none that can be read."""
    numbers = generations(run.folder)
    if not numbers:
        return None
    try:
        iteration = json.loads((run.folder / f"checkpoint-{max(numbers)}" / "loop.json").read_bytes())["iteration"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return int(iteration) * int(run.manifest["protocol_data"]["num_envs"]) * int(run.manifest["action_repeat"])


def newest_seal(run: Path) -> Checkpoint | None:
    """The newest generation of a run by the hash of its contents.json, which holds the hash of every file of it."""
    numbers = generations(run)
    if not numbers:
        return None
    part = run / f"checkpoint-{max(numbers)}"
    return {"name": part.name, "sha256": sha256(part / CONTENTS)}


def check_records(run: Path, known: Mapping[str, Recorded]) -> None:
    """Raises UserError where a record file was changed, cut or deleted behind the back of the process that writes it."""
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
            _sync_file(path)
            files[str(path.relative_to(part))] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        else:
            sync_folder(path)
    write_json(part / CONTENTS, {"files": files, "records": records})


def fault(run: Path, part: Path) -> str | None:
    """What is wrong with one generation of one seed, or None."""
    try:
        contents = json.loads((part / CONTENTS).read_bytes())
        files, records = dict(contents["files"]), dict(contents["records"])
        _ = [(known["bytes"], known["sha256"]) for known in (*files.values(), *records.values())]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{part / CONTENTS} is missing or damaged"
    for name, expected in files.items():
        path = part / name
        if not path.is_file():
            return f"{path} is missing"
        if path.stat().st_size != expected["bytes"]:
            return f"{path} has {path.stat().st_size} bytes and was written with {expected['bytes']}"
        if sha256(path) != expected["sha256"]:
            return f"{path} is not what was written"
    for name, known in records.items():
        if known["sha256"] is None:  # schema 1 hashed episodes only
            continue
        if _sha256_of_start(run / name, known["bytes"]) != known["sha256"]:
            return f"{run / name} is not what {part.name} stands on"
    return None


def _sha256_of_start(path: Path, size: int) -> str:
    """Hash of the first bytes of a file (of all it has, where it is shorter; of nothing where it is missing)."""
    data = b""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        data = file.read(size)
    return hashlib.sha256(data).hexdigest()


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
