"""The records that the repository ships: sealed, clean, and still good by the rules of this version."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.leaderboard.submissions import read_leaderboard
from protocols import catalog
from protocols.records.store import Run, find_runs
from protocols.spec import digest

RESULTS = Path(__file__).parents[1] / "results"
MOST_BYTES = 8 * 2**20


def shipped() -> list[Run]:
    return [run for folder in sorted(RESULTS.glob("*/*/runs")) for run in find_runs(folder)]


def test_every_submission_is_as_it_was_sealed_and_passes_the_rules():
    submissions, left_out = read_leaderboard(RESULTS / "leaderboard")
    assert left_out == {}
    assert {submission.input for submission in submissions} == {"state"}


def test_every_shipped_record_is_of_a_clean_commit_and_of_a_protocol_as_it_is_today():
    assert len(shipped()) >= 30
    for run in shipped():
        manifest = run.manifest
        assert (manifest["dirty"], run.state()) == (False, "done"), run.folder
        assert manifest["digest"] == digest(catalog.find(manifest["protocol"])), run.folder
        assert manifest["limit_env_steps"] is None, run.folder


def test_records_are_text_and_small():
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".jsonl", ".md"}
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


@pytest.mark.parametrize("text", ["/work/", "/home/", "/tmp/"])
def test_no_record_holds_a_path_of_the_machine_it_was_made_on(text):
    assert [run.folder for run in shipped() if text in (run.folder / "manifest.json").read_text()] == []
