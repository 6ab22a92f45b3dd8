"""Records are strangers' data: whatever a field holds, a reader accepts the record or refuses it in one line (UserError).

A sound record is damaged field by field, and hashes, chain and seal are made to fit, as somebody might who knows how.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.leaderboard import adding
from analysis.report import blocks
from analysis.report.build import build
from dreamer_bench_base import UserError
from protocols import catalog
from protocols.records import chain, validate
from protocols.records.line_log import LineLog
from protocols.records.store import EPISODES, MANIFEST, METRICS, RESULT, SESSIONS, Run, seal
from protocols.running import status
from tests.make_records import make_run, rechain, reseal

QUICK = catalog.find("quick@1")
TASK = QUICK.tasks[0]
FILES = (MANIFEST, EPISODES, METRICS, SESSIONS, RESULT)
PLACE = Path("runs", QUICK.id, "dreamer", TASK, "seed-0")
WHOLE = ("options", "origins", "source")
"""Fields of a manifest whose inner fields are left alone here: `test_validate.py` has those of the schedule."""

REMOVED = object()
VALUES: dict[str, Any] = {
    "removed": REMOVED,
    "null": None,
    "text": "abc",
    "negative": -1,
    "infinite": float("inf"),
    "long": 10**400,
    "list": [],
}


def damaged(value: dict[str, Any], *, deep: bool = True) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what, the object with one field removed or set to another value), for every field, if `deep` also of objects in it."""
    for name, own in value.items():
        for what, other in VALUES.items():
            rest = {key: entry for key, entry in value.items() if key != name}
            yield f"{name} {what}", rest if other is REMOVED else {**rest, name: other}
        if deep and isinstance(own, dict) and name not in WHOLE:
            for what, changed in damaged(own):
                yield f"{name}.{what}", {**value, name: changed}


def encoded(value: Any) -> str:
    """JSON in which an infinite number is one that is read as such."""
    return json.dumps(value).replace("Infinity", "1e999")


def cases(run: Run, name: str, *, deep: bool = True) -> Iterator[tuple[str, str]]:
    """(what, the text of the file) for every damage to a file of a run; of lines, to the second or the only one."""
    text = (run.folder / name).read_text()
    if name.endswith(".json"):
        yield from ((what, encoded(value)) for what, value in damaged(json.loads(text), deep=deep))
        return
    lines = text.splitlines()
    at = min(1, len(lines) - 1)
    for what, line in damaged(json.loads(lines[at])):
        yield what, "".join(f"{each}\n" for each in (*lines[:at], encoded(line), *lines[at + 1 :]))


def fit(run: Run, name: str) -> None:
    """Makes chain, hashes and seal fit the damaged file. Raises UserError if a file cannot be read at all."""
    if not (run.folder / RESULT).exists():
        lines = [{key: value for key, value in line.items() if key != chain.PREVIOUS} for line in run.episodes()]
        (run.folder / EPISODES).unlink()
        LineLog(run.folder / EPISODES, 0, chain.origin(run.manifest)).write(lines)
    elif name == RESULT:
        result = json.loads((run.folder / RESULT).read_text())
        if "seal" in result:
            (run.folder / RESULT).write_text(encoded({**result, "seal": seal(result)}))
    elif name in (MANIFEST, EPISODES):
        rechain(run)
    else:
        reseal(run)


def validated(root: Path, out: Path) -> None:
    for violation in validate.check(root / "runs"):
        assert "\n" not in violation.what


def reported(root: Path, out: Path) -> None:
    status.table(status.standings(root / "runs"))
    build([root / "runs"], out, reps=100)


def added(root: Path, out: Path) -> None:
    try:
        adding.add(root, out)
    finally:
        shutil.rmtree(out, ignore_errors=True)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submission with one finished run."""
    root = tmp_path_factory.mktemp("sound") / "ours"
    scores = {steps: [100.0 + steps / 100, 150.5] for steps in range(0, QUICK.env_steps + 1, 2500)}
    final = [200.0 + episode for episode in range(QUICK.final_episodes)]
    make_run(root / "runs", QUICK, agent="dreamer", task=TASK, seed=0, scores=scores, final=final)
    links = {name: f"https://example.org/{name}" for name in ("paper", "code")}
    (root / "card.json").write_text(json.dumps({"name": "ours", "authors": ["A. Author"], "input": "pixels", **links}))
    return root


CASES = [(read, name, True) for read in (validated, reported, added) for name in FILES if (read, name) != (reported, SESSIONS)]
CASES += [(read, name, False) for read in (validated, reported) for name in (EPISODES, METRICS)]


@pytest.mark.parametrize(("read", "name", "ended"), CASES)
def test_a_damaged_field_is_accepted_or_refused_in_one_line(read, name, ended, sound, tmp_path, monkeypatch):
    monkeypatch.setattr(validate, "check_table", lambda table: ())  # one run is no table
    for drawn in ((blocks, "fill"), (adding.site, "check_shown")):  # figures and intervals, which take a second
        monkeypatch.setattr(*drawn, lambda *arguments: None)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    root = tmp_path / "ours"
    shutil.copytree(sound, root)
    run = root / PLACE
    if not ended:
        (run / RESULT).unlink()
    kept = {path: path.read_bytes() for path in run.iterdir()}
    read(root, tmp_path / "out")  # without damage it is accepted
    tried = 0
    for what, text in cases(Run(run), name, deep=read is not added):  # `add` validates first
        (run / name).write_text(text)
        with contextlib.suppress(UserError):
            fit(Run(run), name)
        try:
            read(root, tmp_path / "out")
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017
        except Exception as error:
            error.add_note(f"{name} with {what}")
            raise
        for path, data in kept.items():
            path.write_bytes(data)
        tried += 1
    assert tried >= len(VALUES)
