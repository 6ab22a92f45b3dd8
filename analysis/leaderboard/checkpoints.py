"""The runs of a submission that are played again: draws the runs and copies their checkpoints.

A checkpoint is a stranger's folder. It is read without following links, within size limits and under the names in its own list,
and compared with the hash in result.json. Nothing here loads it.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.scores.from_runs import ScoredRun
from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_files import sha256
from dreamer_bench_json import parse_json
from dreamer_bench_untrusted import read_tree
from dreamer_bench_weights import unpacked_bytes
from protocols.records.checkpoint import CONTENTS
from protocols.records.store import Run

MOST_FILES, MOST_BYTES = 200, 8 << 30
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}")


@dataclass(frozen=True, kw_only=True)
class Replaying:
    """The options of `leaderboard add --replay`.

    number  number of runs to draw
    seed    seed of the draw; None takes a random one, which is printed
    tolerance  largest difference of an episode's score that `play` accepts
    play    plays the wanted runs of one cohort again; raises UserError if a score is not the recorded one
    """

    number: int
    play: Callable[[Sequence[Path], Sequence[bool]], None]
    tolerance: float = 0.0
    seed: int | None = None
    say: Callable[[str], None] = lambda line: None


def replayed(asked: Replaying, runs: Sequence[ScoredRun], folder: Path, copy: Path) -> list[str]:
    """Plays drawn runs again and returns their names below the submission.

    folder  folder of the submission
    copy    folder with the copied records, to which the checkpoints are added
    Raises UserError if a run cannot be drawn or played, and InvalidData if it does not reach its recorded scores.
    """
    finished = sorted((run for run in runs if run.state() == "done"), key=lambda run: run.folder)
    if not 1 <= asked.number <= len(finished):
        raise UserError(f"--replay must be 1 to {len(finished)}, the finished runs of this submission, not {asked.number}")
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if asked.seed is None else asked.seed
    picked = np.random.default_rng(seed).choice(len(finished), asked.number, replace=False)
    drawn = [finished[index].folder for index in sorted(picked)]
    names = [path.relative_to(copy).as_posix() for path in drawn]
    asked.say(f"drawn with --replay-seed {seed}: {', '.join(names)}")
    for cohort, wanted in _cohorts(drawn):
        number = _noted(cohort[wanted.index(True)])[0]
        for run, is_drawn in zip(cohort, wanted, strict=True):
            _bring(folder, run.relative_to(copy), copy, number, sealed=is_drawn)
        asked.play(cohort, wanted)
    return names


def _cohorts(drawn: Sequence[Path]) -> Iterator[tuple[list[Path], list[bool]]]:
    """The cohorts of the drawn runs: all run folders of each, and which of them were drawn."""
    found: dict[tuple[Path, ...], list[bool]] = {}
    for run in drawn:
        cohort = tuple(run.with_name(f"seed-{seed}") for seed in Run(run).manifest["cohort"])
        if run not in cohort or any(not each.is_dir() for each in cohort):
            raise InvalidData(f"{run} was trained together with {', '.join(each.name for each in cohort)}; all must be there")
        wanted = found.setdefault(cohort, [False] * len(cohort))
        wanted[cohort.index(run)] = True
    for cohort, wanted in found.items():
        yield list(cohort), wanted


def _noted(run: Path) -> tuple[str, str]:
    """Name and SHA-256 of the checkpoint, from the run's result."""
    result: Mapping[str, Any] = Run(run).result() or {}
    noted = result.get("checkpoint")
    if not isinstance(noted, dict) or not re.fullmatch(r"checkpoint-[0-9]{1,9}", str(noted.get("name"))):
        raise InvalidData(f"{run} names no checkpoint in its result; only runs of schema 2 can be replayed")
    return noted["name"], str(noted.get("sha256"))


def _bring(folder: Path, run: Path, copy: Path, number: str, *, sealed: bool) -> None:
    """Copies one checkpoint.

    sealed  its hash must be the one in the run's result (other runs of a cohort are only needed to load the drawn ones)
    """
    place = (*run.parts, number)
    found = read_tree(folder, [(*place, CONTENTS)], most_bytes=1 << 20)
    if not found:
        raise InvalidData(f"{folder / run} has no {number}, which a replay needs; submit the runs folder as `run` left it")
    contents = found[*place, CONTENTS]
    if sealed and sha256(contents) != _noted(copy / run)[1]:
        raise InvalidData(f"{folder / run / number} is not the checkpoint that the run's result names")
    listed = _listed(contents, folder / run / number / CONTENTS)
    size = 0
    _write(copy.joinpath(*place, CONTENTS), contents)
    for name, expected in listed.items():
        parts = (*place, *name.split("/"))
        data = read_tree(folder, [parts], most_bytes=MOST_BYTES - size).get(parts)
        if data is None or sha256(data) != expected:
            raise InvalidData(f"{folder.joinpath(*parts)} {'is missing' if data is None else 'is not what the run wrote'}")
        size += max(len(data), unpacked_bytes(io.BytesIO(data), folder.joinpath(*parts)))
        if size > MOST_BYTES:
            raise InvalidData(f"{folder.joinpath(*place)} unpacks to more than {MOST_BYTES:,} bytes; no replay loads that much")
        _write(copy.joinpath(*parts), data)


def _listed(contents: bytes, path: Path) -> Mapping[str, str]:
    """File -> hash in a contents.json. Raises InvalidData if it lists a file that no checkpoint has."""
    listing = parse_json(contents, path, most_bytes=1 << 20)
    files = listing.get("files") if isinstance(listing, dict) else None
    if not isinstance(files, dict) or not 0 < len(files) <= MOST_FILES:
        raise InvalidData(f"{path} lists no files, or more than {MOST_FILES}")
    found = {}
    for name, expected in files.items():
        hash = expected.get("sha256") if isinstance(expected, dict) else None
        if not all(_PART.fullmatch(part) for part in name.split("/")) or not isinstance(hash, str):
            raise InvalidData(f"{path} lists {json.dumps(name)[:80]}, which is not a file of a checkpoint")
        found[name] = hash
    return found


def _write(path: Path, data: bytes) -> None:
    os.makedirs(path.parent, exist_ok=True)
    path.write_bytes(data)
