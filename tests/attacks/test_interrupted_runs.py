"""A stranger's interrupted run, whose hashes fit what it says, and a run whose files go away while it trains: one line each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dreamer_bench_base import UserError
from protocols.records import checkpoint, validate
from protocols.records.store import find_runs
from protocols.running.launch import run_cohort
from protocols.running.load_run import revive
from protocols.running.loop_state import LOOP, OPEN_EPISODES
from protocols.running.status import standings
from protocols.running.stop import Stop
from tests.probe_runs import learned, records, register, request

register()
HUGE = 10**30


@pytest.fixture(scope="module")
def begun_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two seeds, stopped between two evaluations, with one generation of checkpoints."""
    root = tmp_path_factory.mktemp("begun") / "runs"
    run_cohort(request(root), stop=after(130))
    for run in find_runs(root):
        for number in sorted(checkpoint.generations(run.folder))[:-1]:
            shutil.rmtree(run.folder / f"checkpoint-{number}")
    return root


@pytest.fixture
def root(begun_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun_once, tmp_path / "runs"))


def after(looks: int) -> Stop:
    """A request to stop that comes after that many looks."""
    stop, left = Stop(), iter(range(looks))
    stop.requested = lambda: next(left, None) is None  # type: ignore[method-assign]
    return stop


def part_of(root: Path) -> Path:
    """The checkpoint of the first seed."""
    (part,) = find_runs(root)[0].folder.glob("checkpoint-*")
    return part


def fitted(part: Path) -> None:
    """Writes the hashes of what is there now into contents.json, as a stranger would."""
    contents = json.loads((part / checkpoint.CONTENTS).read_text())
    for name in contents["files"]:
        contents["files"][name] = checkpoint.recorded(part / name)
    for name in contents["records"]:
        contents["records"][name] = checkpoint.recorded(part.parent / name)
    (part / checkpoint.CONTENTS).write_text(json.dumps(contents))


def lines_of(root: Path) -> dict[str, str]:
    """The line with which each command refuses, "" where it does not. An exception of another kind fails the test."""
    (*_, first) = (run.folder for run in reversed(find_runs(root)))
    said = {}
    calls: dict[str, Callable[[], Any]] = {
        "status": lambda: standings(root),
        "validate": lambda: validate.check(root),
        "evaluate": lambda: revive(first).play(1),
        "run": lambda: run_cohort(request(root), stop=after(8)),
    }
    for name, call in calls.items():
        try:
            call()
            said[name] = ""
        except UserError as error:
            said[name] = " ".join(str(error).split())
    return said


def edited(path: Path, change: dict[str, Any]) -> None:
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, **change} if isinstance(change, dict) else change))


@pytest.mark.parametrize(
    "change",
    [
        {"iteration": None}, {"iteration": "9"}, {"iteration": -1}, {"iteration": HUGE}, {"iteration": 10**9},
        {"evaluations": 0},
        {"finished": [1]}, {"finished": [0, -1]}, {"finished": 5}, {"recent": []}, {"recent": [0.0, "x"]}, {"bytes": {}},
        {"bytes": {"episodes.jsonl": HUGE, "metrics.jsonl": 0}}, {"bytes": {"episodes.jsonl": 7, "metrics.jsonl": 7}},
        {"seconds": 10**400}, {"score": []}, {"seeds": None}, {"seeds": ["0", "1"]}, {"marked_env_steps": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_loop_of_other_values_is_a_line_for_run_and_no_traceback_for_the_others(change: dict[str, Any], root: Path) -> None:
    part = part_of(root)
    edited(part / LOOP, change)
    fitted(part)
    assert lines_of(root)["run"]


@pytest.mark.parametrize("content", ["", "[]", "5", "{", "[" * 100_000, '{"iteration": 1e999}', "\ud800"])
@pytest.mark.parametrize("name", [LOOP, checkpoint.CONTENTS])
def test_a_file_of_a_checkpoint_that_is_none_is_a_line(name: str, content: str, root: Path) -> None:
    part = part_of(root)
    (part / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    if name == LOOP:
        fitted(part)
    assert lines_of(root)["run"]


@pytest.mark.parametrize(
    "change",
    [
        {"files": []}, {"files": [["x", 1]]}, {"files": {"loop.json": 5}}, {"records": None},
        {"files": {"../../../../../etc/passwd": {"bytes": 1, "sha256": "0"}}}, {"files": {"x\0y": {"bytes": 1, "sha256": "0"}}},
        {"files": {"y/" * 3_000: {"bytes": 1, "sha256": "0"}}}, {"records": {"lock": {"bytes": 0, "sha256": "0"}}},
        {"records": {"episodes.jsonl": {"bytes": HUGE, "sha256": "0"}}},
        {"records": {"episodes.jsonl": {"bytes": 2**62, "sha256": "0"}}},
        {"records": {"episodes.jsonl": {"bytes": -1, "sha256": "0"}}},
        {"records": {"episodes.jsonl": {"bytes": "7", "sha256": "0"}}},
    ],
    ids=lambda change: str(change)[:60],
)  # fmt: skip
def test_contents_of_other_values_are_a_line_for_run_and_evaluate(change: dict[str, Any], root: Path) -> None:
    edited(part_of(root) / checkpoint.CONTENTS, change)
    said = lines_of(root)
    assert said["run"]
    assert said["evaluate"]


OPEN: dict[str, Callable[[Path], None]] = {
    "no archive": lambda path: path.write_bytes(b"PK\x03\x04"),
    "no lanes": lambda path: np.savez(path, other=np.zeros(3)),
    "objects": lambda path: np.savez(path, lane_0=np.array([{}]), lane_1=np.array([{}])),
    "another shape": lambda path: np.savez(path, lane_0=np.zeros((2, 9), np.float32), lane_1=np.zeros((2, 9), np.float32)),
    "another type": lambda path: np.savez(path, lane_0=np.zeros((2, 1)), lane_1=np.zeros((2, 1))),
    "a number": lambda path: np.savez(path, lane_0=np.float32(0), lane_1=np.float32(0)),
}


@pytest.mark.parametrize("what", OPEN)
def test_open_episodes_of_something_else_are_a_line(what: str, root: Path) -> None:
    part = part_of(root)
    OPEN[what](part / OPEN_EPISODES)
    fitted(part)
    assert "open_episodes.npz" in lines_of(root)["run"]


@pytest.mark.parametrize("field", ["rows", "memory", None])
def test_an_agents_file_of_something_else_is_a_line(field: str | None, root: Path) -> None:
    part = part_of(root)
    path = part / "agent" / "tally.json"
    edited(path, {field: "x"}) if field else path.write_text("[]")
    fitted(part)
    said = lines_of(root)
    assert "cannot load the checkpoint" in said["run"]


MANIFEST_FIELDS = ("cohort", "options", "overrides", "packages", "origins", "asked", "action_repeat", "hardware", "device")


@pytest.mark.parametrize("value", [5, None, {"x": 5}, [None]], ids=str)
@pytest.mark.parametrize("field", MANIFEST_FIELDS)
def test_a_manifest_of_other_values_is_no_traceback(field: str, value: Any, root: Path) -> None:
    part = part_of(root)
    edited(part.parent / "manifest.json", {field: value})
    fitted(part)
    lines_of(root)


# ---------------------------------------------------------------- files that go away


GONE: dict[str, Callable[[Path], None]] = {
    "replay": lambda folder: shutil.rmtree(folder / "replay"),
    "the folder": shutil.rmtree,
    "manifest.json": lambda folder: (folder / "manifest.json").unlink(),
    "episodes.jsonl": lambda folder: (folder / "episodes.jsonl").unlink(),
    "metrics.jsonl": lambda folder: (folder / "metrics.jsonl").unlink(),
    "sessions.jsonl": lambda folder: (folder / "sessions.jsonl").unlink(),
}


@pytest.mark.parametrize("what", GONE)
def test_what_goes_away_while_a_run_trains_ends_it_with_a_line(what: str, tmp_path: Path) -> None:
    def watch(moment: Any) -> None:
        if moment.evaluations == 2 and moment.lines:
            GONE[what](find_runs(tmp_path / "runs")[0].folder)

    with pytest.raises(UserError):
        run_cohort(request(tmp_path / "runs"), watch=watch)
    assert not list(tmp_path.rglob("result.json"))


def test_checkpoints_that_go_away_while_a_run_trains_cost_nothing(tmp_path: Path) -> None:
    def watch(moment: Any) -> None:
        if moment.evaluations == 3 and moment.lines:
            for part in (tmp_path / "runs").rglob("checkpoint-*"):
                shutil.rmtree(part)

    run_cohort(request(tmp_path / "straight"))
    run_cohort(request(tmp_path / "runs"), watch=watch)
    assert records(tmp_path / "runs") == records(tmp_path / "straight")
    assert learned(tmp_path / "runs") == learned(tmp_path / "straight")
