"""A line about bad input names only options that help: those of the command that was called, or `import` with its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from analysis.commands import AggregateCommand, ExportCommand, ImportCommand, VerifyCommand
from dreamer_bench_base import UserError
from tests.analysis.scores.test_table import curve, write_csv

OPTION = re.compile(r"(?<!-)--([a-z][a-z-]+)")
IMPORT = re.compile(r"`import [^`]*`")


def whole(folder: Path, name: str = "whole.csv", method: str = "r", **options: int) -> Path:
    return write_csv(folder / name, curve(method, seeds=5, **options))


def final_scores(folder: Path) -> Path:
    path = folder / "scores.json"
    path.write_text(json.dumps({"pong": [1, 2, 3]}))
    return path


def log(folder: Path) -> Path:
    path = folder / "log.csv"
    path.write_text("step,return\n1,2\n")
    return path


def games(folder: Path) -> Path:
    return write_csv(folder / "games.csv", [("m", task, seed, 10, 5) for task in ("air_raid", "pong") for seed in range(3)])


def of_a_protocol(folder: Path) -> Path:
    return write_csv(folder / "of.csv", [(*row, "dmc-1m@1") for row in curve()], "method,task,seed,env_step,score,protocol")


CASES: dict[str, Callable[[Path], object]] = {
    "aggregate final scores": lambda folder: AggregateCommand(scores=(final_scores(folder),)),
    "aggregate a log": lambda folder: AggregateCommand(scores=(log(folder),)),
    "export a log": lambda folder: ExportCommand(format="tidy", scores=(log(folder),), out=folder / "x"),
    "export games without constants": lambda folder: ExportCommand(
        format="rliable", scores=(games(folder),), out=folder / "x", normalize="atari-human"
    ),
    "export another protocol": lambda folder: ExportCommand(
        format="tidy", scores=(of_a_protocol(folder),), out=folder / "x", protocol="dmc-5m@1"
    ),
    "verify against a short reference": lambda folder: VerifyCommand(
        scores=(whole(folder),), reference=str(whole(folder, "short.csv", "s", end=50)), json=folder / "v.json"
    ),
    "verify scores of no training": lambda folder: VerifyCommand(
        scores=(write_csv(folder / "zero.csv", [("m", "walker_walk", seed, 0, 5) for seed in range(3)]),),
        reference=str(whole(folder)),
        json=folder / "v.json",
    ),
    "verify final scores": lambda folder: VerifyCommand(
        scores=(final_scores(folder),), reference=str(whole(folder)), json=folder / "v.json"
    ),
    "aggregate without a common task": lambda folder: AggregateCommand(
        scores=(games(folder), whole(folder)), common=True, normalize="none"
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_cure_names_only_options_that_its_command_has(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = CASES[case](tmp_path)
    try:
        assert command.run() == 4  # type: ignore[attr-defined]
        line = capsys.readouterr().out
    except UserError as error:
        line = str(error)
    assert ";" in line
    own = {field.name.replace("_", "-") for field in fields(command)}  # type: ignore[arg-type]
    assert set(OPTION.findall(IMPORT.sub("", line))) <= own, line
    importing = {field.name.replace("_", "-") for field in fields(ImportCommand)}
    assert {option for part in IMPORT.findall(line) for option in OPTION.findall(part)} <= importing, line


def test_danijars_format_says_that_it_has_no_final_evaluations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, out = "method,task,seed,env_step,score,final", tmp_path / "x.json"
    last = [("m", "walker_walk", seed, 100, 7, "true") for seed in range(2)]
    alone = write_csv(tmp_path / "alone.csv", last, header)
    with pytest.raises(UserError, match="the scores have final evaluations only; choose tidy or marl-eval"):
        ExportCommand(format="danijar", scores=(alone,), out=out).run()
    assert not out.exists()
    ExportCommand(
        format="danijar", scores=(write_csv(tmp_path / "both.csv", [*((*r, "") for r in curve("m")), *last], header),), out=out
    ).run()
    printed = capsys.readouterr()
    assert "20 points" in printed.out
    assert printed.err == "note: 2 points of final evaluations left out: danijar holds curves\n"
    with pytest.raises(UserError, match="all points are of final evaluations; leave the column 'final' out"):
        AggregateCommand(scores=(alone,)).run()


def test_a_method_that_a_shipped_reference_lacks_is_wrong_use(tmp_path: Path) -> None:
    for name in ("dreamer-2020-appendix-g", "dreamer-2021-table-k1"):
        command = VerifyCommand(scores=(whole(tmp_path),), reference=name, reference_method="X", json=tmp_path / "v.json")
        with pytest.raises(UserError, match=f"{name} has no method 'X'") as error:
            command.run()
        assert error.value.exit_code == 2


def test_export_writes_the_tasks_and_methods_that_are_asked_for(tmp_path: Path) -> None:
    both = write_csv(
        tmp_path / "both.csv", [row for task in ("cup_catch", "walker_walk") for m in "ab" for row in curve(m, task=task)]
    )
    out = tmp_path / "out.csv"
    ExportCommand(format="tidy", scores=(both,), out=out, methods=("a",), tasks=("dmc_w*",)).run()
    assert {tuple(line.split(",")[:2]) for line in out.read_text().splitlines()[1:]} == {("a", "dmc_walker_walk")}
