from dataclasses import replace

import pytest
from make_records import make_run
from probe_runs import PROBE

from protocols.records.lock import locked
from protocols.running.grid import Cohort, check_records, grid
from protocols.spec import override_digest

FIVE = replace(PROBE, seeds=(0, 1, 2, 3, 4))
SCORES = {0: [1.0], 800: [2.0]}


def wanted(root, **more):
    return grid(
        **{
            "root": root,
            "protocol": FIVE,
            "agents": ("tally",),
            "tasks": ("probe_count",),
            "seeds": (),
            "overrides": {},
            "limit_env_steps": None,
            **more,
        }
    )


def test_missing_seeds_of_a_task_train_together(tmp_path):
    make_run(tmp_path, FIVE, agent="tally", task="probe_count", seed=1, scores=SCORES)
    found = wanted(tmp_path)
    assert [run.state for run in found.runs()] == ["missing", "done", "missing", "missing", "missing"]
    assert found.cohorts(found.runs(), None) == [Cohort(agent="tally", task="probe_count", seeds=(0, 2, 3, 4))]
    assert [cohort.seeds for cohort in found.cohorts(found.runs(), 3)] == [(0, 2, 3), (4,)]


def test_an_interrupted_cohort_goes_on_with_its_own_seeds(tmp_path):
    for seed in (0, 2):
        make_run(tmp_path, FIVE, agent="tally", task="probe_count", seed=seed, scores=SCORES, status=None, cohort=[0, 2, 3])
    found = wanted(tmp_path, seeds=(0, 1, 3))  # seed 3 was killed before its manifest; seed 2 was not asked for
    assert [cohort.seeds for cohort in found.cohorts(found.runs(), None)] == [(0, 2, 3), (1,)]


def test_a_complete_grid_has_no_cohorts(tmp_path):
    for seed in range(5):
        make_run(
            tmp_path,
            FIVE,
            agent="tally",
            task="probe_count",
            seed=seed,
            scores=SCORES,
            status="diverged" if seed == 3 else "complete",
        )
    found = wanted(tmp_path)
    assert [run.state for run in found.runs()].count("diverged") == 1
    assert found.cohorts(found.runs(), None) == []


def test_a_running_cell_is_nobody_elses(tmp_path):
    run = make_run(tmp_path, FIVE, agent="tally", task="probe_count", seed=0, scores=SCORES, status=None, cohort=[0])
    with locked([run.folder]):
        found = wanted(tmp_path, seeds=(0,))
        assert found.runs()[0].state == "running"
        assert found.cohorts(found.runs(), None) == []


def test_overrides_and_limits_are_filed_apart(tmp_path):
    label = wanted(tmp_path, overrides={"rate": 0.5}, limit_env_steps=400).runs()[0].folder.parts[-3]
    assert label == f"tally+{override_digest({'rate': 0.5})}~400"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"tasks": ("probe_cuont",)}, "task 'probe_cuont' is not in probe@1; it has 2 tasks; did you mean 'probe_count'?"),
        ({"tasks": ("dmc_walker_walk",)}, "task 'dmc_walker_walk' is not in probe@1"),
        ({"tasks": ("probe_count", "probe_count")}, "task 'probe_count' is given twice"),
        ({"seeds": (1, 2, 1)}, "seed 1 is given twice"),
        ({"seeds": (-1,)}, "seed -1 is negative"),
        ({"agents": ("a", "a")}, "agent 'a' is given twice"),
        ({"limit_env_steps": 0}, "--limit must be below the 800 env_steps of probe@1 and at least 1, got 0"),
        ({"limit_env_steps": 800}, "--limit must be below the 800 env_steps of probe@1 and at least 1, got 800"),
    ],
)
def test_what_is_no_grid_is_refused(tmp_path, more, message):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as refused:
        wanted(tmp_path, **more)
    assert message in str(refused.value)


def test_an_alias_names_its_task(tmp_path):
    named = replace(PROBE, tasks=("dmc_cup_catch",))
    assert wanted(tmp_path, protocol=named, tasks=("ball_in_cup_catch",)).tasks == ("dmc_cup_catch",)


def test_records_of_another_version_under_the_same_name_are_refused(tmp_path):
    make_run(tmp_path, replace(FIVE, env_steps=900), agent="other", task="probe_count", seed=0, scores=SCORES)
    with pytest.raises(ValueError, match=r"was recorded under another probe@1 \(digest .*give another folder with --runs"):
        check_records(tmp_path, FIVE)
    check_records(tmp_path, replace(FIVE, id="probe@2"))


def test_a_task_with_its_own_profile_trains_with_its_options_and_the_others_with_the_protocols(tmp_path, monkeypatch):
    from agents import catalog as agents
    from protocols import catalog
    from protocols.costs.plan import workloads
    from protocols.running.cohort import CohortRequest
    from protocols.running.commands import RunCommand

    mixed = replace(catalog.find("small@1"), id="mixed@1", task_profiles={"gym:CartPole-v1": "quick"})
    monkeypatch.setattr(catalog, "BUILT_IN", (*catalog.PUBLISHED, mixed))
    command = RunCommand(
        protocol="mixed@1", agents=("dreamer",), runs=tmp_path, set=(("model_learning_rate=0.002", "horizon=7"),)
    )
    known = agents.find("dreamer").options
    for grids, changes in ((command._grids(), {"horizon": 7}), (replace(command, set=())._grids(), {})):
        found = {
            task: CohortRequest(grid=each, agent="dreamer", task=task, seeds=(0,)).options()
            for each in grids
            for task in each.tasks
        }
        assert found == {task: replace(known("small"), **changes) for task in mixed.tasks} | {
            "gym:CartPole-v1": replace(known("quick"), **changes)
        }
    assert [(line.profile, line.tasks) for line in workloads("mixed@1", ["dreamer"])] == [
        ("small", ("gym:Pendulum-v1", "gym:Acrobot-v1")),
        ("quick", ("gym:CartPole-v1",)),
    ]
