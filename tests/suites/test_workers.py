"""Lanes: equal results here and in workers, faults in one line, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from suites import dmc, probes
from suites.lanes import Lanes
from suites.workers import WorkerFault


class Breaks(probes.Count):
    """A probe whose third decision goes wrong in a chosen way."""

    def __init__(self, way: str) -> None:
        super().__init__(probes.Options())
        self.way = way

    def step(self, action):
        if self.decisions == 2 and self.way == "raises":
            raise ArithmeticError("the simulator\nblew up")
        if self.decisions == 2 and self.way == "dies":
            os._exit(7)
        if self.decisions == 2 and self.way == "refuses":
            raise ValueError("no frame can be rendered")
        return super().step(action)


def everything(lanes: Lanes) -> list[np.ndarray]:
    """A course with full steps, masked steps and resets of single lanes; all that it showed."""
    shape = (lanes.count, *lanes.action_space.shape)
    generator = np.random.default_rng(0)
    shown = list(lanes.reset(range(lanes.count)).values())
    for step in range(6):
        mask = None if step % 2 == 0 else np.arange(lanes.count) % 2 == 0
        actions = generator.integers(2, size=shape) if lanes.action_space.shape == () else generator.uniform(-1, 1, shape)
        stepped = lanes.step(actions, mask)
        shown += [*stepped.observation.values(), *stepped[1:]]
        if step == 3:
            shown += lanes.reset({lanes.count - 1: 99}).values()
    return shown


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("probe_count", {"pixels": True, "action_repeat": 2}),
        ("probe_action", {"discrete": True}),
        pytest.param(
            "dmc_cartpole_balance",
            {"look": "fast"},
            marks=pytest.mark.skipif(dmc.unavailable("dmc_cartpole_balance") is not None, reason="no dm_control or no EGL"),
        ),
    ],
)
def test_workers_show_the_same_to_the_bit(task, options):
    results = []
    for workers in (0, 2) if task.startswith("dmc") else (0, 2, 9):  # a worker imports dm_control for seconds
        lanes = Lanes(task, 3, workers=workers, **options)
        results.append(everything(lanes))
        lanes.close()
        lanes.close()
    for other in results[1:]:
        for expected, value in zip(results[0], other, strict=True):
            assert expected.dtype == value.dtype
            np.testing.assert_array_equal(expected, value)


@pytest.mark.parametrize("workers", [0, 1])
def test_lanes_that_were_not_stepped_stand_still(workers):
    lanes = Lanes("probe_count", 3, workers=workers)
    lanes.reset([5, 6, 7])
    lanes.step(np.zeros((3, 1), np.float32))
    stepped = lanes.step(np.ones((3, 1), np.float32), np.array([False, True, False]))
    counted = [probes.decode({"vector": row}) for row in stepped.observation["vector"]]
    assert [(c.env_steps, c.action, c.seed) for c in counted] == [(1, 0.0, 5), (2, 1.0, 6), (1, 0.0, 7)]
    np.testing.assert_array_equal(stepped.reward, [0, 2.5, 0])
    assert not stepped.truncated.any()
    lanes.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_what_was_shown_is_never_overwritten(workers):
    lanes = Lanes("probe_count", 2, workers=workers)
    first = lanes.reset([1, 2])
    kept = first["vector"].copy()
    stepped = lanes.step(np.zeros((2, 1), np.float32))
    seen, again = stepped.observation["vector"].copy(), stepped.reward.copy()
    lanes.step(np.zeros((2, 1), np.float32))
    np.testing.assert_array_equal(first["vector"], kept)
    np.testing.assert_array_equal(stepped.observation["vector"], seen)
    np.testing.assert_array_equal(stepped.reward, again)
    lanes.close()


def test_send_and_receive_are_a_step_in_two_halves():
    lanes = Lanes("probe_count", 2, workers=2)
    lanes.reset([1, 2])
    lanes.send(np.ones((2, 1), np.float32))
    with pytest.raises(RuntimeError, match="receive is still due"):
        lanes.reset([1, 2])
    np.testing.assert_array_equal(lanes.receive().reward, [1.5, 1.5])
    with pytest.raises(RuntimeError, match="receive follows send"):
        lanes.receive()
    lanes.close()


@pytest.mark.parametrize(
    ("way", "kind", "line"),
    [
        ("raises", WorkerFault, "worker 0 of 1 .*: ArithmeticError: the simulator blew up"),
        ("dies", WorkerFault, "worker 0 of 1 .* ended with exit code 7"),
        ("refuses", ValueError, "no frame can be rendered"),
    ],
)
def test_a_fault_in_a_worker_is_one_line_and_ends_it(way, kind, line):
    lanes = Lanes(partial(Breaks, way), 2, workers=1)
    lanes.reset([1, 2])
    actions = np.zeros((2, 1), np.float32)
    lanes.step(actions)
    lanes.step(actions)
    with pytest.raises(kind, match=line) as caught:
        lanes.step(actions)
    assert "\n" not in str(caught.value)
    assert not any(process.is_alive() for process in lanes._team._processes)
    lanes.close()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"count": 0}, "at least one environment"),
        ({"count": 1, "workers": -1}, "number of processes"),
        ({"count": 1, "task": "probe_coun"}, "did you mean 'probe_count'"),
        ({"count": 1, "workers": 1, "task": "probe_coun"}, "did you mean 'probe_count'"),
        ({"count": 1, "workers": 1, "no_option": 1}, "no option 'no_option'"),
    ],
)
def test_bad_requests_are_one_line(given, line):
    with pytest.raises(ValueError, match=line) as caught:
        Lanes(given.pop("task", "probe_count"), **given)
    assert "\n" not in str(caught.value)


def test_wrong_seeds_and_shapes_are_refused():
    lanes = Lanes("probe_count", 2)
    for seeds in ([1], {2: 1}, {}, [1, 2, 3]):
        with pytest.raises(ValueError, match="reset takes one seed"):
            lanes.reset(seeds)
    lanes.reset([1, 2])
    with pytest.raises(ValueError, match="actions have the shape"):
        lanes.step(np.zeros(2, np.float32))


PARENT = """
import sys, time
import numpy as np
from suites.lanes import Lanes
if __name__ == "__main__":
    lanes = Lanes("probe_count", 4, workers=2)
    lanes.reset(range(4))
    print(*[process.pid for process in lanes._team._processes], flush=True)
    while sys.argv[1] != "leave":
        lanes.step(np.zeros((4, 1), np.float32))
        lanes.reset(range(4))
"""


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def left_after(pids: list[int], seconds: float = 20.0) -> list[int]:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return [pid for pid in pids if alive(pid)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "leave"])
def test_no_worker_outlives_its_parent(tmp_path, end):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script), end], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    if end != "leave":
        assert all(map(alive, pids))
        parent.send_signal(getattr(signal, end))
    error = parent.communicate(timeout=30)[1]
    assert left_after(pids) == []
    assert error == ""


@pytest.mark.skipif(sys.platform != "linux", reason="signals by process id")
def test_workers_leave_signals_to_the_parent():
    lanes = Lanes("probe_count", 2, workers=1)
    lanes.reset([1, 2])
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(lanes._team._processes[0].pid, number)
    assert lanes.step(np.ones((2, 1), np.float32)).reward.tolist() == [1.5, 1.5]
    lanes.close()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm")
def test_shared_memory_has_no_name_to_leave_behind():
    before = set(os.listdir("/dev/shm"))
    lanes = Lanes("probe_count", 2, workers=2, pixels=True)
    made = {name for name in set(os.listdir("/dev/shm")) - before if not name.startswith("sem.")}
    owned = {name for name in made if (Path("/dev/shm") / name).stat().st_size == lanes._team.shared_bytes}
    assert owned == set()
    lanes.close()
