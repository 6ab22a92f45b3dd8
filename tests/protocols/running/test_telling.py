"""Telling about the work never ends the work: a reader that went away, a full disk under the log."""

import subprocess
import sys
from pathlib import Path

import pytest

from protocols.records.store import find_runs

TESTS = Path(__file__).parents[2]


@pytest.mark.parametrize("where", ["| head -1", "> /dev/full", "| head -c 1"])
def test_a_run_whose_lines_nobody_can_read_is_trained_to_its_end(tmp_path, where):
    program = f"{sys.executable} {TESTS / 'probe_runs.py'} run probe@1 --agents tally --tasks probe_count"
    options = f"--runs {tmp_path / 'runs'} --device cpu --workers 0 --no-film"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {program} {options} {where}"], capture_output=True, text=True)
    assert [run.state() for run in find_runs(tmp_path / "runs")] == ["done", "done"], done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
