"""What keeping a run alive costs: a checkpoint, going on from it, and the lines of an evaluation."""

import numpy as np
import pytest
from probe_runs import register, request

from protocols import checkpoint
from protocols.grid import grid
from protocols.launch import Stop, run_cohort
from protocols.store import EPISODES, append_lines, find_runs

pytestmark = pytest.mark.benchmark_suite

LEARNER_BYTES = 6_288_833 * 4 * 3
"""Dreamer of the paper: its parameters (spec/dreamer.md) and Adam's two moments, in float32."""


@pytest.fixture
def runs(tmp_path):
    folders = [tmp_path / f"seed-{seed}" for seed in range(3)]
    for folder in folders:
        folder.mkdir()
        append_lines(folder / EPISODES, [{"score": 1.0}] * 1000)
    return folders


def write(parts):
    data = np.random.default_rng(0).bytes(LEARNER_BYTES)
    for part in parts:
        (part / "agent").mkdir()
        (part / "agent" / "agent.pt").write_bytes(data)


def save(runs):
    return checkpoint.save(runs, write, [{EPISODES: (run / EPISODES).stat().st_size} for run in runs])


def test_checkpoint_write_of_three_seeds_of_dreamer(benchmark, runs):
    benchmark.pedantic(save, args=(runs,), rounds=5, warmup_rounds=1)


def test_checkpoint_verified_for_three_seeds_of_dreamer(benchmark, runs):
    save(runs)
    assert benchmark.pedantic(checkpoint.newest, args=(runs, print), rounds=5) is not None


def test_lines_of_an_evaluation_reach_the_disk(benchmark, tmp_path):
    lines = [{"env_steps": 10_000, "score": 1.0, "episode": n} for n in range(10)]
    benchmark(append_lines, tmp_path / EPISODES, lines)


def test_a_run_goes_on_from_its_checkpoint(benchmark, tmp_path):
    """The probe protocol: opening environments, verifying, loading, playing the open episodes again, saving anew."""
    register()
    number = iter(range(1000))

    def interrupted():
        asked = request(tmp_path / str(next(number)))
        run_cohort(asked, stop=stop_after(40))
        return (asked,), {}

    benchmark.pedantic(lambda asked: run_cohort(asked, stop=stop_after(1)), setup=interrupted, rounds=10)


def test_a_grid_of_500_runs_is_looked_through(benchmark, tmp_path):
    from make_records import make_run
    from probe_runs import PROBE

    for seed in range(500):
        make_run(tmp_path, PROBE, agent="tally", task="probe_count", seed=seed, scores={0: [1.0], 800: [2.0]})
    wanted = grid(root=tmp_path, protocol=PROBE, agents=("tally",), tasks=("probe_count",), seeds=range(500), overrides={},
                  limit_env_steps=None)
    assert benchmark(lambda: len(find_runs(tmp_path)) + len(wanted.cells())) == 1000


def stop_after(decisions):
    stop = Stop()
    looks = iter(range(decisions))
    stop.requested = lambda: next(looks, None) is None      # type: ignore[method-assign]
    return stop
