"""The border: what `run` and `status` say, and that refusals come before anything is written."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from make_records import make_run
from probe_runs import PROBE, register

import dreamer_bench
from protocols.records import code_identity
from protocols.records.lock import locked
from protocols.records.store import find_runs
from protocols.running import preflight
from protocols.spec import digest
from protocols.studies import Row, Study

register()
TESTS = Path(__file__).resolve().parents[2]
SCORES = {0: [1.0], 400: [3.0], 800: [2.0]}


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Calls the command line in this process: exit code, output, errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dreamer-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            dreamer_bench.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    monkeypatch.chdir(tmp_path)
    return run


def run_probe(*more):
    return ("run", "probe@1", "--agents", "tally", "--tasks", "probe_count", "--device", "cpu", "--workers", 0, *more)


def test_run_trains_shows_a_table_and_is_done_at_once_when_called_again(call, tmp_path):
    code, out, error = call(*run_probe())
    assert (code, error) == (0, "")
    assert out.count("env_steps") == 5  # a line an evaluation, no more
    scores = [run.result()["score"] for run in find_runs(tmp_path / "runs")]
    table = out.splitlines()[-1]
    assert f"0: {scores[0]:.1f}, 1: {scores[1]:.1f}" in table
    assert f" {sum(scores) / 2:.1f} " in table
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    code, out, error = call(*run_probe())
    assert (code, error) == (0, "")
    assert out.startswith("all 2 runs are complete in runs")
    assert out.splitlines()[-1] == table
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")} == before


def test_the_manifest_says_what_was_run_on_what(call, tmp_path):
    call(*run_probe("--set", "rate=0.2", "--limit", 400))
    run = find_runs(tmp_path / "runs")[0]
    manifest = run.manifest
    assert run.folder.parts[-3] == manifest["label"]
    assert manifest["label"].startswith("tally+")
    assert manifest["label"].endswith("~400")
    assert (manifest["protocol"], manifest["digest"], manifest["cohort"]) == ("probe@1", digest(PROBE), [0, 1])
    assert (manifest["overrides"], manifest["options"]["rate"], manifest["limit_env_steps"]) == ({"rate": 0.2}, 0.2, 400)
    assert manifest["command"].startswith("dreamer-bench run probe@1 --agents tally")
    assert manifest["packages"]["numpy"]
    assert manifest["hardware"]["cores"] >= 1
    assert manifest["hardware"]["memory_bytes"] > 2**28
    assert manifest["schema"] == 2
    assert json.loads(json.dumps(manifest["protocol_data"]))["tasks"] == list(PROBE.tasks)
    assert run.result()["env_steps"] == 400


def test_a_comparison_runs_its_rows_under_their_own_names(call, tmp_path, monkeypatch):
    rows = (
        Row(name="slow", agent="tally", protocol="probe@1", overrides={"rate": 0.01}),
        Row(name="plain", agent="tally", protocol="probe@1"),
    )
    figure = Study(name="figure-0", title="", source="", choices=(), tasks=("probe_count",), rows=rows)
    monkeypatch.setattr("protocols.studies.BUILT_IN", (figure,))
    code, out, error = call("run", "figure-0", "--seeds", 0, "--device", "cpu", "--workers", 0)
    assert (code, error) == (0, "")
    assert sorted(run.manifest["label"] for run in find_runs(tmp_path / "runs")) == sorted(row.label for row in rows)
    told = [line for line in out.splitlines() if not line.endswith("starting")]  # a slow machine says that, too
    assert len(told) == 13  # five evaluations each, and the table
    assert call("run", "figure-0", "--seeds", 0)[1].startswith("all 2 runs are complete")
    assert "figure-0 has no row of agent 'random'; it has tally" in call("run", "figure-0", "--agents", "random")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "prob@1"), "protocol 'prob@1' is not known"),
        (run_probe("--agents", "tolly"), "agent 'tolly' is not known"),
        (run_probe("--tasks", "probe_cuont"), "did you mean 'probe_count'?"),
        (run_probe("--seeds", 3, 3), "seed 3 is given twice"),
        (run_probe("--set", "rat=1"), "did you mean 'rate'?"),
        (run_probe("--set", "rate=fast"), "expects a number, got 'fast'"),
        (run_probe("--limit", 900), "--limit must be below the 800 env_steps of probe@1 and at least 1, got 900"),
        (run_probe("--limit", 2), "below one step"),
        (run_probe("--workers", -1), "--workers -1 is too small"),
        (run_probe("--seeds-per-program", 0), "--seeds-per-program 0 is too small"),
        (run_probe("--address", "x:1"), "give --executor ray with it"),
        (("status", "nowhere"), "runs folder 'nowhere' does not exist"),
    ],
)
def test_bad_input_is_one_line_exit_code_2_and_nothing_written(call, tmp_path, arguments, message):
    code, out, error = call(*arguments)
    assert (code, out) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_cuda_without_a_gpu_is_refused(call, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    code, _, error = call("run", "probe@1", "--agents", "tally", "--device", "cuda")
    assert code == 2
    assert error.startswith("error: device 'cuda' is not available:")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_will_not_do_are_refused(call, tmp_path, monkeypatch):
    (tmp_path / "home" / "letters").mkdir(parents=True)
    code, _, error = call(*run_probe("--runs", "home"))
    assert (code, "is not a runs folder" in error) == (2, True)
    (tmp_path / "file").write_text("")
    assert call(*run_probe("--runs", "file"))[0] == 2
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    code, _, error = call(*run_probe("--runs", "locked"))
    assert (code, "cannot be written to" in error) == (2, True)
    assert not (tmp_path / "locked").exists()


def test_another_versions_records_are_refused_and_kept(call, tmp_path):
    run = make_run(tmp_path / "runs", replace(PROBE, env_steps=900), agent="tally", task="probe_count", seed=7, scores=SCORES)
    before = run.folder.stat().st_mtime_ns
    code, _, error = call(*run_probe())
    assert (code, "was recorded under another probe@1" in error) == (2, True)
    assert [path.name for path in (tmp_path / "runs/probe@1/tally/probe_count").iterdir()] == ["seed-7"]
    assert run.folder.stat().st_mtime_ns == before


def test_a_running_run_is_refused(call, tmp_path):
    run = make_run(tmp_path / "runs", PROBE, agent="tally", task="probe_count", seed=0, scores=SCORES, status=None)
    with locked([run.folder]):
        code, _, error = call(*run_probe())
    assert (code, "another process is working on" in error) == (2, True)


def test_an_agent_that_cannot_play_the_task_is_refused(call, tmp_path, monkeypatch):
    discrete = replace(PROBE, suite_options={"discrete": True})
    monkeypatch.setattr("protocols.catalog.BUILT_IN", (discrete,))
    code, _, error = call(*run_probe())
    assert code == 2
    assert "agent 'tally' cannot play probe_count: it moves in a Box, not in Discrete(2)" in error
    assert list(tmp_path.iterdir()) == []


def test_an_arm_that_a_protocols_space_does_not_admit_is_refused(call, tmp_path, monkeypatch):
    discrete = replace(PROBE, suite_options={"discrete": True}, agent_profile="discrete")
    monkeypatch.setattr("protocols.catalog.BUILT_IN", (discrete,))
    code, _, error = call("run", "probe@1", "--agents", "dreamer", "planet-icml", "--device", "cpu")
    assert code == 2
    assert error == (
        "error: agent 'planet-icml' cannot play probe_count: the published PlaNet has continuous actions only; "
        "agent 'planet' searches discrete ones; leave it out with --agents or --tasks\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_will_not_do_is_refused(call, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10_000))
    code, _, error = call(*run_probe())
    assert code == 2
    assert "1 of 1 at a time" in error
    assert "has 10 kB free; make room" in error
    assert list(tmp_path.iterdir()) == []


def test_memory_that_will_not_do_is_refused(call, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "available_memory_bytes", lambda: 700_000_000)
    code, _, error = call(*run_probe())
    assert code == 2
    assert "1 program needs 800.0 MB of memory, 700.0 MB is free" in error
    assert list(tmp_path.iterdir()) == []


def test_status_shows_every_cell_of_the_grid(call, tmp_path):
    for seed, status in ((0, "complete"), (1, "diverged")):
        make_run(tmp_path / "runs", PROBE, agent="tally", task="probe_count", seed=seed, scores=SCORES, status=status)
    begun = make_run(
        tmp_path / "runs", PROBE, agent="tally", task="probe_terminal", seed=0, status=None, scores={0: [1.0], 400: [3.0]}
    )
    rows = call("status")[1].splitlines()
    assert [row.split()[2:5] for row in rows[1:]] == [
        ["probe_count", "0", "done"],
        ["probe_count", "1", "diverged"],
        ["probe_terminal", "0", "resumable"],
    ]
    assert rows[3].split()[5:] == ["0", "800", "100", "0:08"]  # no checkpoint: it begins again, 800 env_steps at 100 a second
    (begun.folder / "checkpoint-1").mkdir()
    iteration = 600 // (PROBE.num_envs * PROBE.action_repeat_of("probe_terminal"))
    (begun.folder / "checkpoint-1" / "loop.json").write_text(json.dumps({"iteration": iteration}))
    assert call("status")[1].splitlines()[3].split()[5:] == ["600", "800", "100", "0:02"]  # the checkpoint, not the evaluation
    with locked([begun.folder]):
        assert "running" in call("status")[1]


def test_status_of_an_empty_folder(call, tmp_path):
    (tmp_path / "runs").mkdir()
    assert call("status") == (0, "no runs in runs\n", "")


def test_status_and_a_finished_run_import_neither_torch_nor_a_simulator(tmp_path):
    for seed in PROBE.seeds:
        make_run(tmp_path, PROBE, agent="random", task="probe_count", seed=seed, scores=SCORES)
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); from probe_runs import register\n"
        "import dreamer_bench; register()\n"
        "try: dreamer_bench.main()\n"
        "except SystemExit as ended: assert not ended.code, ended\n"
        "heavy = {'torch', 'mujoco', 'dm_control', 'ale_py', 'rliable', 'pandas', 'matplotlib', 'ray'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    finished = ["run", "probe@1", "--agents", "random", "--tasks", "probe_count", "--runs", tmp_path]
    for arguments in (["status", tmp_path], finished):
        done = subprocess.run([sys.executable, "-c", code, TESTS, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "done" in done.stdout or "all 2 runs are complete" in done.stdout


def test_the_commit_is_that_of_the_source():
    found = code_identity.code()
    head = subprocess.run(["git", "-C", code_identity.SOURCE, "rev-parse", "HEAD"], capture_output=True, text=True)
    if head.returncode != 0:
        assert (found["commit"], found["dirty"]) == (None, False)
    else:
        assert found["commit"] == head.stdout.strip()


def test_a_video_and_tensorboard_files_are_kept(call, tmp_path, monkeypatch):
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    pixels = replace(PROBE, suite_options={"pixels": True})
    monkeypatch.setattr("protocols.catalog.BUILT_IN", (pixels,))
    assert call(*run_probe("--tensorboard"))[0] == 0
    for run in find_runs(tmp_path / "runs"):
        with Image.open(run.folder / "last_evaluation.webp") as film:
            assert film.size == (64, 64)
            assert film.is_animated  # frames that look alike are joined
        events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
        mean = [sum(line["score"] for line in run.episodes()[3 * k : 3 * k + 3]) / 3 for k in range(5)]
        assert [event.step for event in events.Scalars("score")] == [0, 200, 400, 600, 800]
        assert [event.value for event in events.Scalars("score")] == pytest.approx(mean, rel=1e-6)


def wandb_records(data: bytes) -> list[bytes]:
    """The records of a .wandb file: a LevelDB log (blocks of 32 KiB; CRC 4 bytes, length 2, type 1) behind 7 bytes."""
    records, part, at = [], b"", 7
    while at < len(data):
        if 32768 - at % 32768 < 7:  # too little of a block is left for a record's header: zeros
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            records.append(part)
            part = b""
    return records


OWN = """
base = "quick@1"
tasks = ["probe_count"]
env_steps = 400
action_repeat = 1
time_limit_env_steps = 100
evaluate_every_env_steps = 100
suite_options = {}
simulators = {}
normalization = "none"
"""


def test_wandb_keeps_every_evaluation_offline(tmp_path):
    """In a process of its own: wandb brings its file to the disk when the process that logged ends."""
    from wandb.proto.wandb_internal_pb2 import Record

    (tmp_path / "mine.toml").write_text(OWN)
    command = [sys.executable, "-m", "dreamer_bench", "run", "mine.toml", "--agents", "random", "--seeds", "0", "1", "--wandb"]
    environment = {**os.environ, "WANDB_MODE": "offline", "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = find_runs(tmp_path / "runs")
    assert len(runs) == 2
    for run in runs:
        (kept,) = (run.folder / "wandb").glob("offline-run-*/*.wandb")
        records = [Record.FromString(data) for data in wandb_records(kept.read_bytes())]
        steps = [record.history for record in records if record.WhichOneof("record_type") == "history"]
        logged = [{item.key or item.nested_key[0]: json.loads(item.value_json) for item in step.item} for step in steps]
        played = [line for line in run.episodes() if not line["final"]]
        mean = [sum(line["score"] for line in played[2 * k : 2 * k + 2]) / 2 for k in range(5)]
        assert [line["env_steps"] for line in logged] == [0, 100, 200, 300, 400]
        assert [line["score"] for line in logged] == pytest.approx(mean)
