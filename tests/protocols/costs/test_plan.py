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
    assert estimate.notes == ("dreamer was measured with 1 seeds per program; scaled to 2",)


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
    slow = plan.estimate(CELL, replace(MEASURED, environments=(ENVIRONMENT,)), seeds_per_program=1, devices=1)
    assert slow.notes == ("toy_b was not measured; counted as the slowest measured task of its suite",)
    with pytest.raises(ValueError, match="not measured, nor another of its suite"):
        plan.estimate(CELL, replace(MEASURED, environments=()), seeds_per_program=1, devices=1)


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


def test_a_large_batch_is_planned_from_a_small_one_in_proportion(monkeypatch):
    """One sequence costs a quarter of a second here, so 50 cost 12.5 whatever batch was timed."""
    from agents import catalog as agents
    from protocols.costs import measure

    timed = []

    def fake(name, profile, overrides, *_):
        timed.append(overrides["batch_sequences"])
        return replace(AGENT, gradient_step_seconds=0.25 * overrides["batch_sequences"], memory_bytes=0)

    monkeypatch.setattr(measure, "measure_agent", fake)
    space = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8)})
    cost = measure.measure_in_proportion("dreamer", "paper", {}, space)
    assert timed == [measure.FEW_SEQUENCES]
    assert cost.gradient_step_seconds == 12.5
    whole = agents.find("dreamer").options("paper")
    assert cost.memory_bytes == whole.update_bytes(space) * (50 - measure.FEW_SEQUENCES) // 50
