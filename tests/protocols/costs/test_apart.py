"""A measurement in a process of its own: its answer, its errors, and a Ctrl-C at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PLAN = [sys.executable, "-m", "dreamer_bench", "plan", "small@1", "--agents", "dreamer", "random"]
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("after_seconds", [0.0, 0.4, 1.2, 2.5])
def test_ctrl_c_while_a_plan_measures_ends_in_silence(after_seconds):
    """The whole process group gets the signal, as from a terminal; the moments lie in imports, in the start and in the work."""
    with subprocess.Popen(
        PLAN, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        told = ""
        for line in process.stdout:
            told += line
            if "decisions and updates" in line:
                break
        time.sleep(after_seconds)
        os.killpg(process.pid, signal.SIGINT)
        told += process.stdout.read()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "leaked" not in told
