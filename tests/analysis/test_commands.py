"""`aggregate`, `import` and `export` as a user calls them; `verify` has a file of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.commands import COMMANDS, AggregateCommand
from analysis.figures.commands import FigureCommand
from analysis.report.commands import ReportCommand
from analysis.scores import normalize, per_run, table
from analysis.statistics import aggregate
from dreamer_bench_base import UserError
from tests.analysis.scores.test_table import END, TASK, curve, record, write_csv


def call(*paths: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[dict[str, Any], str]:
    """What `aggregate --json` prints, and the remarks on standard error."""
    assert AggregateCommand(scores=paths, json=True, **options).run() == 0
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dreamer_bench", *map(str, arguments)], capture_output=True, text=True)


def test_json_holds_the_estimates_of_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(
        tmp_path / "scores.csv", [*curve("a", seeds=4), *curve("b", task="cup_catch", seeds=4), *curve("b", seeds=4)]
    )
    found, _ = call(path, capsys=capsys, metrics=("mean",), methods=("a",), reps=500)
    scores = normalize.normalize(per_run.select(table.read([path])).scores.query("method == 'a'"), "dmc")
    assert found["normalization"] == "dmc@1"
    assert found["estimates"] == [vars(each) for each in aggregate.estimates(scores, metrics=["mean"], reps=500)]
    assert "4 seeds per task" in found["notes"][-1]


def test_everything_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "scores.csv", [*curve("a", seeds=4), *curve("b", seeds=3)])
    options: dict[str, Any] = {"improvement": True, "profiles": True, "efficiency": True, "reps": 200}
    found, _ = call(path, capsys=capsys, **options)
    assert [each["method"] for each in found["estimates"]] == ["a"] * 4 + ["b"] * 4 + ["P(a > b)"]
    assert {row["method"] for row in found["profiles"]} == {row["method"] for row in found["efficiency"]} == {"a", "b"}
    assert AggregateCommand(scores=(path,), **options).run() == 0
    printed = capsys.readouterr().out
    assert "P(a > b)" in printed
    assert "efficiency" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ("a",), "improvement": True}, "--improvement compares methods in pairs, and there is only 'a'"),
        ({"reps": 99_999_999_999}, "99,999,999,999 resamples take too long; give at most 1,000,000"),
        ({"reps": 99}, "99 resamples give no 95% interval"),
        ({"at": 0}, "--at"),
        ({"protocol": "nope@1"}, "'nope@1' is not known"),
    ],
)
def test_an_option_that_would_do_nothing_or_run_for_ever_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    path = write_csv(tmp_path / "scores.csv", [*curve("a", seeds=3), *curve("b", seeds=3)])
    with pytest.raises(UserError, match=message):
        AggregateCommand(scores=(path,), **{"reps": 200, **options}).run()
    assert capsys.readouterr().out == ""


def test_runs_left_out_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*curve(seeds=3), *[("theirs", "walker_walk", 3, x, 7) for x in (10, 20)]]
    found, _ = call(write_csv(tmp_path / "scores.csv", rows), capsys=capsys, at=100, short="drop", reps=200)
    assert found["notes"][0] == "theirs, dmc_walker_walk, seed 3 left out: it stops at 20"


def test_holes_are_refused_unless_the_common_tasks_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "scores.csv", [*curve("a"), *curve("a", task="cup_catch"), *curve("b")])
    with pytest.raises(table.InvalidData, match=r"b has no score on dmc_cup_catch .* \(--common\)"):
        AggregateCommand(scores=(path,)).run()
    assert capsys.readouterr().out == ""
    assert call(path, capsys=capsys, common=True, reps=200)[0]["tasks"] == ["dmc_walker_walk"]


def test_runs_folders_and_files_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "scores.csv", curve(task=TASK.removeprefix("dmc_"), seeds=3, end=END, step=1_000))
    found, _ = call(record(tmp_path / "runs"), path, capsys=capsys, at=END, window=1_000, metrics=("iqm",), reps=200)
    assert [each["method"] for each in found["estimates"]] == ["dreamer", "random", "theirs"]


def test_exit_codes_and_single_lines_of_the_program(tmp_path: Path) -> None:
    good = write_csv(tmp_path / "good.csv", curve(seeds=3))
    bad = write_csv(tmp_path / "bad.csv", [("m", "pong", 0, 10, "high")])
    out = tmp_path / "out.csv.gz"
    done = program("import", "auto", good, "--out", out)
    assert (done.returncode, len(pd.read_csv(out))) == (0, 30)
    for arguments, code in (
        (("import", "auto", bad, "--out", tmp_path / "none.csv"), 4),
        (("aggregate", tmp_path / "nowhere"), 2),
    ):
        failed = program(*arguments)
        assert (failed.returncode, failed.stdout) == (code, "")
        assert len(failed.stderr.strip().splitlines()) == 1
        assert failed.stderr.startswith("error: ")
    assert not (tmp_path / "none.csv").exists()


def test_every_command_says_what_it_does_and_what_each_option_means() -> None:
    for name in ("import", "export", "aggregate", "verify"):
        assert COMMANDS[name].__doc__
    code = "import sys, analysis.commands; print([m for m in ('numpy', 'pandas', 'scipy', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_command_that_reads_records_reads_the_folder_runs_unless_told_otherwise():
    kinds = [*COMMANDS.values(), FigureCommand, ReportCommand]
    defaults = {kind.__name__: field.default for kind in kinds for field in fields(kind) if field.name == "scores"}
    assert len(defaults) == 5
    assert set(defaults.values()) == {(Path("runs"),)}, defaults
