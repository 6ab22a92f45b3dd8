"""Grids on a real Ray cluster of two nodes on this machine: what is killed goes on, and the records are the inline ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import probe_runs
import pytest
from probe_runs import PROBE, learned, records, register, request

from protocols.records.lock import is_locked
from protocols.records.store import find_runs
from protocols.running.launch import inline
from protocols.running.stop import Stop

ray = pytest.importorskip("ray", reason="the extra `cluster` is not installed")

register()
ROOT = Path(__file__).resolve().parents[3]
LONG = replace(PROBE, env_steps=24_000, evaluate_every_env_steps=600, num_envs=1)  # outlasts a restart on a busy machine


class Silent:
    """A display that keeps what it is told."""

    def __init__(self):
        self.lines, self.moments = [], []

    def watcher(self, index):
        return lambda moment: self.moments.append((index, moment))

    def say(self, line):
        self.lines.append(line)


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    environment = {"PYTHONPATH": f"{Path(probe_runs.__file__).parent}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    ray.init(
        address=cluster.address,
        log_to_driver=False,
        logging_level="error",
        runtime_env={"worker_process_setup_hook": "probe_runs.register", "env_vars": environment},
    )
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The same grid, trained in this process."""
    root = tmp_path_factory.mktemp("inline")
    inline(requests(root), Silent(), Stop(), None)
    return root


def requests(root, protocol=LONG, tasks=LONG.tasks):
    return [request(root, protocol=protocol, task=task) for task in tasks]


def begun(root, task):
    """The process that works on a task, once it has recorded two evaluations."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for run in find_runs(root) if root.exists() else []:
            evaluations = {line["checkpoint"] for line in run.episodes()}
            if run.manifest["task"] == task and run.state() == "running" and len(evaluations) > 1:
                return run.sessions()[-1]["pid"]
        time.sleep(0.02)
    raise AssertionError(f"{task} did not begin")


def sessions(root):
    return {run.manifest["task"]: len(run.sessions()) for run in find_runs(root)}


def test_a_grid_finishes_over_a_killed_worker_and_a_killed_node(tmp_path, cluster, undisturbed):
    from protocols.running.executors.ray_tasks import execute

    node = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    where, faults = tmp_path / "ray", []

    def disturb():
        first, second = (begun(where, task) for task in LONG.tasks)
        os.kill(first, signal.SIGKILL)
        faults.append(first)
        while sessions(where)[LONG.tasks[0]] < 2:
            time.sleep(0.05)
        cluster.remove_node(node)
        faults.append(second)

    killer = threading.Thread(target=disturb)
    killer.start()
    display = Silent()
    execute(requests(where), display, Stop(), None)
    killer.join()
    assert len(faults) == 2
    assert max(sessions(where).values()) >= 2
    assert sum(sessions(where).values()) >= 4  # two starts, one more for the worker, one more for the node
    assert {run.state() for run in find_runs(where)} == {"done"}
    assert records(where) == records(undisturbed)
    assert learned(where) == learned(undisturbed)
    assert {index for index, _ in display.moments} == {0, 1}


def test_no_more_programs_run_at_a_time_than_there_are_cores(tmp_path, cluster, monkeypatch):
    """A program asks its driver whether to stop; a Ray task that waits for an answer lends its core to the next one."""
    from protocols.running.executors import ray_tasks

    programs = [request(tmp_path, protocol=LONG, task=LONG.tasks[0], seeds=(seed,)) for seed in range(3)]
    at_once, ended = [], threading.Event()

    def look():
        while not ended.is_set():
            at_once.append(sum(is_locked(run.folder) for run in find_runs(tmp_path)) if any(tmp_path.iterdir()) else 0)
            time.sleep(0.05)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        ray_tasks.execute(programs, Silent(), Stop(), None)
    finally:
        ended.set()
        watcher.join()
    assert max(at_once) == 1  # the head has one core
    assert [run.state() for run in find_runs(tmp_path)] == ["done"] * 3


def test_a_request_to_stop_reaches_the_tasks_and_a_second_call_goes_on(tmp_path, cluster, undisturbed):
    from protocols.running.executors.ray_tasks import execute

    one = requests(tmp_path, tasks=LONG.tasks[:1])
    stop = Stop()

    def ask():
        begun(tmp_path, LONG.tasks[0])
        stop.signum = signal.SIGTERM

    asker = threading.Thread(target=ask)
    asker.start()
    execute(one, Silent(), stop, None)
    asker.join()
    assert {run.state() for run in find_runs(tmp_path)} == {"resumable"}
    execute(one, Silent(), Stop(), None)
    assert records(tmp_path).items() <= records(undisturbed).items()


def test_a_users_error_comes_back_in_one_line_after_the_others_have_ended(tmp_path, cluster):
    from protocols.running.executors.ray_tasks import execute

    short = replace(PROBE, env_steps=200, evaluate_every_env_steps=100, score_rule=PROBE.score_rule)
    good, bad = requests(tmp_path, protocol=short)
    bad = replace(bad, agent="tali")
    with pytest.raises(ValueError, match="'tali' is not known") as caught:
        execute([bad, good], Silent(), Stop(), None)
    assert "\n" not in str(caught.value)
    assert {run.state() for run in find_runs(tmp_path)} == {"done"}


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:10001", "somewhere"])
def test_an_address_without_a_cluster_is_refused_at_once(address):
    from protocols.running.executors.ray_tasks import _check_address

    with pytest.raises(ValueError, match=r"no Ray cluster answers|expects auto or host:port") as caught:
        _check_address(address)
    assert "\n" not in str(caught.value)


def test_the_command_trains_on_a_cluster_that_is_there(tmp_path, cluster):
    arguments = ["run", "probe@1", "--agents", "random", "--executor", "ray", "--address", cluster.address, "--runs", "runs"]
    command = [sys.executable, probe_runs.__file__, *arguments, "--no-film", "--workers", "0", "--cpus-per-program", "0.5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    runs = find_runs(tmp_path / "runs")
    assert [run.state() for run in runs] == ["done"] * 4
    assert len({run.sessions()[0]["pid"] for run in runs}) == 2


def test_a_task_takes_its_share_of_a_gpu_and_none_on_a_cpu(tmp_path):
    from protocols.running.executors.ray_tasks import resources

    def share(device, gpus_there):
        return resources(request(tmp_path, device=device, gpus=0.25, cpus=2.0), gpus_there=gpus_there)

    assert share("cuda", True) == share("auto", True) == {"num_cpus": 2.0, "num_gpus": 0.25}
    assert share("cpu", True) == share("auto", False) == {"num_cpus": 2.0, "num_gpus": 0.0}


def test_a_program_that_fits_on_no_node_is_told(tmp_path):
    from protocols.running.executors.ray_tasks import _no_node

    nodes = [{"CPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}]
    assert _no_node([request(tmp_path, device="cuda", gpus=0.5, cpus=8.0)], nodes) is None
    assert "no node has 16 CPUs and 0 GPUs" in _no_node([request(tmp_path, cpus=16.0)], nodes)
    assert "(--device cuda)" in _no_node([request(tmp_path, device="cuda")], nodes[:1])
