"""A process started without standard output or error (`>&-`, `2>&-`, some supervisors) answers like any other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CLOSED = (">&-", "2>&-", "<&- >&- 2>&-")


def call(closed: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dreamer_bench", *map(str, arguments)]
    return subprocess.run(
        ["bash", "-c", f'"$0" "$@" {closed}', *command],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def result_of(folder: Path) -> dict[str, object]:
    (path,) = folder.rglob("result.json")
    result = json.loads(path.read_text())
    return {name: result[name] for name in ("status", "score", "env_steps")}


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("list", "protocols"), 0),
        (("nonsense",), 2),
        (("status", "/nowhere"), 2),
    ],
)
def test_a_command_keeps_its_exit_code_without_a_traceback(closed: str, arguments: tuple[str, ...], code: int) -> None:
    done = call(closed, *arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stdout + done.stderr
    if code == 2 and closed == ">&-":  # the error still has where to go
        assert "nonsense" in done.stderr or "error: " in done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("list", "nonsense"), ("list", "protocols")])
def test_a_reader_that_leaves_early_gets_no_traceback(arguments: tuple[str, ...]) -> None:
    done = call("| true", *arguments)
    assert "Traceback" not in done.stderr


def test_training_ends_with_the_records_that_it_has_with_open_streams(tmp_path: Path) -> None:
    asked = ("small@1", "--agents", "random", "--tasks", "gym:Pendulum-v1", "--seeds", "0", "--limit", "400", "--device", "cpu")
    assert call("", "run", *asked, "--runs", tmp_path / "open").returncode == 0
    expected = result_of(tmp_path / "open")
    for index, closed in enumerate(CLOSED):
        runs = tmp_path / str(index)
        done = call(closed, "run", *asked, "--runs", runs)
        assert done.returncode == 0, done.stderr
        assert result_of(runs) == expected
        lines = [line for path in runs.rglob("*.jsonl") for line in path.read_text().splitlines()]
        assert all(isinstance(json.loads(line), dict) for line in lines)  # nothing that was printed went into a record
    for closed in CLOSED[:1]:
        assert call(closed, "validate", runs).returncode == 4  # cut runs are no grid
        assert call(closed, "status", runs).returncode == 0
