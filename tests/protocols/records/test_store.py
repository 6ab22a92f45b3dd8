import fcntl
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from make_records import make_run
from probe_runs import PROBE

from protocols.records.json_files import append_lines, last_record, read_lines, write_json
from protocols.records.line_log import LineLog
from protocols.records.lock import is_locked, locked
from protocols.records.score import score_of
from protocols.records.store import EPISODES, Run, create_run, find_runs
from protocols.spec import ScoreRule

SCORES = {0: [1.0, 2.0], 400: [3.0, 5.0], 800: [10.0, 20.0]}


def test_runs_are_found_in_the_order_of_protocol_label_task_and_seed(tmp_path):
    for agent, task, seed in (
        ("b", "probe_count", 10),
        ("a", "probe_terminal", 2),
        ("b", "probe_count", 9),
        ("a", "probe_count", 0),
    ):
        make_run(tmp_path, PROBE, agent=agent, task=task, seed=seed, scores=SCORES)
    assert [(run.manifest["agent"], run.manifest["task"], run.manifest["seed"]) for run in find_runs(tmp_path)] == [
        ("a", "probe_count", 0),
        ("a", "probe_terminal", 2),
        ("b", "probe_count", 9),
        ("b", "probe_count", 10),
    ]


def test_a_task_with_a_slash_and_a_colon_is_one_folder(tmp_path):
    named = replace(PROBE, tasks=("gym:ALE/Pong-v5",))
    make_run(tmp_path, named, agent="a", task="gym:ALE/Pong-v5", seed=0, scores=SCORES)
    assert [run.manifest["task"] for run in find_runs(tmp_path)] == ["gym:ALE/Pong-v5"]


@pytest.mark.parametrize(
    ("kind", "window", "expected"), [("window", 400, 15.0), ("window", 401, 9.5), ("last", 0, 15.0), ("final", 0, 7.0)]
)
def test_score_rules_name_their_episodes(tmp_path, kind, window, expected):
    run = make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=0, scores={**SCORES, 1200: [99.0]}, status=None)
    append_lines(
        run.folder / EPISODES,
        [
            {"env_steps": 800, "checkpoint": 3, "episode": episode, "score": score, "final": True}
            for episode, score in enumerate((6.0, 8.0))
        ],
    )
    assert score_of(asdict(ScoreRule(kind=kind, window_env_steps=window)), run.episodes(), 800) == expected


def test_a_score_without_episodes_is_refused(tmp_path):
    run = make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=0, scores=SCORES, status=None)
    with pytest.raises(ValueError, match="names no episode"):
        score_of({"kind": "final", "window_env_steps": 0}, run.episodes(), 800)


def test_states(tmp_path):
    complete = make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=0, scores=SCORES)
    diverged = make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=1, scores=SCORES, status="diverged")
    begun = make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=2, scores=SCORES, status=None)
    assert [complete.state(), diverged.state(), begun.state()] == ["done", "diverged", "resumable"]
    with locked([begun.folder]):
        assert begun.state() == "running"
    assert begun.state() == "resumable"


def test_a_lock_is_refused_in_one_line_and_all_are_let_go(tmp_path):
    folders = [make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=seed, scores=SCORES).folder for seed in (0, 1)]
    with locked([folders[1]]), pytest.raises(ValueError, match=r"another process is working on .*seed-1"), locked(folders):
        pass
    assert not is_locked(folders[0])
    assert not is_locked(folders[1])


def test_looking_at_a_lock_does_not_refuse_a_run(tmp_path):
    folder = make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=0, scores=SCORES).folder
    looker = (folder / "lock").open("ab")
    fcntl.flock(looker, fcntl.LOCK_SH)
    code = "import sys, time, fcntl; time.sleep(float(sys.argv[1]))"
    with subprocess.Popen([sys.executable, "-c", code, "0.05"], pass_fds=[looker.fileno()]):
        looker.close()  # the child holds the shared lock for an instant longer
        with locked([folder]):
            pass


@pytest.mark.parametrize("name", ["notes.txt", "src", "someone@example"])
def test_another_folder_is_not_a_runs_folder(tmp_path, name):
    (tmp_path / name).mkdir()
    if "@" in name:
        assert find_runs(tmp_path) == []
        return
    with pytest.raises(ValueError, match="is not a runs folder"):
        find_runs(tmp_path)


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        find_runs(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        find_runs(tmp_path / "file")


def test_a_run_is_never_written_over(tmp_path):
    run = make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=0, scores=SCORES)
    with pytest.raises(ValueError, match="holds a run already"):
        create_run(tmp_path, run.manifest)


def test_a_last_line_cut_short_is_left_out_and_dropped_by_the_next_append(tmp_path):
    path = tmp_path / "lines.jsonl"
    append_lines(path, [{"a": 1}, {"a": 2}])
    os.truncate(path, path.stat().st_size - 3)
    assert read_lines(path) == [{"a": 1}]
    assert last_record(path) == {"a": 1}
    append_lines(path, [{"a": 3}])
    assert read_lines(path) == [{"a": 1}, {"a": 3}]


def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(ValueError, match=r"lines.jsonl line 2 is damaged"):
        read_lines(path)


def test_numbers_that_are_not_finite_are_written_as_null(tmp_path):
    path = tmp_path / "lines.jsonl"
    append_lines(path, [{"loss": float("nan"), "other": float("inf"), "good": 1.5}])
    assert json.loads(path.read_text()) == {"loss": None, "other": None, "good": 1.5}


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["value.json"]
    with pytest.raises(OSError, match="No space"):
        append_lines(tmp_path / "lines.jsonl", [{"a": 1}])
    assert (tmp_path / "lines.jsonl").read_bytes() == b""


def test_a_result_holds_the_hashes_of_the_records(tmp_path):
    run = make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=0, scores=SCORES)
    hashed = subprocess.run(["sha256sum", run.folder / EPISODES], capture_output=True, text=True, check=True).stdout.split()[0]
    assert Run(run.folder).result()["sha256"][EPISODES] == hashed
    assert Run(run.folder).result()["score"] == 15.0


def test_a_log_passes_over_its_own_lines_and_replaces_others(tmp_path):
    path = tmp_path / "lines.jsonl"
    append_lines(path, [{"n": n, "seconds": 0.5} for n in range(4)])
    first = path.read_bytes()
    log = LineLog(path, len(first) // 4)
    log.write([{"n": 1, "seconds": 7.0}, {"n": 2, "seconds": 7.0}])
    assert path.read_bytes() == first  # the same but for times: they stay, and so does what follows
    log.write([{"n": 33, "seconds": 7.0}])
    assert [line["n"] for line in read_lines(path)] == [0, 1, 2, 33]
    assert log.bytes == path.stat().st_size
