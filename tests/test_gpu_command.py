"""`make gpu` where no GPU is: a line that says so, and an exit code that is not 0."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_it_says_so_in_a_line_and_fails():
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu"], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout.startswith("no GPU here")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
