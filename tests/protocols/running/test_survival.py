"""Runs that are really stopped, starved of disk and damaged (killed: test_kills.py). The oracle is the undisturbed run."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces
from probe_runs import PROBE, learned, records, register, request

import dreamer_bench
from agents import catalog as agents
from agents.api import AgentContext
from agents.learning.lane import Lane
from protocols.records import machine
from protocols.records.checkpoint import generations
from protocols.records.store import find_runs
from protocols.running import list_commands, preflight
from protocols.running.commands import RunCommand
from protocols.running.launch import run_cohort
from protocols.running.stop import Stop

register()
TESTS = Path(__file__).resolve().parents[2]


def command(root, *more):
    return subprocess.Popen(
        [
            sys.executable,
            str(TESTS / "probe_runs.py"),
            "run",
            "probe@1",
            "--agents",
            "tally",
            "--runs",
            str(root),
            "--device",
            "cpu",
            "--workers",
            "0",
            "--no-film",
            *more,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_stop_it_writes_a_checkpoint_and_says_how_to_go_on(tmp_path, signum, code):
    process = command(tmp_path, "--tasks", "probe_count")
    folder = tmp_path / "probe@1" / "tally" / "probe_count" / "seed-0"
    wait_for(lambda: folder.exists() and generations(folder), process)
    process.send_signal(signum)
    out, error = process.communicate(timeout=60)
    assert process.returncode == code, (out, error)
    assert "to resume: dreamer-bench run probe@1" in error
    assert "Traceback" not in error
    again = command(tmp_path, "--tasks", "probe_count")
    assert again.communicate(timeout=60)[1] == ""
    assert again.returncode == 0
    run_cohort(request(tmp_path / "straight"))
    assert records(tmp_path / "straight" / "probe@1") == records(tmp_path / "probe@1")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_stop_before_the_start_it_says_so_and_writes_nothing(tmp_path, monkeypatch, capsys, signum, code):
    check = preflight.check
    monkeypatch.setattr(sys, "argv", ["dreamer-bench", "run", "probe@1"])
    monkeypatch.setattr(preflight, "check", lambda *given: signal.raise_signal(signum) or check(*given))
    assert RunCommand(protocol="probe@1", agents=("tally",), runs=tmp_path, device="cpu").run() == code
    assert capsys.readouterr().err == "interrupted, nothing was started; to resume: dreamer-bench run probe@1\n"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_any_other_command_works_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dreamer-bench", "list"])
    monkeypatch.setattr(list_commands.ListCommand, "run", lambda self: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(SystemExit) as left:
            dreamer_bench.main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (left.value.code, capsys.readouterr().err) == (130, "interrupted\n")


def test_a_second_process_on_one_run_is_refused(tmp_path):
    run_cohort(request(tmp_path), stop=stop_after(30))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from protocols.records.lock import locked\n"
            "with locked([Path(sys.argv[1])]): print('held', flush=True); time.sleep(60)",
            str(find_runs(tmp_path)[1].folder),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    assert [run.state() for run in find_runs(tmp_path)] == ["resumable", "running"]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"another process is working on .*seed-1"):
        run_cohort(request(tmp_path))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    holder.kill()
    holder.communicate()
    assert [run.state() for run in find_runs(tmp_path)] == ["resumable", "resumable"]  # a dead process holds nothing
    assert run_cohort(request(tmp_path)).status == "complete"


def stop_after(decisions):
    """A request to stop that comes after that many looks."""
    stop = Stop()
    looks = iter(range(decisions))
    stop.requested = lambda: next(looks, None) is None  # type: ignore[method-assign]
    return stop


@pytest.fixture
def interrupted(tmp_path):
    """A run with two good generations, stopped between two evaluations; beside it the undisturbed one."""
    run_cohort(request(tmp_path / "straight"))
    run_cohort(request(tmp_path / "runs"), stop=stop_after(130))
    run = find_runs(tmp_path / "runs")[0]
    assert len(generations(run.folder)) == 2
    return tmp_path


DAMAGES = {
    "truncated": lambda part: os.truncate(part / "agent" / "tally.json", 10),
    "changed": lambda part: (part / "loop.json").write_text((part / "loop.json").read_text().replace("1", "2", 1)),
    "missing": lambda part: (part / "open_episodes.npz").unlink(),
    "no contents": lambda part: (part / "contents.json").write_text("{"),
    "gone": shutil.rmtree,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(interrupted, damage):
    folder = find_runs(interrupted / "runs")[1].folder
    DAMAGES[damage](folder / f"checkpoint-{max(generations(folder))}")
    said = []
    run_cohort(request(interrupted / "runs"), say=said.append)
    assert records(interrupted / "runs") == records(interrupted / "straight")
    assert learned(interrupted / "runs") == learned(interrupted / "straight")
    assert len(said) == (0 if damage == "gone" else 1)


def test_without_a_good_checkpoint_it_stops_and_touches_nothing(interrupted):
    folder = find_runs(interrupted / "runs")[0].folder
    for number in generations(folder):
        (folder / f"checkpoint-{number}" / "loop.json").unlink()
    before = records(interrupted / "runs")
    with pytest.raises(ValueError, match=r"no good checkpoint is left .*loop.json is missing"):
        run_cohort(request(interrupted / "runs"))
    assert records(interrupted / "runs") == before


def test_a_first_checkpoint_that_a_kill_left_to_one_seed_is_begun_anew(tmp_path):
    run_cohort(request(tmp_path / "straight"))
    run_cohort(request(tmp_path / "runs"), stop=stop_after(60))
    first, second = (run.folder for run in find_runs(tmp_path / "runs"))
    assert generations(first) == generations(second)
    shutil.rmtree(first / f"checkpoint-{max(generations(first))}")
    for number in generations(second):
        shutil.rmtree(second / f"checkpoint-{number}")
    run_cohort(request(tmp_path / "runs"))
    assert records(tmp_path / "runs") == records(tmp_path / "straight")
    assert learned(tmp_path / "runs") == learned(tmp_path / "straight")


def test_called_again_after_a_kill_while_tidying_it_tidies(tmp_path):
    run_cohort(request(tmp_path))
    before = records(tmp_path)
    for run in find_runs(tmp_path):
        (run.folder / "replay").mkdir()
    assert run_cohort(request(tmp_path)).status == "complete"
    assert not any((run.folder / "replay").exists() for run in find_runs(tmp_path))
    assert records(tmp_path) == before


def test_episodes_cut_short_behind_a_checkpoint_stop_it(interrupted):
    path = find_runs(interrupted / "runs")[0].folder / "episodes.jsonl"
    os.truncate(path, 100)
    with pytest.raises(ValueError, match=r"no good checkpoint is left .*episodes.jsonl"):
        run_cohort(request(interrupted / "runs"))
    assert path.stat().st_size == 100


def test_a_last_line_cut_short_is_written_again(interrupted):
    path = find_runs(interrupted / "runs")[0].folder / "episodes.jsonl"
    with path.open("a") as file:
        file.write('{"env_steps": 40')
    assert len(find_runs(interrupted / "runs")[0].episodes()) == len(path.read_text().splitlines()) - 1
    run_cohort(request(interrupted / "runs"))
    assert records(interrupted / "runs") == records(interrupted / "straight")


def test_an_unreadable_replay_stops_it_with_a_line(interrupted):
    folder = find_runs(interrupted / "runs")[0].folder
    before = records(interrupted / "runs")
    os.truncate(folder / "replay" / "rows.bin", 24)
    with pytest.raises(ValueError, match=r"replay .* holds fewer than"):
        run_cohort(request(interrupted / "runs"))
    assert records(interrupted / "runs") == before


@pytest.mark.parametrize("name", ["episodes.jsonl", "replay", "lock"])
def test_what_cannot_be_read_stops_it_with_a_line(interrupted, name):
    path = find_runs(interrupted / "runs")[0].folder / name
    aside = path.with_name("aside")
    path.rename(aside)
    path.mkdir() if aside.is_file() else path.touch()  # a test that runs as root may read any file, but no folder
    with pytest.raises(ValueError, match=rf"{name} cannot be used .*the records are kept: .* run this again: again$"):
        run_cohort(request(interrupted / "runs"))
    path.rmdir() if aside.is_file() else path.unlink()
    aside.rename(path)
    run_cohort(request(interrupted / "runs"))
    assert records(interrupted / "runs") == records(interrupted / "straight")


def test_another_cohort_or_other_options_are_refused(interrupted):
    with pytest.raises(ValueError, match=r"started together with the seeds \[0, 1\], not \[0\]"):
        run_cohort(request(interrupted / "runs", seeds=(0,)))
    manifest = find_runs(interrupted / "runs")[0].folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"rate": 0.1', '"rate": 0.2'))
    with pytest.raises(ValueError, match=r"other options of tally \(rate changed since\)"):
        run_cohort(request(interrupted / "runs"))


def test_another_simulator_is_told_at_the_start_and_refused_in_the_middle(tmp_path, monkeypatch):
    protocol = replace(PROBE, simulators={"numpy": "0.1"})
    said, here = [], machine.packages()
    run_cohort(request(tmp_path, protocol=protocol), say=said.append, stop=stop_after(60))
    assert len(said) == 1
    assert f"numpy {here['numpy']}, where probe@1 names 0.1: the records are kept and marked" in said[0]
    before = records(tmp_path)
    monkeypatch.setattr(machine, "packages", lambda *more: {**here, "numpy": "0.2"})
    with pytest.raises(
        ValueError, match=rf"was started under numpy {here['numpy']}, here it is 0.2; a run must keep its simulator"
    ):
        run_cohort(request(tmp_path, protocol=protocol))
    assert records(tmp_path) == before


def test_lines_beyond_the_checkpoint_stay_until_they_are_made_again(interrupted):
    for run in find_runs(interrupted / "runs"):
        newest = max(generations(run.folder))
        shutil.rmtree(run.folder / f"checkpoint-{newest}")
    paths = [run.folder / "episodes.jsonl" for run in find_runs(interrupted / "runs")]
    before = [path.read_bytes() for path in paths]
    run_cohort(request(interrupted / "runs"), stop=stop_after(1))
    assert [path.read_bytes() for path in paths] == before
    run_cohort(request(interrupted / "runs"))
    assert all(path.read_bytes().startswith(start) for path, start in zip(paths, before, strict=True))  # to the byte


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 160 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_it_with_a_line_and_loses_nothing(tmp_path, small_disk):
    run_cohort(request(tmp_path / "straight"))
    run_cohort(request(small_disk), stop=stop_after(100))
    before = records(small_disk)
    ballast = small_disk / ".ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * 4096)
    with pytest.raises(ValueError, match=r"the disk is full .*the records are kept: make room, then run this again: again"):
        run_cohort(request(small_disk))
    after = records(small_disk)
    assert all(after[name][: len(lines)] == lines for name, lines in before.items())
    ballast.unlink()
    run_cohort(request(small_disk))
    assert records(small_disk) == records(tmp_path / "straight")


def test_a_full_disk_under_a_checkpoint_of_weights_reads_as_one(small_disk):
    space = spaces.Dict({"vector": spaces.Box(-np.inf, np.inf, (3,), np.float32)})
    agent = agents.find("dreamer").build(
        agents.find("dreamer").options("quick"),
        AgentContext(
            observation_space=space,
            action_space=spaces.Box(-1, 1, (1,), np.float32),
            seeds=(0,),
            num_envs=1,
            action_repeat=1,
            budget_env_steps=100,
        ),
    )
    with pytest.raises(OSError, match="No space left on device"):  # torch's own writer raises a RuntimeError
        agent.save([small_disk], agent.initial(1))


REPLAY_ON_A_FULL_DISK = """
import sys; from pathlib import Path; import numpy as np; from agents.learning.replay import Lane
lane = Lane(np.dtype([("image", np.uint8, (64, 64, 3))]), Path(sys.argv[1]))
try:
    for _ in range(1000):
        lane.append({"image": 1})
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_is_an_error_of_the_replay_and_not_a_crash(small_disk):
    done = subprocess.run([sys.executable, "-c", REPLAY_ON_A_FULL_DISK, str(small_disk)], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "No space left on device"), done.stderr  # not SIGBUS


@pytest.mark.parametrize("damage", [os.unlink, lambda path: os.truncate(path, 4096)])
def test_a_replay_file_that_is_gone_or_short_is_refused(tmp_path, damage):
    row = np.dtype([("image", np.uint8, (64, 64, 3))])
    lane = Lane(row, tmp_path)
    for _ in range(3):
        lane.append({"image": 1})
    lane.settle()
    damage(tmp_path / "rows-000000.bin")
    with pytest.raises(ValueError, match=r"replay .*rows-000000.bin is (damaged|missing): expected"):
        Lane(row, tmp_path).truncate(3)


def test_a_file_size_limit_reads_as_a_full_disk(tmp_path):
    script = (
        "import resource, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from probe_runs import register, request; from protocols.running.launch import run_cohort; register()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5500, 5500))\n"
        "run_cohort(request(Path(sys.argv[2])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(TESTS), str(tmp_path / "runs")], capture_output=True, text=True, timeout=60
    )
    assert done.stderr.strip().splitlines()[-1].startswith("dreamer_bench_base.UserError: the disk is full (File too large")
    run_cohort(request(tmp_path / "runs"))
    run_cohort(request(tmp_path / "straight"))
    assert records(tmp_path / "runs") == records(tmp_path / "straight")


def test_sessions_say_which_processes_worked_on_a_run(interrupted):
    run_cohort(request(interrupted / "runs"))
    for run in find_runs(interrupted / "runs"):
        assert [line["pid"] for line in run.sessions()] == [os.getpid()] * 2
        assert json.loads((run.folder / "manifest.json").read_text())["cohort"] == [0, 1]
