"""`leaderboard add`: a stranger's folder is read once, checked, drawn on trial, and written under a name of ours."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from analysis.leaderboard import evidence, site
from analysis.leaderboard.submissions import SEAL, Submission, checked, of_files, sealed
from dreamer_bench_base import InvalidData, UserError, alone_in

MOST_PRINTED = 20


def add(folder: Path, to: Path) -> Path:
    """Checks a submission and copies it to the leaderboard. Adding the same one again changes nothing.

    Raises InvalidData naming the violations; UserError where another submission has its name. Nothing is left behind.
    """
    files = evidence.of_submission(folder)
    if to.exists() and not to.is_dir():
        raise UserError(f"--to {str(to)!r} is a file; give the folder of the leaderboard")
    with tempfile.TemporaryDirectory() as name:
        _write(Path(name), files)
        try:
            submission = of_files(Path(name), files)
            submission = _without_violations(submission, folder)
            target, hashes = to / submission.slug, dict(submission.hashes)
            if target.exists():
                if (target / SEAL).is_file() and sealed(target)["sha256"] == hashes:
                    return target
                raise UserError(f"{target} holds another submission of that name; change the card's name or remove the folder")
            site.check_shown(submission, to)
        except UserError as error:
            raise type(error)(str(error).replace(name, str(folder))) from None
    to.mkdir(parents=True, exist_ok=True)
    beside = to / f".{submission.slug}.part"
    with alone_in(to):
        try:
            if beside.exists():  # what a kill left
                shutil.rmtree(beside)
            _write(beside, {**files, SEAL: (json.dumps({"schema": 2, "sha256": hashes}, indent=1) + "\n").encode()})
            os.rename(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return target


def _without_violations(submission: Submission, folder: Path) -> Submission:
    """The submission with its runs. Raises InvalidData that names what keeps it out."""
    submission, found = checked(submission)
    if found:
        more = f" (and {len(found) - MOST_PRINTED} more)" if len(found) > MOST_PRINTED else ""
        raise InvalidData(
            f"{folder} has {len(found)} violation{'s' if len(found) != 1 else ''}, nothing was added: "
            f"{'; '.join(found[:MOST_PRINTED])}{more}"
        )
    return submission


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
