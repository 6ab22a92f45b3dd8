"""A measurement in a process of its own: its answer, its errors, and a Ctrl-C at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PLAN = [sys.executable, "-m", "dreamer_bench", "plan", "small@1"]  # measures five agents, one after the other
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("line", "after_seconds"),
    [("(1 of 5 agents)", 0.0), ("(1 of 5 agents)", 0.4), ("(1 of 5 agents)", 1.2), ("(2 of 5 agents)", 0.0)],
)
def test_ctrl_c_while_a_plan_measures_ends_in_silence(line, after_seconds):
    """The whole process group gets the signal, as from a terminal; the moments lie in imports, in the start and in the work.

    The last moment is given by a line of output, not by a time: a fast machine measures an agent in under a second.
    """
    with subprocess.Popen(
        PLAN, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        told = ""
        for said in process.stdout:
            told += said
            if line in said:
                break
        time.sleep(after_seconds)
        os.killpg(process.pid, signal.SIGINT)
        told += process.stdout.read()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "leaked" not in told
