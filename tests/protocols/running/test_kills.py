"""Runs that are really killed, with SIGKILL, at random moments. The oracle is the undisturbed run."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from probe_runs import learned, records

from protocols.records.store import find_runs
from suites import atari

TESTS = Path(__file__).resolve().parents[2]


def weights(root):
    """Every number that world-model agents ended with: networks, moments, carry, and where their replay stood."""
    return {path.parts[-4]: list(numbers(torch.load(path, weights_only=True))) for path in sorted(root.rglob("agent.pt"))}


def numbers(kept):
    if isinstance(kept, dict):
        for key in sorted(kept):
            yield from numbers(kept[key])
    else:
        yield kept.tolist() if isinstance(kept, torch.Tensor) else kept


@pytest.mark.parametrize(("case", "wanted"), [("tally on a probe", 20), ("dreamer on dmc", 20), ("dreamer on atari", 4)])
def test_killed_at_random_moments_it_ends_with_the_same_lines_and_the_same_weights(tmp_path, case, wanted):
    if "atari" in case and atari.unavailable("atari_breakout") is not None:
        pytest.skip(str(atari.unavailable("atari_breakout")))
    done = subprocess.run(
        [sys.executable, str(TESTS / "kill_runs.py"), str(tmp_path), case, str(wanted), "4"],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    kills, runs, gone_on = map(int, done.stdout.split())
    assert kills >= wanted
    assert gone_on >= wanted // 4
    straight = tmp_path / "straight"
    assert len(learned(straight) | weights(straight)) == len(find_runs(straight))
    assert min(run.result()["gradient_steps"] for run in find_runs(straight)) > 10
    for killed in (tmp_path / f"killed-{number}" for number in range(1, runs + 1)):
        assert records(killed) == records(straight)
        assert learned(killed) == learned(straight)
        assert weights(killed) == weights(straight)
        assert [run.result()["score"] for run in find_runs(killed)] == [run.result()["score"] for run in find_runs(straight)]
