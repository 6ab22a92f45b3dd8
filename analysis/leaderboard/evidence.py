"""The files of a submission: read once without following links, limited in size, parsed, and named by us.

`add` checks and copies the same bytes that `build` publishes. Record files are JSON or JSON Lines to the last byte. Score files
are read and written again as one CSV, so that the site never serves a file of a submitter's choice.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from analysis.leaderboard.card import CARD_FIELDS, card_text, read_card
from analysis.scores import exchange
from analysis.scores import table as tables
from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_json import MOST_JSON_BYTES, parse_json, parse_lines
from dreamer_bench_untrusted import printable, read_tree
from protocols.records.places import PROTOCOL_FOLDER
from protocols.records.store import EPISODES, MANIFEST, METRICS, RESULT, SEED_FOLDER, SESSIONS

CARD, RUNS, SCORES, SCORE_FILE = "card.json", "runs", "scores", "scores.csv"
RECORD_FILES = (MANIFEST, EPISODES, METRICS, SESSIONS, RESULT)
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:@+~%()-]{0,150}")
"""A label or a task as a folder name, with no character that has a meaning for a shell, a page or another system."""
MOST_RUNS, MOST_SCORE_FILES, MOST_BYTES = 5_000, 500, 1 << 30


def of_submission(folder: Path) -> dict[str, bytes]:
    """The files of a stranger's folder for the leaderboard: name there -> content.

    Raises UserError if it is not a submission, and InvalidData for links, files that are too large, and files whose content
    does not match their names.
    """
    if not folder.is_dir():
        raise UserError(
            f"{str(folder)!r} is not a submission: it is not a folder; give one with {CARD} and {RUNS}/ or {SCORES}/"
        )
    found = read_tree(folder, [(CARD,)], most_bytes=MOST_JSON_BYTES)
    if not found:
        raise UserError(f"{str(folder)!r} is not a submission: it has no {CARD} (fields: {', '.join(CARD_FIELDS)})")
    card = read_card(found[CARD,], folder / CARD)
    wanted = SCORES if card.get("imported") else RUNS
    if not any(name == wanted for name, _ in _entries(folder, ())):
        raise InvalidData(f"{folder} has no folder {wanted!r}; {'scores' if card.get('imported') else 'records'} belong there")
    brought = _scores(folder) if card.get("imported") else _records(folder)
    return {CARD: card_text(card), **brought}


def of_entry(folder: Path, *, seal: str) -> dict[str, bytes]:
    """All files of a folder from `add` except the seal. Raises InvalidData for a link and for a file that `add` never makes."""
    parts = [*_walk(folder, ())]
    for name in parts:
        if name != (seal,) and not _is_ours(name):
            raise InvalidData(f"{folder.joinpath(*name)} is not a file of a submission; remove {folder} and add it again")
    return {"/".join(name): data for name, data in read_tree(folder, parts).items() if name != (seal,)}


def _is_ours(parts: tuple[str, ...]) -> bool:
    if parts in ((CARD,), (SCORES, SCORE_FILE)):
        return True
    return len(parts) == 6 and parts[0] == RUNS and _is_run(parts[1:5]) and parts[5] in RECORD_FILES


def _is_run(parts: tuple[str, ...]) -> bool:
    """Whether the parts of a path are protocol, label, task, seed-N."""
    protocol, label, task, seed = parts
    names = FOLDER_NAME.fullmatch(label) and FOLDER_NAME.fullmatch(task)
    return bool(PROTOCOL_FOLDER.fullmatch(protocol) and names and SEED_FOLDER.fullmatch(seed))


# ---------------------------------------------------------------- records


def _records(folder: Path) -> dict[str, bytes]:
    runs = [(RUNS, *parts) for parts in _run_folders(folder)]
    if len(runs) > MOST_RUNS:
        raise InvalidData(f"{folder / RUNS} holds {len(runs):,} runs; at most {MOST_RUNS:,} are read")
    found: dict[str, bytes] = {}
    size = 0
    for run in runs:
        for parts, data in read_tree(folder, [(*run, name) for name in RECORD_FILES], most_bytes=MOST_BYTES - size).items():
            size += len(data)
            _check_record(data, folder.joinpath(*parts))
            found["/".join(parts)] = data
    return found


def _run_folders(folder: Path) -> Iterator[tuple[str, ...]]:
    """protocol, label, task, seed-N of every run. Raises InvalidData for a name that is not that of a run."""
    for protocol in _folders(folder, (RUNS,)):
        for label in _folders(folder, (RUNS, protocol)):
            for task in _folders(folder, (RUNS, protocol, label)):
                for seed in _folders(folder, (RUNS, protocol, label, task)):
                    if not _is_run((protocol, label, task, seed)):
                        place = printable("/".join((RUNS, protocol, label, task, seed)))
                        raise InvalidData(
                            f"{folder}: {place!r} is not a run's folder; expected runs/protocol@version/agent/task/seed-N"
                        )
                    yield protocol, label, task, seed


def _check_record(data: bytes, path: Path) -> None:
    if path.suffix == ".jsonl":
        parse_lines(data, path, whole=True)
    elif not isinstance(parse_json(data, path), dict):
        raise InvalidData(f"{path} is damaged: expected a JSON object")


# ---------------------------------------------------------------- scores


def _scores(folder: Path) -> dict[str, bytes]:
    """The score files, of any format, as one CSV of ours."""
    parts = [(SCORES, *rest) for rest in _walk(folder / SCORES, ())]
    if not 0 < len(parts) <= MOST_SCORE_FILES:
        raise InvalidData(f"{folder / SCORES} holds {len(parts)} files; expected 1 to {MOST_SCORE_FILES} score files")
    with tempfile.TemporaryDirectory() as name:
        copies = []
        for number, (place, data) in enumerate(sorted(read_tree(folder, parts, most_bytes=MOST_BYTES).items())):
            copy = Path(name) / str(number) / place[-1]  # some formats name the task in the file's name
            copy.parent.mkdir()
            copy.write_bytes(data)
            copies.append(copy)
        try:
            points = tables.read(copies)
        except UserError as error:
            raise type(error)(str(error).replace(name, str(folder / SCORES))) from None
    return {f"{SCORES}/{SCORE_FILE}": exchange.tidy(points).encode()}


# ---------------------------------------------------------------- folders


def _walk(root: Path, below: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The files below a folder, as the parts of their paths."""
    for name, is_folder in _entries(root, below):
        if is_folder:
            yield from _walk(root, (*below, name))
        else:
            yield (*below, name)


def _folders(root: Path, below: tuple[str, ...]) -> list[str]:
    return [name for name, is_folder in _entries(root, below) if is_folder]


def _entries(root: Path, below: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Name of every entry in a folder, and whether it is a folder. Refuses links and ignores hidden files."""
    found = []
    with os.scandir(root.joinpath(*below)) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                raise InvalidData(f"{printable(entry.path)} is a symbolic link; replace it by the file itself")
            found.append((entry.name, entry.is_dir(follow_symlinks=False)))
    return sorted(found)
