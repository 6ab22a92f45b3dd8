"""What keeping a run alive costs: a checkpoint, going on from it, the lines of an evaluation, and replay in mapped files.

The files of replay are DREAMER_BENCH_REPLAY_GB large (1 unless set). Files larger than memory show themselves; smaller ones
are thrown out of the system's cache before every batch ("from the disk"), so that each byte of it comes from the disk, as it
nearly would with a map far larger than memory.
"""

import mmap
import os

import numpy as np
import pytest
from probe_runs import register, request

from agents.learning.replay import Replay
from protocols.records import checkpoint
from protocols.records.json_files import append_lines
from protocols.records.store import EPISODES, find_runs
from protocols.running.grid import grid
from protocols.running.launch import run_cohort
from protocols.running.stop import Stop

pytestmark = pytest.mark.benchmark_suite

LEARNER_BYTES = 6_288_833 * 4 * 3
"""Dreamer of the paper: its parameters (docs/algorithms/dreamer.md) and Adam's two moments, in float32."""


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
    wanted = grid(
        root=tmp_path,
        protocol=PROBE,
        agents=("tally",),
        tasks=("probe_count",),
        seeds=range(500),
        overrides={},
        limit_env_steps=None,
    )
    assert benchmark(lambda: len(find_runs(tmp_path)) + len(wanted.runs())) == 1000


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    """Episodes of 501 random images; every page is written and on the disk."""
    folder = tmp_path_factory.mktemp("replay")
    kept = Replay({"image": ((64, 64, 3), np.dtype(np.uint8))}, 6, 1, folder)
    images = np.random.default_rng(0).integers(0, 256, (501, 64, 64, 3), np.uint8)
    for row in range(int(float(os.environ.get("DREAMER_BENCH_REPLAY_GB", 1)) * 1e9 / kept.row.itemsize)):
        t = row % 501
        kept.add(0, np.zeros(6), {"image": images[t]}, 0.0, t == 0, t == 500, False)
    kept.state()
    yield kept
    for path in folder.rglob("*.bin"):
        path.unlink()


@pytest.mark.parametrize("source", ["as it lies", "from the disk"])
def test_a_batch_of_the_paper_from_mapped_files(benchmark, replay, source):
    """50 sequences of 50 rows, 31 MB."""
    out = {key: np.empty((50, 50, *replay.row[key].shape), replay.row[key].base) for key in replay.keys}
    generator, read = np.random.default_rng(0), []

    def forget():
        for mapped in replay.lanes[0]._maps:
            mapped.madvise(mmap.MADV_DONTNEED)
        for path in replay.lanes[0].folder.iterdir():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        read.append(bytes_read())

    def sample():
        replay.sample(generator, out)

    benchmark.pedantic(sample, setup=forget if source == "from the disk" else None, rounds=50, warmup_rounds=2)
    if read:
        benchmark.extra_info["megabytes_read_per_batch"] = round((read[-1] - read[0]) / (len(read) - 1) / 1e6, 1)


def bytes_read():
    """What this process has had the disk read."""
    with open("/proc/self/io") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("read_bytes"))


def stop_after(decisions):
    stop = Stop()
    looks = iter(range(decisions))
    stop.requested = lambda: next(looks, None) is None  # type: ignore[method-assign]
    return stop
