"""`leaderboard add`: reads a stranger's folder once, checks it, draws it as a test, and writes it under our own name."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from analysis.leaderboard import checkpoints, evidence, site
from analysis.leaderboard.checkpoints import Replaying
from analysis.leaderboard.submissions import SEAL, Seal, Submission, checked, of_files, sealed
from dreamer_bench_base import InvalidData, UserError, count
from dreamer_bench_files import alone_in, write_atomically
from protocols.records.schema import SCHEMA

MOST_PRINTED = 20


def add(folder: Path, to: Path, *, replay: Replaying | None = None, old_records: bool = False) -> Path:
    """Checks a submission and copies it to the leaderboard. Adding it again changes only the list of replayed runs.

    replay       play the last evaluation of some randomly drawn runs again, from the checkpoints in the submission
    old_records  accept runs of an older schema, to which newer rules do not apply; the board marks them

    Raises InvalidData with the violations, and UserError if another submission has its name. An error leaves no files.
    """
    files = evidence.of_submission(folder)
    if to.exists() and not to.is_dir():
        raise UserError(f"--to {str(to)!r} is a file; give the folder of the leaderboard")
    with tempfile.TemporaryDirectory() as name:
        _write(Path(name), files)
        try:
            submission = of_files(Path(name), files)
            submission = _without_violations(submission, folder)
            if not old_records:
                _refuse_old(submission, folder)
            target, hashes = to / submission.slug, dict(submission.hashes)
            seal: Seal = {"schema": 2, "sha256": hashes}
            if target.exists():
                if (target / SEAL).is_file() and sealed(target)["sha256"] == hashes:
                    if replay is not None:
                        _note(seal := sealed(target), replay, submission, folder, Path(name))
                        write_atomically(target / SEAL, _text(seal))
                    return target
                raise UserError(f"{target} holds another submission of that name; change the card's name or remove the folder")
            site.check_shown(submission, to)
            if replay is not None:
                _note(seal, replay, submission, folder, Path(name))
        except UserError as error:
            raise type(error)(str(error).replace(name, str(folder))) from None
    to.mkdir(parents=True, exist_ok=True)
    beside = to / f".{submission.slug}.part"
    with alone_in(to):
        try:
            if beside.exists():  # left by a kill
                shutil.rmtree(beside)
            _write(beside, {**files, SEAL: _text(seal)})
            os.rename(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return target


def _refuse_old(submission: Submission, folder: Path) -> None:
    """Refuses an older schema, because the choice of a schema would be a choice of rules."""
    old = [run.folder for run in submission.runs if run.schema < SCHEMA]
    if old:
        raise InvalidData(
            f"{folder}: {len(old)} of {count(len(submission.runs), 'run')} {'are' if len(old) != 1 else 'is'} of an older "
            f"schema than {SCHEMA}, for example "
            f"{'/'.join(old[0].parts[-4:])}; train them with this version, which records what the rules need. Your "
            "own older records: add them with --old-records, and the board marks them"
        )


def _note(seal: Seal, replay: Replaying, submission: Submission, folder: Path, copy: Path) -> None:
    """Plays drawn runs again and adds them to the seal."""
    if submission.imported is not None:
        raise UserError(f"{folder} holds imported scores, which have no checkpoint; leave out --replay")
    names = checkpoints.replayed(replay, submission.runs, folder, copy)
    seal["replayed"] = sorted({*seal.get("replayed", ()), *names})
    seal["replay_tolerance"] = max(seal.get("replay_tolerance", 0.0), replay.tolerance)


def _text(seal: Seal) -> bytes:
    return (json.dumps(seal, indent=1) + "\n").encode()


def _without_violations(submission: Submission, folder: Path) -> Submission:
    """The submission with its runs. Raises InvalidData with the violations."""
    submission, found = checked(submission)
    if found:
        more = f" (and {len(found) - MOST_PRINTED} more)" if len(found) > MOST_PRINTED else ""
        raise InvalidData(
            f"{folder} has {count(len(found), 'violation')}, nothing was added: {'; '.join(found[:MOST_PRINTED])}{more}"
        )
    return submission


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
