"""A submission to the leaderboard: a folder with a card and either records of this project or imported scores.

    <submission>/card.json      who and what: `card.CARD_FIELDS`
    <submission>/runs/          a runs folder, checked by `protocols.records.validate`                  (recorded here)
    <submission>/scores/*       score files, where the card says `imported`                  (published elsewhere)

`adding.add` reads it once without following links, checks these bytes, draws the board with them, and writes them to
<leaderboard>/<slug>/ with `submission.json`, which has the hashes of all files. So later changes of a record are detected. Only
evidence is copied, no checkpoints and no replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import pandas as pd

from analysis.leaderboard import evidence
from analysis.leaderboard.card import observed, read_card, slug_of
from analysis.leaderboard.evidence import CARD, RUNS, SCORE_FILE, SCORES
from analysis.scores import cures, from_runs, per_run
from analysis.scores import table as tables
from analysis.scores.copies import copies
from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_files import sha256
from dreamer_bench_json import check_shape, parse_json
from dreamer_bench_processes import in_order
from dreamer_bench_untrusted import read_regular
from protocols import catalog
from protocols.records import validate
from protocols.records.store import find_runs
from protocols.spec import Protocol

SEAL = "submission.json"
LEAST_APART = 8
"""So many submissions are each read by one process: with fewer, the processes would have unequal shares."""


class Seal(TypedDict):
    """submission.json: what `add` read, and the runs that it played again."""

    schema: int
    sha256: dict[str, str]
    replayed: NotRequired[list[str]]
    replay_tolerance: NotRequired[float]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A submission folder after reading.

    slug      folder name on the leaderboard, made from the card's name
    input     what the agent observes, or protocol -> what it observes there
    imported  None for records of this project, else protocol, source, licence and method of the published scores
    hashes    name of every file of evidence below the folder -> SHA-256
    runs      the runs of a checked submission; empty for imported scores
    replayed  folders, below the submission, of runs whose last evaluation `add` played again
    replay_tolerance  largest difference of an episode's score that was accepted
    """

    folder: Path
    slug: str
    name: str
    authors: tuple[str, ...]
    input: str | Mapping[str, str]
    paper: str | None
    code: str | None
    note: str
    imported: Mapping[str, str] | None
    hashes: Mapping[str, str]
    runs: Sequence[from_runs.ScoredRun] = ()
    replayed: Sequence[str] = ()
    replay_tolerance: float = 0.0

    def input_of(self, protocol: str) -> str:
        """What the agent observes under a protocol, as the card says; "" if the card does not say it."""
        return self.input if isinstance(self.input, str) else self.input.get(protocol, "")

    def content(self, name: str) -> bytes:
        """A file as it was read before. Raises InvalidData if it has changed since."""
        data = read_regular(self.folder / name)
        if sha256(data) != self.hashes[name]:
            raise InvalidData(f"{self.folder / name} was changed while it was read; try again when no process writes there")
        return data


def of_files(folder: Path, files: Mapping[str, bytes]) -> Submission:
    """The submission made of these files, which are also below `folder`."""
    if CARD not in files:
        raise InvalidData(f"{folder} has no {CARD}; remove it and add the submission again")
    card = read_card(files[CARD], folder / CARD)
    return Submission(
        folder=folder,
        slug=slug_of(card["name"]),
        name=card["name"],
        authors=tuple(card["authors"]),
        input=card["input"],
        paper=card["paper"],
        code=card["code"],
        note=card.get("note", ""),
        imported=card.get("imported"),
        hashes={name: sha256(data) for name, data in sorted(files.items())},
    )


# ---------------------------------------------------------------- checking


def checked(submission: Submission) -> tuple[Submission, list[str]]:
    """The submission with its runs, and all its violations, one line each."""
    if submission.imported is not None:
        return submission, _imported_violations(submission)
    folder = submission.folder / RUNS
    known = find_runs(folder)
    if not known:
        return submission, [f"{folder} holds no run"]
    runs: list[from_runs.ScoredRun] = []
    shared: dict[str, Any] = {}
    found = validate.check(
        folder,
        known,
        submission=True,
        sound=from_runs.scored,
        take=lambda run: runs.append(from_runs.sharing(run, shared)),
    )
    lines = [f"{each.run}: {each.rule}: {each.what}" for each in found]
    protocols = {run.manifest["protocol"]: observed(run.manifest["protocol_data"]) for run in runs}
    return replace(submission, runs=tuple(runs)), lines + _input_violations(submission, protocols)


def _input_violations(submission: Submission, shown: Mapping[str, str | None]) -> list[str]:
    """Protocols for which the card names no input, or another one than their tasks show."""
    found = []
    for protocol, what in shown.items():
        claimed = submission.input_of(protocol)
        if not claimed:
            found.append(f"{CARD}: input: says nothing of {protocol}; add it")
        elif what not in (None, claimed):
            found.append(f"{CARD}: input: {claimed!r} under {protocol}, whose tasks show {what}")
    return found


def imported_protocol(submission: Submission) -> Protocol:
    assert submission.imported is not None
    return catalog.find(submission.imported["protocol"])


def imported_table(submission: Submission) -> pd.DataFrame:
    """The imported points of the card's method on the protocol's tasks, under this protocol."""
    assert submission.imported is not None
    table = tables.read([submission.folder / SCORES / SCORE_FILE])
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
    """Violations of imported scores. Cadence and seeds of published curves cannot be checked; this checks the rest.

    Two equal seeds on one task are no violation by themselves, because games have a lowest and a highest score.
    """
    protocol = imported_protocol(submission)
    table = imported_table(submission)
    found = _input_violations(submission, {protocol.id: None})  # how others made their agents see is not ours to know
    if table.empty:
        return [f"no score is of a task of {protocol.id}"]
    if protocol.score_range is not None:
        low, high = protocol.score_range
        for row in table[(table["score"] < low) | (table["score"] > high)].head(3).itertuples():
            found.append(f"{row.task}, seed {row.seed}: score {row.score:g} outside {low:g} to {high:g}")
    scores = imported_selection(table, protocol).scores
    if scores.empty:
        return [*found, f"no run reaches the {protocol.env_steps:,} env steps of {protocol.id}"]
    found += copies(table)
    if (scores.groupby("task")["score"].nunique() == 1).all():
        found.append("on every task all seeds have the same score; give each run once, under its own seed")
    seeds = scores.groupby("task")["seed"].nunique()
    for task in sorted(set(table["task"])):
        if seeds.get(task, 0) < 2:
            reach = "seed reaches" if seeds.get(task, 0) == 1 else "seeds reach"
            found.append(f"{task}: {seeds.get(task, 0)} {reach} {protocol.env_steps:,} env steps; an interval needs two")
    return found


def imported_selection(table: pd.DataFrame, protocol: Protocol) -> per_run.Selection:
    """The scores of published curves at the protocol's budget: the mean of its window, or of its last tenth.

    Published curves have no separate final evaluation, so a rule that needs one becomes a window.
    """
    window = protocol.score_rule.window_env_steps or protocol.env_steps // 10
    return per_run.select(table, at=protocol.env_steps, window=window, short="drop")


# ---------------------------------------------------------------- reading the leaderboard


def sealed(folder: Path) -> Seal:
    """The seal that `add` wrote. Raises UserError if the submission did not pass through `add`."""
    path = folder / SEAL
    if not path.is_file():
        raise UserError(f"{folder} was not added with `leaderboard add`; remove it and add it with `leaderboard add`")
    try:
        seal = parse_json(read_regular(path), path)
        check_shape(seal, Seal, path)
    except InvalidData as error:
        raise InvalidData(f"{error}; remove {folder} and add the submission again") from None
    return cast(Seal, seal)


def read_leaderboard(
    root: Path, make: Callable[[Submission], Any] = lambda submission: submission
) -> tuple[list[Any], dict[str, str]]:
    """`make` of every unchanged submission of a leaderboard folder, checked again; and name -> reason for the others.

    make  may run in another process, so its results can be pickled; a submission for which it raises UserError is left out

    Raises UserError if the folder is not a leaderboard or is empty.
    """
    if not root.is_dir():
        raise UserError(f"leaderboard folder {str(root)!r} does not exist; `leaderboard add SUBMISSION --to {root}` makes it")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise UserError(
            f"leaderboard folder {str(root)!r} holds no submission; add one with `leaderboard add SUBMISSION --to {root}`"
        )
    found, refused = [], {}
    # Few submissions are read one after the other, and the runs of each by all processes.
    for folder, (made, reason) in zip(folders, in_order(partial(_made, make), folders, least=LEAST_APART), strict=True):
        if reason is None:
            found.append(made)
        else:
            refused[folder.name] = reason
    return found, refused


def _made(make: Callable[[Submission], Any], folder: Path) -> tuple[Any, str | None]:
    """The result for a submission, or why it is left out."""
    try:
        with cures.within((), "mend the submission, and add it again"):
            return make(_read_sealed(folder)), None
    except UserError as error:
        return None, str(error)


def names_of_others(root: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Slug of every submission of a leaderboard folder, and the (protocol, method) of its rows, from card and folders alone.

    This shows whether a name is taken; `read_leaderboard` checks whether the submissions are unchanged.
    """
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        try:
            card = read_card(read_regular(folder / CARD), folder / CARD)
        except (InvalidData, FileNotFoundError):
            continue
        if card.get("imported"):
            yield folder.name, [(card["imported"]["protocol"], card["name"])]
            continue
        rows = [(path.parent.name, path.name) for path in sorted((folder / RUNS).glob("*@*/*"))]
        alone = len({label for _, label in rows}) == 1
        yield folder.name, [(protocol, card["name"] if alone else f"{card['name']} {label}") for protocol, label in rows]


def _read_sealed(folder: Path) -> Submission:
    seal = sealed(folder)
    recorded = seal["sha256"]
    submission = of_files(folder, evidence.of_entry(folder, seal=SEAL))
    now = submission.hashes
    for name in sorted(set(recorded) | set(now)):
        if recorded.get(name) != now.get(name):
            what = "is missing" if name not in now else "is new" if name not in recorded else "was changed"
            raise InvalidData(f"{folder / name} {what} since it was added; restore it, or remove {folder} and add it again")
    if submission.slug != folder.name:
        raise InvalidData(
            f"{folder} holds the submission {submission.slug!r}; rename the folder, or remove it and add it again"
        )
    submission, problems = checked(submission)
    if problems:
        raise InvalidData(f"{folder} does not pass the checks of this version: {'; '.join(problems[:3])}")
    return replace(submission, replayed=seal.get("replayed", ()), replay_tolerance=seal.get("replay_tolerance", 0.0))
