"""The records that the repository ships: sealed, clean, and still good by the rules of this version."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from pathlib import Path

import pytest

from analysis.leaderboard.submissions import read_leaderboard
from protocols import catalog
from protocols.records.store import Run, find_runs
from protocols.spec import digest

RESULTS = Path(__file__).parents[1] / "results"
MOST_BYTES = 13 * 2**20
PUBLISHED = Path(__file__).parents[2] / "shared" / "reference"
SUITE = "dmc_vision_1m_dreamerv3_suite.csv.gz"
IMPORTED = [
    ("curl", SUITE, "curl"),
    ("dreamerv2-published", "dmc_vision_dreamerv2.csv.gz", "dreamer_v2"),
    ("dreamerv3", SUITE, "dreamer_v3"),
    ("drq-v2", SUITE, "drq_v2"),
    ("sac-from-pixels", SUITE, "sac_pixels"),
]


def shipped() -> list[Run]:
    return [run for folder in sorted(RESULTS.glob("*/*/runs")) for run in find_runs(folder)]


def test_every_submission_is_as_it_was_sealed_and_passes_the_rules():
    submissions, left_out = read_leaderboard(RESULTS / "leaderboard")
    assert left_out == {}
    ours = [submission for submission in submissions if submission.imported is None]
    assert {submission.input_of("small@1") for submission in ours} == {"state"}
    whole = {
        run.manifest["label"] for submission in ours for run in submission.runs if run.manifest["protocol"] == "dmc-small@1"
    }
    assert whole == {"dreamer", "dreamer_v2", "no_value", "planet", "random", "sac", "world_models"}


def test_every_shipped_record_is_of_a_clean_commit_and_of_a_protocol_as_it_is_today():
    assert len(shipped()) >= 30
    for run in shipped():
        manifest = run.manifest
        assert (manifest["dirty"], run.state()) == (False, "done"), run.folder
        assert manifest["digest"] == digest(catalog.find(manifest["protocol"])), run.folder
        assert manifest["limit_env_steps"] is None, run.folder


@pytest.mark.parametrize(("entry", "file", "method"), IMPORTED)
def test_an_imported_entry_has_the_published_score_of_every_run(entry, file, method):
    """The protocol's score by hand: the mean of a run's points in the last 100,000 of 1,000,000 env_steps."""
    if not PUBLISHED.is_dir():
        pytest.skip("needs the published scores in ../shared/reference")

    def scores(text):
        rows = csv.DictReader(text)
        inside = [row for row in rows if row["method"] == method and 900_000 < int(row["env_step"]) <= 1_000_000]
        runs = defaultdict(list)
        for row in inside:
            if row["score"]:
                runs["dmc_" + row["task"].removeprefix("dmc_").replace("ball_in_cup", "cup"), row["seed"]].append(
                    float(row["score"])
                )
        return {run: sum(points) / len(points) for run, points in runs.items()}

    with gzip.open(PUBLISHED / file, "rt") as published:
        expected = scores(published)
    with (RESULTS / "leaderboard" / entry / "scores" / "scores.csv").open() as shipped:
        found = scores(shipped)
    assert found.keys() == expected.keys()
    assert len({task for task, _ in found}) == 20
    assert found == pytest.approx(expected, abs=1e-6)


def test_records_are_text_and_small():
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".jsonl", ".md", ".csv"}
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


@pytest.mark.parametrize("text", ["/work/", "/home/", "/tmp/"])
def test_no_record_holds_a_path_of_the_machine_it_was_made_on(text):
    assert [run.folder for run in shipped() if text in (run.folder / "manifest.json").read_text()] == []
