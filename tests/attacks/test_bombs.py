"""Too much, too deep, the wrong type or nothing at all, in every file that a stranger can hand over: one line, no traceback."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.leaderboard import adding, evidence, site
from analysis.report.build import build
from dreamer_bench_base import UserError
from protocols.costs.measurements import read_measured
from protocols.records import validate
from protocols.running.status import standings
from tests.attacks.submissions import RUN, honest, published

DEEP = "[" * 200_000
FILES = ("manifest.json", "episodes.jsonl", "metrics.jsonl", "result.json")
CONTENTS = {
    "deep": DEEP, "empty": "", "a list": "[]\n", "no JSON": "{\n", "NaN": '{"score": NaN}\n', "no fields": "{}\n",
    "not text": "\xff\xfe", "a huge number": '{"env_steps": 1e999, "seed": 1' + "0" * 400 + "}\n",
}  # fmt: skip


def line_of(call: Callable[[], Any]) -> str:
    """The line with which something is refused, "" where it is not; an exception of another kind fails the test."""
    try:
        call()
    except UserError as error:
        return " ".join(str(error).split())
    return ""


@pytest.mark.parametrize("what", CONTENTS)
@pytest.mark.parametrize("file", FILES)
def test_a_broken_record_is_a_line_for_every_reader(file, what, tmp_path):
    entry = honest(tmp_path / "entry")
    (entry / RUN / file).write_bytes(CONTENTS[what].encode("latin-1"))
    line_of(lambda: standings(entry / "runs"))
    line_of(lambda: build([entry / "runs"], tmp_path / "report", reps=100))
    found = line_of(lambda: validate.check(entry / "runs"))
    if file != "metrics.jsonl" or what not in ("empty", "no fields"):
        assert found or validate.check(entry / "runs")
        assert line_of(lambda: adding.add(entry, tmp_path / "kept"))


FIELDS = ("protocol", "protocol_data", "label", "task", "seed", "packages", "limit_env_steps", "hardware", "overrides")


@pytest.mark.parametrize("field", FIELDS)
def test_a_manifest_with_a_field_of_another_type_is_a_line_for_every_reader(field, tmp_path):
    entry = honest(tmp_path / "entry")
    path = entry / RUN / "manifest.json"
    manifest = json.loads(path.read_text())
    others: list[dict[str, Any]] = [{**manifest, field: value} for value in (5, None, [], {}, "x", "\x1b[31m")]
    for other in (*others, {name: value for name, value in manifest.items() if name != field}):
        path.write_text(json.dumps(other))
        line_of(lambda: standings(entry / "runs"))
        line_of(lambda: validate.check(entry / "runs"))


@pytest.mark.parametrize("content", [DEEP, "5", "", "{}", "\xff", '{"name": 1}'])
def test_a_card_that_is_none_is_a_line(content, tmp_path):
    entry = honest(tmp_path / "entry")
    (entry / "card.json").write_text(content)
    assert "card.json" in line_of(lambda: evidence.of_submission(entry))


def test_gigabytes_of_one_byte_are_not_unpacked(tmp_path):
    piece = gzip.compress(b"0" * (64 << 20), 1)
    entry = published(tmp_path / "entry", piece * 24, name="scores.csv.gz")
    assert "bytes" in line_of(lambda: evidence.of_submission(entry))


@pytest.mark.parametrize("content", [DEEP, "{}", "[]", '{"files": 5}', '{"files": [5]}', "", "\xff"])
def test_a_site_listing_that_is_none_is_no_crash(content, tmp_path):
    (tmp_path / "site.json").write_text(content)
    assert site.listed(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [DEEP, "5", "[]", '{"schema": 1, "agents": 5}', '{"schema": 1, "agents": [5]}', '{"schema": 1, "machine": 5}',
     '{"schema": 1, "environments": [{"task": 5, "action_repeat": 2, "agent_step_seconds": 1, "reset_seconds": 1}]}',
     '{"schema": 1, "environments": [{"task": "x", "action_repeat": 2, "agent_step_seconds": -1, "reset_seconds": 1}]}',
     '{"schema": 1, "environments": [{"task": "x", "action_repeat": 2, "agent_step_seconds": 1e999, "reset_seconds": 1}]}'],
)  # fmt: skip
def test_measurements_that_are_none_are_a_line(content, tmp_path: Path):
    (tmp_path / "measured.json").write_text(content)
    assert "--measured" in line_of(lambda: read_measured(tmp_path / "measured.json"))


@pytest.mark.parametrize("name", ["manifest.json", "episodes.jsonl", "result.json"])
def test_a_deleted_file_is_found_at_the_door(name, tmp_path):
    entry = honest(tmp_path / "entry")
    (entry / RUN / name).unlink()
    assert "violation" in line_of(lambda: adding.add(entry, tmp_path / "kept"))
    assert not (tmp_path / "kept").exists()
