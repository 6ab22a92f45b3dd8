"""A submission to the leaderboard: a folder with a card and either records of this project or imported scores.

    <submission>/card.json      who and what: CARD_FIELDS
    <submission>/runs/          a runs folder, held to `protocols.records.validate`                  (recorded here)
    <submission>/scores/*       score files, where the card says `imported`                  (published elsewhere)

`add` checks it and copies it to <leaderboard>/<slug>/ with `submission.json`, the hashes of every file: a record that is
changed afterwards is found. Only what is evidence is copied: no checkpoints, no replay.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.scores import table as tables
from dreamer_bench_base import InvalidData, UserError
from protocols import catalog
from protocols.records import validate
from protocols.records.store import EPISODES, MANIFEST, METRICS, RESULT, SESSIONS, find_runs, sha256
from protocols.spec import Protocol

CARD, SEAL, RUNS, SCORES = "card.json", "submission.json", "runs", "scores"
INPUTS = ("pixels", "state")
CARD_FIELDS: Mapping[str, str] = {
    "name": "the method's name in the table",
    "authors": "a list of names",
    "input": "what the agent observes: pixels or state",
    "paper": "https address, or null",
    "code": "https address, or null",
    "note": "a sentence for the reader; optional",
    "imported": "for scores published elsewhere: an object with protocol, source, licence and method; absent otherwise",
}
IMPORTED_FIELDS = ("protocol", "source", "licence", "method")
RECORD_FILES = (MANIFEST, EPISODES, METRICS, SESSIONS, RESULT)
MOST_PRINTED = 20


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One folder that was read.

    slug      folder name on the leaderboard, made of the card's name
    imported  None for records of this project, else protocol, source, licence and method of the published scores
    """

    folder: Path
    slug: str
    name: str
    authors: tuple[str, ...]
    input: str
    paper: str | None
    code: str | None
    note: str
    imported: Mapping[str, str] | None

    def files(self) -> list[Path]:
        """Every file that is evidence: the card, and records or score files, in a fixed order."""
        if self.imported is not None:
            evidence = [path for path in (self.folder / SCORES).rglob("*") if path.is_file()]
        else:
            evidence = [run.folder / name for run in find_runs(self.folder / RUNS) for name in RECORD_FILES]
        return sorted([self.folder / CARD, *(path for path in evidence if path.is_file())])

    def hashes(self) -> dict[str, str]:
        return {path.relative_to(self.folder).as_posix(): sha256(path) for path in self.files()}


def read(folder: Path) -> Submission:
    """The submission in a folder; ValueError where there is none, InvalidData where its card is not one."""
    path = folder / CARD
    if not path.is_file():
        raise UserError(f"{str(folder)!r} is not a submission: it has no {CARD} (fields: {', '.join(CARD_FIELDS)})")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidData(f"{path} is not JSON ({error}); write an object with {', '.join(CARD_FIELDS)}") from None
    _check_card(path, card)
    imported = card.get("imported")
    wanted = SCORES if imported else RUNS
    if not (folder / wanted).is_dir():
        raise InvalidData(f"{folder} has no folder {wanted!r}; {'scores' if imported else 'records'} go there")
    return Submission(
        folder=folder,
        slug=slug_of(card["name"]),
        name=card["name"],
        authors=tuple(card["authors"]),
        input=card["input"],
        paper=card["paper"],
        code=card["code"],
        note=card.get("note", ""),
        imported=imported,
    )


def slug_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _check_card(path: Path, card: Any) -> None:
    if not isinstance(card, dict):
        raise InvalidData(f"{path} must hold an object with {', '.join(CARD_FIELDS)}")
    unknown = sorted(set(card) - set(CARD_FIELDS))
    if unknown:
        raise InvalidData(f"{path}: field {unknown[0]!r} is not known; a card has {', '.join(CARD_FIELDS)}")
    for name in ("name", "authors", "input", "paper", "code"):
        if name not in card:
            raise InvalidData(f"{path}: field {name!r} is missing ({CARD_FIELDS[name]})")
    if not isinstance(card["name"], str) or not slug_of(card["name"]):
        raise InvalidData(f"{path}: name must be text with a letter or digit, not {card['name']!r}")
    authors = card["authors"]
    if not isinstance(authors, list) or not authors or not all(isinstance(author, str) and author for author in authors):
        raise InvalidData(f"{path}: authors must be a list of at least one name, not {authors!r}")
    if card["input"] not in INPUTS:
        raise InvalidData(f"{path}: input must be one of {', '.join(INPUTS)}, not {card['input']!r}")
    for name in ("paper", "code"):
        # a link of another scheme could carry a script into the site
        if card[name] is not None and not re.fullmatch(r"https?://[^\s\"'<>]+", str(card[name])):
            raise InvalidData(f"{path}: {name} must be an http(s) address or null, not {card[name]!r}")
    if not isinstance(card.get("note", ""), str):
        raise InvalidData(f"{path}: note must be text, not {card['note']!r}")
    imported = card.get("imported")
    if imported is not None and (not isinstance(imported, dict) or set(imported) != set(IMPORTED_FIELDS)):
        raise InvalidData(f"{path}: imported must be an object with exactly {', '.join(IMPORTED_FIELDS)}")


# ---------------------------------------------------------------- checking


def violations(submission: Submission) -> list[str]:
    """Everything that keeps a submission out, one line each."""
    if submission.imported is None:
        found = validate.check(submission.folder / RUNS)
        if not find_runs(submission.folder / RUNS):
            return [f"{submission.folder / RUNS} holds no run"]
        return [f"{violation.run}: {violation.rule}: {violation.what}" for violation in found]
    return _imported_violations(submission)


def imported_protocol(submission: Submission) -> Protocol:
    assert submission.imported is not None
    return catalog.find(submission.imported["protocol"])


def imported_table(submission: Submission) -> pd.DataFrame:
    """The imported points of the card's method on the protocol's tasks, filed under the protocol."""
    assert submission.imported is not None
    files = sorted(path for path in (submission.folder / SCORES).rglob("*") if path.is_file())
    table = tables.read(files)
    method = submission.imported["method"]
    mine = table[table["method"] == method]
    if mine.empty:
        raise InvalidData(
            f"{submission.folder / SCORES} has no method {method!r}; it holds {', '.join(sorted(table['method'].unique()))}"
        )
    protocol = imported_protocol(submission)
    mine = mine[mine["task"].isin(protocol.tasks)]
    return mine.assign(protocol=protocol.id, method=submission.name).reset_index(drop=True)


def _imported_violations(submission: Submission) -> list[str]:
    """Published curves cannot be held to a protocol's cadence or seeds; what can be known is checked."""
    protocol = imported_protocol(submission)
    table = imported_table(submission)
    found = []
    if table.empty:
        return [f"no score is of a task of {protocol.id}"]
    if protocol.score_range is not None:
        low, high = protocol.score_range
        for row in table[(table["score"] < low) | (table["score"] > high)].head(3).itertuples():
            found.append(f"{row.task}, seed {row.seed}: score {row.score:g} outside {low:g} to {high:g}")
    scores = imported_selection(table, protocol).scores
    if scores.empty:
        return [*found, f"no run reaches the {protocol.env_steps:,} env steps of {protocol.id}"]
    seeds = scores.groupby("task")["seed"].nunique()
    for task in sorted(set(table["task"])):
        if seeds.get(task, 0) < 2:
            found.append(f"{task}: {seeds.get(task, 0)} seed reaches {protocol.env_steps:,} env steps; an interval needs two")
    return found


def imported_selection(table: pd.DataFrame, protocol: Protocol) -> tables.Selection:
    """The scores of published curves at the protocol's budget: the mean of its window, or of its last tenth.

    Published curves hold no separate final evaluation, so a rule that asks for one becomes a window.
    """
    window = protocol.score_rule.window_env_steps or protocol.env_steps // 10
    return tables.select(table, at=protocol.env_steps, window=window, short="drop")


# ---------------------------------------------------------------- adding


def add(folder: Path, to: Path) -> Path:
    """Checks a submission and copies it to the leaderboard. Adding the same one again changes nothing.

    Raises InvalidData naming the violations; ValueError where another submission has its name. Nothing is left behind.
    """
    submission = read(folder)
    found = violations(submission)
    if found:
        more = f" (and {len(found) - MOST_PRINTED} more)" if len(found) > MOST_PRINTED else ""
        raise InvalidData(
            f"{folder} has {len(found)} violation{'s' if len(found) != 1 else ''}, nothing was added: "
            f"{'; '.join(found[:MOST_PRINTED])}{more}"
        )
    target = to / submission.slug
    hashes = submission.hashes()
    if target.exists():
        if (target / SEAL).is_file() and sealed(target)["sha256"] == hashes:
            return target
        raise UserError(f"{target} holds another submission of that name; change the card's name or remove the folder")
    to.mkdir(parents=True, exist_ok=True)
    beside = to / f".{submission.slug}.{os.getpid()}.part"
    try:
        for name in hashes:
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, beside / name)
        seal = {"schema": 1, "sha256": hashes}
        (beside / SEAL).write_text(json.dumps(seal, indent=1) + "\n", encoding="utf-8")
        os.replace(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def sealed(folder: Path) -> dict[str, Any]:
    """What `add` wrote beside a submission; ValueError where it did not pass through `add`."""
    path = folder / SEAL
    if not path.is_file():
        raise UserError(f"{folder} was not added with `leaderboard add`; nothing enters the leaderboard unchecked")
    try:
        seal = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        seal = None
    if not isinstance(seal, dict) or not isinstance(seal.get("sha256"), dict):
        raise InvalidData(f"{path} is damaged; remove {folder} and add the submission again")
    return seal


def read_leaderboard(root: Path) -> list[Submission]:
    """Every submission of a leaderboard folder, by name, checked again.

    Raises InvalidData naming the first file that is not as it was when it was added.
    """
    if not root.is_dir():
        raise UserError(f"leaderboard folder {str(root)!r} does not exist; `leaderboard add SUBMISSION --to {root}` makes it")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise UserError(
            f"leaderboard folder {str(root)!r} holds no submission; add one with `leaderboard add SUBMISSION --to {root}`"
        )
    found = []
    for folder in folders:
        recorded = sealed(folder)["sha256"]
        submission = read(folder)
        now = submission.hashes()
        for name in sorted(set(recorded) | set(now)):
            if recorded.get(name) != now.get(name):
                what = "is missing" if name not in now else "is new" if name not in recorded else "was changed"
                raise InvalidData(f"{folder / name} {what} since it was added; restore it, or remove {folder} and add it again")
        problems = violations(submission)
        if problems:
            raise InvalidData(f"{folder} does not pass the checks of this version: {'; '.join(problems[:3])}")
        found.append(submission)
    return found
