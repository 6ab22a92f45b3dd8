"""Joined tasks in the loop and in records: whose turn it is, what is written down, and what it comes to."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
from probe_runs import PROBE, records, register, request

from analysis.scores import from_runs
from protocols import catalog, joined
from protocols.cadence import episode_seed
from protocols.records import validate
from protocols.records.json_files import append_lines
from protocols.records.store import find_runs
from protocols.running.launch import run_cohort
from suites import catalog as suites

register()

TASK = "joined:probes"
PARTS = ("probe_count", "probe_one_step")
JOINED = replace(
    PROBE,
    id="joined-probe@1",
    tasks=(TASK,),
    joined={TASK: ("probe_count*2", "probe_one_step*1")},
    suite_options={"observation": "state"},
    task_options={TASK: {"time_limit_env_steps": None}},
    action_repeat=1,
    env_steps=200,
    time_limit_env_steps=100,
    evaluate_every_env_steps=100,
    evaluate_episodes=4,
    final_episodes=2,
    score_rule=replace(PROBE.score_rule, kind="final", window_env_steps=0),
)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(catalog, "BUILT_IN", (*catalog.BUILT_IN, JOINED))


@pytest.mark.parametrize("tasks", [2, 3, 6])
def test_the_seed_of_an_episode_names_its_task_and_keeps_its_purpose(tasks):
    for purpose, number in (("train", 0), ("evaluate", 1), ("final", 2)):
        for index in range(50):
            seed = episode_seed(3, purpose, index, tasks)
            assert seed % tasks == index % tasks
            assert seed >> 29 == number
            assert abs(seed - episode_seed(3, purpose, index)) < tasks


def test_every_episode_is_of_the_task_whose_turn_it_is_and_says_so(tmp_path):
    run_cohort(request(tmp_path, protocol=JOINED))
    runs = find_runs(tmp_path)
    assert len(runs) == 2
    assert {violation.rule for violation in validate.check(tmp_path)} <= {"commit", "origin"}  # those of this checkout
    for run in runs:
        lines = run.episodes()
        assert [line["task"] for line in lines] == [PARTS[line["episode"] % 2] for line in lines]
        assert {(line["task"], line["length"]) for line in lines} == {(part, _length_alone(part)) for part in PARTS}
        result = run.result()
        assert list(result["task_scores"]) == list(PARTS)
        assert result["score"] == pytest.approx(np.mean(list(result["task_scores"].values())))


def _length_alone(part):
    environment = suites.make(part, action_repeat={"probe_count": 2, "probe_one_step": 1}[part])
    environment.reset(seed=0)
    return next(n for n in range(1, 1000) if any(environment.step(np.zeros(1, np.float32))[2:4]))


def test_a_line_under_another_tasks_name_is_found(tmp_path):
    run_cohort(request(tmp_path, protocol=JOINED, seeds=(0,)))
    (run,) = find_runs(tmp_path)
    lines = [{**line, "task": PARTS[0]} for line in run.episodes()]
    (run.folder / "episodes.jsonl").unlink()
    append_lines(run.folder / "episodes.jsonl", lines)
    found = [violation.what for violation in validate.check(tmp_path) if violation.rule == "episode_seed"]
    assert len(found) == 1
    assert "of the wrong task" in found[0]


def test_the_table_of_scores_has_the_tasks_apart(tmp_path):
    run_cohort(request(tmp_path, protocol=JOINED))
    table = from_runs.read_runs(find_runs(tmp_path))
    assert sorted(table["task"].unique()) == sorted(PARTS)
    assert set(table.groupby("task").size()) == {2 * (3 * 2 + 1)}  # two seeds, two of each at three evaluations, one at the end


def test_an_interrupted_run_on_joined_tasks_writes_the_same_lines(tmp_path, monkeypatch):
    loop = importlib.import_module("protocols.running.loop")
    run_cohort(request(tmp_path / "straight", protocol=JOINED))
    count = iter(range(10_000))
    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "check", lambda self: None if next(count) < 60 else _stop(loop))
        assert run_cohort(request(tmp_path / "again", protocol=JOINED)).status == "interrupted"
    run_cohort(request(tmp_path / "again", protocol=JOINED))
    assert _plain(tmp_path / "again") == _plain(tmp_path / "straight")


def _stop(loop):
    raise loop.Interrupted


def _plain(root):
    return {
        name: [{key: value for key, value in line.items() if key != "previous"} for line in lines]
        for name, lines in records(root).items()
    }


def test_an_evaluation_that_cannot_play_every_task_alike_is_refused():
    with pytest.raises(ValueError, match="evaluate_episodes must be a multiple of the 2 tasks"):
        replace(JOINED, evaluate_episodes=3)


def test_the_published_ones_join_what_they_say_and_count_episodes_of_each_task():
    assert [part.partition("*")[2] for part in joined.PLANET_ALL_1.joined[joined.SIX]] == ["8", "4", "4", "2", "4", "2"]
    round_of_six = sum(1000 // repeat for repeat in (8, 4, 4, 2, 4, 2))
    assert joined.PLANET_ALL_1.env_steps == 1000 * round_of_six == 1_875_000
    assert joined.JOINED_SMALL_1.env_steps == 3 * joined.APART_SMALL_1.env_steps == 7_500
    environment = suites.make(joined.THREE, **joined.JOINED_SMALL_1.options_of(joined.THREE))
    assert environment.tasks == joined.JOINED_SMALL_1.played(joined.THREE) == joined.SMALL_TASKS
    environment.close()


def test_every_arm_has_the_profiles_of_joined_tasks():
    from agents.catalog import find

    for name in catalog.rows(joined.PLANET_ALL_1):
        options = find(name).options("joined")
        assert getattr(options, "updates", 600) == 600
    for name in (*catalog.rows(joined.JOINED_SMALL_1), "world_models"):
        find(name).options("small-joined")
