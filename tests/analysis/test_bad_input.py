"""Bad input, item by item, through every command that reads scores: one line with file, line and cure, and no output left."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.commands import AggregateCommand, ExportCommand, ImportCommand, VerifyCommand
from analysis.figures.commands import FigureCommand
from analysis.report.commands import ReportCommand
from protocols import catalog
from protocols.records.store import Run
from protocols.spec import Protocol
from tests.analysis.scores.test_table import TASK, curve, record, write_csv
from tests.make_records import make_run, rechain

Rows = list[tuple[object, ...]]
WITH_PROTOCOL = "method,task,seed,env_step,score,protocol"


def under(protocol: str, rows: Rows) -> Rows:
    return [(*row, protocol) for row in rows]


def wrong_format(folder: Path) -> list[Path]:
    path = folder / "bad.csv"
    path.write_text("step loss\n1 2\n")
    return [path]


def mixed_units(folder: Path) -> list[Path]:
    rows = [(*row, "frames" if number < 3 else "agent_steps") for number, row in enumerate(curve())]
    return [write_csv(folder / "bad.csv", rows, "method,task,seed,step,score,unit")]


def agent_steps_beside_env_steps(folder: Path) -> list[Path]:
    good = write_csv(folder / "good.csv", curve("a"))
    return [good, write_csv(folder / "bad.csv", curve("b"), "method,task,seed,agent_step,score")]


def two_protocols(folder: Path) -> list[Path]:
    rows = [*under("dmc-1m@1", curve()), *under("dmc-5m@1", curve(task="hopper_hop"))]
    return [write_csv(folder / "bad.csv", rows, WITH_PROTOCOL)]


def unknown_task(folder: Path) -> list[Path]:
    return [write_csv(folder / "bad.csv", [*curve(end=20), *curve(task="walker_wlak")])]


def truncated_gzip(folder: Path) -> list[Path]:
    text = write_csv(folder / "whole.csv", curve()).read_bytes()
    path = folder / "bad.csv.gz"
    path.write_bytes(gzip.compress(text)[:-6])  # all of the text and a part of its checksum: the line is the one after it
    return [path]


def single_seed(folder: Path) -> list[Path]:
    return [write_csv(folder / "bad.csv", [*curve("many", end=20), *curve("one", seeds=1)])]


FILES: dict[Callable[[Path], list[Path]], str] = {
    wrong_format: r"bad.csv:1: is not a known score file",
    mixed_units: r"bad.csv:5: mixes the units agent_steps and frames",
    agent_steps_beside_env_steps: r"bad.csv:2: the steps are agent steps",
    two_protocols: r"bad.csv:22: method 'theirs' is filed under dmc-5m@1, but under dmc-1m@1 at .*bad.csv:2",
    unknown_task: r"bad.csv:6: task 'walker_wlak' is not known; did you mean 'dmc_walker_walk'",
    truncated_gzip: r"bad.csv.gz:22: the gzip stream is cut short",
    single_seed: r"bad.csv:[67]: one has a single seed on dmc_walker_walk",  # its first point, or the one that is its score
}


def spoil(folder: Path, name: str, change: Callable[[str], str | bytes]) -> list[Path]:
    """A runs folder in which one file of dreamer's seed 1 is not as it was."""
    path = record(folder / "runs") / f"quick@1/dreamer/{TASK}/seed-1/{name}"
    changed = change(path.read_text())
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    return [folder / "runs"]


def wrong_format_of_a_record(folder: Path) -> list[Path]:
    return spoil(folder, "manifest.json", lambda text: text[:100])


def damaged_line(folder: Path) -> list[Path]:
    return spoil(folder, "episodes.jsonl", lambda text: text.replace('{"env_steps"', "{env_steps", 3))


def record_cut_short(folder: Path) -> list[Path]:
    return spoil(folder, "episodes.jsonl", lambda text: "".join(text.splitlines(keepends=True)[:4]))


def record_compressed(folder: Path) -> list[Path]:
    return spoil(folder, "episodes.jsonl", lambda text: gzip.compress(text.encode())[:60])


def damaged_result(folder: Path) -> list[Path]:
    return spoil(folder, "result.json", lambda text: text[:20])


def unknown_task_of_a_record(folder: Path) -> list[Path]:
    return spoil(folder, "manifest.json", lambda text: text.replace(f'"task": "{TASK}"', '"task": "dmc_walker_wlak"'))


def two_definitions(folder: Path) -> list[Path]:
    [root] = spoil(folder, "manifest.json", lambda text: re.sub(r'"digest": "\w+"', '"digest": "00"', text))
    rechain(Run(root / f"quick@1/dreamer/{TASK}/seed-1"))
    return [root]


def single_seed_of_a_record(folder: Path) -> list[Path]:
    return [record(folder / "runs", seeds=1)]


FOLDERS: dict[Callable[[Path], list[Path]], str] = {
    wrong_format_of_a_record: r"seed-1/manifest.json is damaged",
    damaged_line: r"seed-1/episodes.jsonl line 1 is damaged",
    record_cut_short: r"seed-1/episodes.jsonl:5: the file ends here, but the run had 8 episodes",
    record_compressed: r"seed-1/episodes.jsonl",
    damaged_result: r"seed-1/result.json is damaged",
    unknown_task_of_a_record: r"seed-1/manifest.json: task 'dmc_walker_wlak' is not in quick@1",
    two_definitions: r"quick@1/dreamer/\S+ and \S+ hold two protocols under the name quick@1",
    single_seed_of_a_record: rf"seed-0/episodes.jsonl:[17]: dreamer has a single seed on {TASK}",
}

COMMANDS: dict[str, Callable[[list[Path], Path], Any]] = {
    "aggregate": lambda paths, out: AggregateCommand(scores=tuple(paths), reps=100),
    "efficiency": lambda paths, out: FigureCommand(name="efficiency", scores=tuple(paths), out=out / "figures", reps=100),
    "aggregates": lambda paths, out: FigureCommand(name="aggregates", scores=tuple(paths), out=out / "figures", reps=100),
    "export": lambda paths, out: ExportCommand(format="tidy", scores=tuple(paths), out=out / "scores.csv"),
    "import": lambda paths, out: ImportCommand(format="auto", files=tuple(paths), out=out / "scores.csv"),
    "report": lambda paths, out: ReportCommand(scores=tuple(paths), out=out / "report", reps=100),
}
SINGLE = (single_seed, single_seed_of_a_record)
INTERVALS = ("aggregate", "efficiency", "aggregates")
"""Commands that cannot do without an interval; the others pass a single seed on, or show it without one."""


CASES = [
    pytest.param(bad, command, id=f"{bad.__name__}-{command}")
    for bad in (*FILES, *FOLDERS)
    for command in COMMANDS
    if not (command == "import" and bad in FOLDERS) and (bad not in SINGLE or command in INTERVALS)
]


@pytest.mark.parametrize(("bad", "command"), CASES)
def test_bad_input_is_one_line_with_file_line_and_cure(
    bad: Callable[[Path], list[Path]], command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, out = bad(tmp_path), tmp_path / "out"
    out.mkdir()
    with pytest.raises(ValueError, match={**FILES, **FOLDERS}[bad]) as error:
        COMMANDS[command](paths, out).run()
    assert getattr(error.value, "exit_code", 2) == 4
    assert "\n" not in str(error.value)
    assert ";" in str(error.value)  # the cure
    assert list(out.rglob("*")) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("bad", [*FILES, *FOLDERS], ids=lambda bad: bad.__name__)
def test_verify_calls_it_invalid_in_one_line_and_writes_that_down(
    bad: Callable[[Path], list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    says = {**FILES, **FOLDERS}[bad]
    if bad in SINGLE:
        says = rf"{says.split(':')[0]}:\d+: {TASK if bad in FOLDERS else 'dmc_walker_walk'} has 1 seed; at least 3 are needed"
    paths, out = bad(tmp_path), tmp_path / "out"
    out.mkdir()
    reference = write_csv(tmp_path / "reference.csv", curve(seeds=5))
    method = "dreamer" if bad in FOLDERS else "one" if bad is single_seed else None
    at = {"at": 100} if bad in FILES else {}
    if bad is single_seed_of_a_record:
        reference = record(tmp_path / "reference", seeds=4, agents=("planet",))
    command = VerifyCommand(scores=tuple(paths), reference=str(reference), method=method, json=out / "verdict.json", **at)
    assert command.run() == 4
    printed = capsys.readouterr().out
    assert re.search(f"INVALID: .*{says}", printed), printed
    assert printed.count("\n") == 1
    assert json.loads((out / "verdict.json").read_text())["status"] == "invalid"
    assert [path.name for path in out.iterdir()] == ["verdict.json"]


def test_runs_of_several_protocols_do_not_share_a_figure(tmp_path: Path) -> None:
    runs = record(tmp_path / "runs", seeds=2)
    other: Protocol = catalog.find("dmc-1m@1")
    make_run(runs, other, agent="dreamer", task=other.tasks[0], seed=0, scores={0: [1.0]}, status=None)
    with pytest.raises(ValueError, match=r"several protocols \(dmc-1m@1, quick@1\).*; choose one with --protocol"):
        FigureCommand(name="curves", scores=(runs,), out=tmp_path / "figures").run()
    assert not (tmp_path / "figures").exists()
