"""The cost of a grid, against sums made by hand."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from gymnasium import spaces

from protocols.costs import measurements, plan
from protocols.costs.commands import PlanCommand
from protocols.costs.measurements import AgentCost, EnvironmentCost, Measured
from protocols.costs.plan import Workload
from protocols.spec import Protocol, ScoreRule

PROTOCOL = Protocol(
    id="hand@1",
    title="",
    purpose="",
    source="",
    choices=(),
    tasks=("toy_a", "toy_b"),
    action_repeat=2,
    env_steps=1_000,
    time_limit_env_steps=100,
    seeds=(0, 1, 2),
    evaluate_every_env_steps=500,
    evaluate_episodes=2,
    final_episodes=4,
    score_rule=ScoreRule(kind="final"),
    normalization="none",
    margin=0.1,
    simulators={},
)
AGENT = AgentCost(
    agent="dreamer",
    profile="paper",
    device="cpu",
    seeds_per_program=1,
    gradient_step_seconds=2.0,
    act_seconds=0.1,
    observe_seconds=0.01,
    first_gradient_env_steps=200,
    pretrain_gradient_steps=10,
    gradient_steps_per_env_step=0.05,
    memory_bytes=1_000,
    checkpoint_bytes=500,
    replay_bytes_per_env_step=3.0,
)
ENVIRONMENT = EnvironmentCost(task="toy_a", action_repeat=2, agent_step_seconds=0.02, reset_seconds=0.5)
MEASURED = Measured(agents=(AGENT,), environments=(ENVIRONMENT, replace(ENVIRONMENT, task="toy_b", agent_step_seconds=0.04)))
CELL = Workload(protocol=PROTOCOL, agent="dreamer", overrides={}, tasks=PROTOCOL.tasks)


def test_updates_are_the_first_ones_and_a_share_of_what_follows():
    assert plan.gradient_steps(PROTOCOL, AGENT) == 10 + 40  # 0.05 of the 800 env_steps after 200
    assert plan.gradient_steps(replace(PROTOCOL, env_steps=199), AGENT) == 0


def test_one_program_of_one_seed_by_hand():
    # 500 decisions; an episode is 50 of them, so a reset costs 0.5 / 50 = 0.01 a decision
    training = 500 * (0.1 + 0.01 + 0.02 + 0.01)
    learning = 50 * 2.0
    evaluating = (3 * 2 + 4) * 50 * (0.1 + 0.02 + 0.01)  # evaluations at 0, 500 and 1,000 env_steps, and the final one
    expected = training + learning + evaluating
    assert plan.program_seconds(PROTOCOL, "toy_a", AGENT, ENVIRONMENT, 1) == pytest.approx(expected) == pytest.approx(235.0)


def test_seeds_in_one_program_share_the_updates_they_were_measured_with():
    together = replace(AGENT, seeds_per_program=3, gradient_step_seconds=2.5, act_seconds=0.1)
    # environments are stepped one after the other: three times theirs; decisions and updates are those of the whole program
    expected = 500 * (0.1 + 0.01 + 3 * 0.03) + 50 * 2.5 + 10 * 50 * (0.1 + 3 * 0.03)
    assert plan.program_seconds(PROTOCOL, "toy_a", together, ENVIRONMENT, 3) == pytest.approx(expected)


def test_wall_time_is_when_the_last_device_is_done():
    assert plan.makespan([5.0, 3.0, 3.0, 2.0, 2.0], 1) == 15.0
    assert plan.makespan([2.0, 3.0, 5.0, 3.0, 2.0], 2) == 8.0  # 5+2 and 3+3, then 2 on the one that is free first
    assert plan.makespan([5.0, 1.0], 7) == 5.0


def test_disk_holds_the_replays_of_what_runs_and_the_checkpoints_of_all():
    estimate = plan.estimate(CELL, MEASURED, seeds_per_program=1, devices=2)
    kept_per_run = 500 + 300 * (3 * 2 + 4)
    assert (estimate.runs, estimate.programs) == (6, 6)
    assert estimate.kept_bytes == 6 * kept_per_run
    assert estimate.disk_bytes == 6 * kept_per_run + 2 * (3 * 1_000 + 2 * 500)  # two programs at once, one seed each
    assert estimate.memory_bytes == 2_000
    assert estimate.device_seconds == pytest.approx(3 * (235.0 + 255.0))  # toy_b: 0.02 s more in 1,000 decisions
    assert estimate.wall_seconds == pytest.approx(745.0)  # longest first: 255 + 255 + 235 beside 255 + 235 + 235


def test_seeds_that_do_not_fill_a_program_make_a_smaller_one():
    estimate = plan.estimate(CELL, MEASURED, seeds_per_program=2, devices=1)
    assert estimate.programs == 2 * 2
    assert estimate.notes == ("dreamer was measured with 1 seed per program; scaled to 2",)


def test_five_million_env_steps_of_pixels_take_thirty_one_gigabytes():
    from protocols.catalog import find

    pixels = replace(AGENT, replay_bytes_per_env_step=(64 * 64 * 3 + 4 * 6 + 8) / 2, checkpoint_bytes=0)
    cell = Workload(protocol=replace(find("dmc-5m@1"), tasks=("toy_a",)), agent="dreamer", overrides={}, tasks=("toy_a",))
    estimate = plan.estimate(cell, replace(MEASURED, agents=(pixels,)), seeds_per_program=1, devices=1)
    assert (estimate.disk_bytes - estimate.kept_bytes) / 1e9 == pytest.approx(31, abs=0.3)


def test_what_was_not_measured_is_said_or_refused():
    other = replace(CELL, tasks=("toy_a",), agent="planet")
    with pytest.raises(ValueError, match="agent 'planet' was not measured with profile 'paper'; the measurements hold dreamer"):
        plan.estimate(other, MEASURED, seeds_per_program=1, devices=1)
    alone = plan.estimate(CELL, replace(MEASURED, environments=(ENVIRONMENT,)), seeds_per_program=1, devices=1)
    assert alone.notes == ("toy_b was not measured; counted as the mean of the measured tasks of its suite",)
    busy = replace(AGENT, processor_share=0.4, scaled="updates were scaled")
    assert plan.estimate(CELL, replace(MEASURED, agents=(busy,)), seeds_per_program=1, devices=1).notes == (
        "dreamer had 40% of a CPU core while it was measured: other programs ran, and an idle machine is faster",
        "updates were scaled",
    )
    with pytest.raises(ValueError, match="not measured, nor another of its suite"):
        plan.estimate(CELL, replace(MEASURED, environments=()), seeds_per_program=1, devices=1)


def test_tasks_that_were_not_measured_count_as_the_mean_of_their_suite():
    """Without time for updates and acts a run costs its 1,000 decisions in the environment, evaluations included."""
    free = replace(AGENT, gradient_step_seconds=0.0, act_seconds=0.0, observe_seconds=0.0)
    quick = replace(ENVIRONMENT, reset_seconds=0.0)
    known = (
        quick,
        replace(quick, task="toy_b", agent_step_seconds=0.04),
        replace(quick, task="other_c", agent_step_seconds=9.0),
    )
    four = replace(CELL, protocol=replace(PROTOCOL, tasks=("toy_a", "toy_b", "toy_c", "toy_d")), tasks=("toy_c", "toy_d"))
    measured = Measured(agents=(free,), environments=known)
    found = plan.estimate(four, measured, seeds_per_program=1, devices=1)
    assert found.device_seconds == pytest.approx(2 * 3 * 1_000 * 0.03)  # two tasks, three seeds, the mean of 0.02 and 0.04
    assert found.notes == ("2 of 2 tasks were not measured; each counted as the mean of the measured tasks of its suite",)


def test_a_grid_is_planned_row_by_row():
    rows = plan.workloads("figure-4", agents=("planet",))
    assert [row.overrides["planner_horizon"] for row in rows] == [10, 20, 30, 40]
    assert len({row.label for row in rows}) == 4
    with pytest.raises(ValueError, match="has no row of sac"):
        plan.workloads("figure-4", agents=("sac",))
    with pytest.raises(ValueError, match="task 'dmc_hopper_hop' is not in quick@1"):
        plan.workloads("quick@1", tasks=("dmc_hopper_hop",))


def measured_file(folder, protocol):
    costs = [replace(AGENT, agent=name, profile=protocol.agent_profile) for name in ("dreamer", "random")]
    environments = [replace(ENVIRONMENT, task=task) for task in protocol.tasks]
    file = folder / "measured.json"
    file.write_text(json.dumps(measurements.as_data(Measured(agents=tuple(costs), environments=tuple(environments)))))
    return file


def test_the_command_plans_from_a_file(tmp_path, capsys):
    from protocols.catalog import find

    file = measured_file(tmp_path, find("quick@1"))
    assert measurements.as_data(measurements.read_measured(file)) == json.loads(file.read_text())
    command = PlanCommand(protocol="quick@1", agents=("dreamer", "random"), measured=file, json=tmp_path / "plan.json")
    assert command.run() == 0
    lines = json.loads((tmp_path / "plan.json").read_text())["lines"]
    assert [line["label"] for line in lines] == ["dreamer", "random"]
    assert {"protocol", "runs", "wall_seconds", "device_seconds", "disk_bytes", "memory_bytes"} <= set(lines[0])
    assert "device hours" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "not JSON"),
        ('{"schema": 9}', "not of schema 1"),
        (json.dumps({"schema": 1, "agents": [{"agent": "dreamer"}]}), "entry for AgentCost lacks"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, content, message):
    file = tmp_path / "measured.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        PlanCommand(protocol="quick@1", measured=file).run()
    assert "\n" not in str(caught.value)


def test_measurements_come_through_the_contract(tmp_path):
    """The random agent on a probe: no simulator, no torch; every field is there and the agent never learns."""
    from protocols.costs.measure import measure

    cell = Workload(
        protocol=replace(PROTOCOL, tasks=("probe_one_step",), action_repeat=1),
        agent="random",
        overrides={},
        tasks=("probe_one_step",),
    )
    measured = measure([cell], seeds_per_program=2, device="cpu")
    (agent,), (environment,) = measured.agents, measured.environments
    assert (agent.seeds_per_program, agent.gradient_step_seconds, agent.replay_bytes_per_env_step) == (2, 0.0, 0.0)
    assert agent.act_seconds > 0
    assert agent.memory_bytes > 10**7
    assert (environment.task, environment.action_repeat) == ("probe_one_step", 1)
    assert environment.agent_step_seconds > 0
    assert set(asdict(agent)) == set(measurements.as_data(measured)["agents"][0])


def test_an_unknown_agent_is_refused_before_anything_is_measured(monkeypatch):
    from protocols.costs import measure

    monkeypatch.setattr(measure, "measure_environment", lambda *_: pytest.fail("measured"))
    with pytest.raises(ValueError, match="'draemer' is not known"):
        PlanCommand(protocol="quick@1", agents=("random", "draemer")).run()


def proportion(monkeypatch, name, seconds):
    """What is planned of the paper's agent when one call of learning takes `seconds(options)` for each of its updates."""
    from agents import catalog as agents
    from protocols.costs import measure

    timed = []

    def fake(name, profile, overrides, *_):
        timed.append(overrides["batch_sequences"])
        options = replace(agents.find(name).options(profile), **overrides)
        return replace(AGENT, gradient_step_seconds=seconds(options), memory_bytes=0)

    monkeypatch.setattr(measure, "measure_agent", fake)
    space = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8)})
    return measure.measure_in_proportion(name, "paper", {}, space), timed, agents.find(name).options("paper"), space


def test_a_large_batch_is_planned_from_a_small_one_in_proportion(monkeypatch):
    """One sequence costs a quarter of a second here, so 50 cost 12.5 whatever batch was timed."""
    cost, timed, whole, space = proportion(monkeypatch, "dreamer", lambda options: 0.25 * options.batch_sequences)
    assert timed == [2]
    assert cost.gradient_step_seconds == 12.5
    assert cost.memory_bytes == whole.update_bytes(space) * 48 // 50
    assert cost.gradient_steps_per_env_step == 0.1  # of the paper's schedule, not of the shortened one
    assert cost.scaled == "updates were measured with 2 of 50 sequences a batch and scaled in proportion"


def test_a_search_beside_the_updates_does_not_grow_with_the_batch(monkeypatch):
    """A generation of 3 s, ten in a hundred updates of 50 x 0.25 s: 12.5 + 0.3 s an update."""
    cost, timed, _, _ = proportion(
        monkeypatch,
        "world_models",
        lambda options: 0.25 * options.batch_sequences + 3.0 * options.search_generations / options.updates,
    )
    assert timed == [2, 8]
    assert cost.gradient_step_seconds == pytest.approx(12.8)
    assert cost.gradient_steps_per_env_step == 0.1


def test_a_shortened_schedule_keeps_the_work_of_an_update():
    from agents import catalog as agents
    from protocols.costs.short_schedule import one_call

    for profile, updates, generations in (("small", 2, 1), ("quick", 4, 1), ("paper", 10, 1)):
        short = one_call(agents.find("world_models").options(profile), "search_generations", every_env_steps=1)
        assert (short.updates, short.search_generations, short.prefill_env_steps) == (updates, generations, 0)
    assert one_call(agents.find("dreamer").options("paper"), None, every_env_steps=2).updates == 1


def test_few_tasks_of_a_large_suite_are_measured_and_every_task_of_a_small_one():
    from protocols.catalog import find
    from protocols.costs.measure import _chosen

    def names(protocol):
        return [task for _, task in _chosen([Workload(protocol=protocol, agent="random", overrides={}, tasks=protocol.tasks)])]

    assert names(find("dmc-5m@1")) == ["dmc_acrobot_swingup", "dmc_hopper_hop", "dmc_walker_walk"]
    assert sorted(names(find("small@1"))) == sorted(find("small@1").tasks)
    assert sorted(names(find("planet-6@1"))) == sorted(find("planet-6@1").tasks)  # no four tasks share an action repeat
