"""Probes pay what they promise: their returns are compared with play by the best policy and by chance."""

from __future__ import annotations

import numpy as np
import pytest

from suites import catalog, conformance, probes

OPTIONS = (
    {},
    {"discrete": True},
    {"action_repeat": 2},
    {"action_repeat": 3, "time_limit_env_steps": 7},
    {"pixels": True},
    {"pixels": False},
)


def play(environment, policy, seed: int) -> float:
    observation, _ = environment.reset(seed=seed)
    total, ended, decision = 0.0, False, 0
    while not ended:
        observation, reward, terminated, truncated, _ = environment.step(policy(observation, decision))
        total, ended, decision = total + reward, terminated or truncated, decision + 1
    return total


def signed(environment, value: float):
    return int(value > 0) if environment.options.discrete else np.array([value], np.float32)


@pytest.mark.parametrize("task", probes.TASKS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_probe_keeps_the_contract(task, options):
    assert conformance.check_suite(task, **options) == []


@pytest.mark.parametrize("task", ["probe_one_step", "probe_two_step", "probe_beyond", "probe_count"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_plus_one_throughout_earns_the_optimal_return(task, options):
    environment = catalog.make(task, **options)
    only_small = task == "probe_beyond" and environment.limit <= environment.options.delay
    expected = -1 if only_small else 1
    assert play(environment, lambda *_: signed(environment, expected), 1) == pytest.approx(environment.optimal_return)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_following_the_side_earns_the_optimal_return(options):
    environment = catalog.make("probe_action", **options)
    right = (
        (lambda o: o["image"][0, -1, 0] / 127.5 - 1)
        if "image" in environment.observation_space.spaces
        else (lambda o: o["vector"][1])
    )
    assert play(environment, lambda o, _: signed(environment, float(right(o))), 3) == pytest.approx(environment.optimal_return)
    against = play(environment, lambda o, _: signed(environment, -float(right(o))), 3)
    assert against == pytest.approx(0)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_no_plan_of_the_trap_earns_more_than_its_optimal_return(options):
    """Every policy is a number of decisions to stay; try all."""
    environment = catalog.make("probe_terminal", **options)
    returns = [
        play(environment, lambda _, decision, stay=stay: signed(environment, 1 if decision < stay else -1), 1)
        for stay in range(environment.limit + 1)
    ]
    assert max(returns) == pytest.approx(environment.optimal_return)
    assert returns[0] == 1.5


@pytest.mark.parametrize("task", probes.TASKS)
@pytest.mark.parametrize("options", [{}, {"discrete": True}, {"action_repeat": 3}], ids=str)
def test_random_play_earns_the_random_return_on_average(task, options):
    environment = catalog.make(task, pixels=False, **options)
    environment.action_space.seed(0)
    returns = [play(environment, lambda *_: environment.action_space.sample(), seed) for seed in range(600)]
    assert abs(np.mean(returns) - environment.random_return) < 4 * np.std(returns) / np.sqrt(len(returns)) + 1e-9


@pytest.mark.parametrize("task", probes.TASKS)
def test_random_play_is_far_from_ninety_percent(task):
    """probe_count is for counting; its return hardly depends on play."""
    environment = catalog.make(task)
    if task != "probe_count":
        assert environment.random_return <= 0.7 * environment.optimal_return


def test_the_trap_terminates_and_a_time_limit_truncates():
    environment = catalog.make("probe_terminal", time_limit_env_steps=2)
    environment.reset(seed=0)
    assert environment.step(np.array([-1.0], np.float32))[1:4] == (1.5, True, False)
    environment.reset(seed=0)
    assert environment.step(np.array([1.0], np.float32))[1:4] == (1.0, False, False)
    assert environment.step(np.array([1.0], np.float32))[1:4] == (1.0, False, True)


def test_beyond_pays_the_late_reward_only_after_every_small_one():
    environment = catalog.make("probe_beyond", delay=8)

    def rewards(first: float) -> list[float]:
        environment.reset(seed=0)
        return [environment.step(np.array([first if step == 0 else 0.7], np.float32))[1] for step in range(9)]

    assert rewards(-1.0) == pytest.approx([0.05] * 8 + [0.0])
    assert rewards(1.0) == pytest.approx([0.0] * 8 + [1.0])


def test_no_two_steps_of_beyond_are_equal():
    """If two were, a model could expect the late reward a step early, within reach of a horizon that ends before it."""
    environment = catalog.make("probe_beyond", delay=8)
    seen = [environment.reset(seed=0)[0]["vector"]]
    for _ in range(9):
        seen.append(environment.step(np.ones(1, np.float32))[0]["vector"])
    assert len({tuple(view) for view in seen}) == 10


@pytest.mark.parametrize("pixels", [False, True])
def test_counting_reveals_steps_decisions_action_and_seed(pixels):
    environment = catalog.make("probe_count", action_repeat=3, pixels=pixels)
    observation, _ = environment.reset(seed=2**40 + 12345)
    assert probes.decode(observation) == (0, 0, 0.0, 2**40 + 12345)
    observation, reward, _, truncated, info = environment.step(np.array([0.5], np.float32))
    assert probes.decode(observation) == (3, 1, 0.5, 2**40 + 12345)
    assert reward == (1 + 2 + 3) + 3 * 0.25
    environment.step(np.array([-1.0], np.float32))
    observation, reward, _, truncated, info = environment.step(np.array([-1.0], np.float32))
    assert probes.decode(observation) == (8, 3, -1.0, 2**40 + 12345)  # 8 is the limit: the last repeat was cut
    assert (reward, truncated, info["env_steps"]) == (7 + 8 - 1.0, True, 2)


@pytest.mark.parametrize("option", ["action_repeat", "time_limit_env_steps", "delay"])
def test_options_below_one_are_refused(option):
    with pytest.raises(ValueError, match=f"option {option} must be a whole number at least 1"):
        catalog.make("probe_one_step", **{option: 0})
