"""Joined tasks: whose episode it is, what each task is given, and what it shows. From state: no renderer."""

import numpy as np
import pytest

from suites import catalog, conformance

THREE = "joined:dmc_cartpole_swingup*8+dmc_reacher_easy*4+dmc_cheetah_run*2"
WIDE = 6
FAST = {"observation": "state"}


@pytest.fixture(scope="module")
def three():
    environment = catalog.make(THREE, **FAST)
    yield environment
    environment.close()


@pytest.mark.parametrize("repeat", [1, 2])
def test_joined_tasks_keep_the_contract(repeat):
    assert conformance.check_suite(THREE, steps=3, action_repeat=repeat, **FAST) == []


def test_joined_tasks_of_pixels_keep_the_contract():
    task = "joined:dmc_cartpole_swingup*8+dmc_walker_walk*2"
    assert conformance.check_suite(task, steps=2, look="fast") == []
    environment = catalog.make(task, look="fast")
    assert list(environment.observation_space.spaces) == ["image"]
    environment.close()


def test_a_seed_names_its_task_and_without_one_they_come_in_turn(three):
    assert [three.reset(seed=seed)[1]["task"] for seed in (6, 7, 8, 9)] == [
        "dmc_cartpole_swingup",
        "dmc_reacher_easy",
        "dmc_cheetah_run",
        "dmc_cartpole_swingup",
    ]
    assert [three.reset()[1]["task"] for _ in range(4)] == [
        "dmc_reacher_easy",
        "dmc_cheetah_run",
        "dmc_cartpole_swingup",
        "dmc_reacher_easy",
    ]


@pytest.mark.parametrize(("number", "task", "width", "repeat"), [
    (0, "dmc_cartpole_swingup", 1, 8), (1, "dmc_reacher_easy", 2, 4), (2, "dmc_cheetah_run", 6, 2)])  # fmt: skip
def test_each_task_is_played_as_it_would_be_alone(three, number, task, width, repeat):
    """Same seed, same first actions, its own repeat and length; the numbers beyond its actions change nothing."""
    alone, seed = catalog.make(task, action_repeat=repeat, observation="state"), 30 + number
    generator = np.random.default_rng(number)
    first, _ = alone.reset(seed=seed)
    shown, _ = three.reset(seed=seed)
    decisions, ended = 0, False
    while not ended:
        for key in three.observation_space.spaces:
            expected = first.get(key, np.zeros(0, np.float32))
            np.testing.assert_array_equal(shown[key][: len(expected)], expected)
            assert not shown[key][len(expected) :].any()
        action = generator.uniform(-1, 1, WIDE).astype(np.float32)
        first, reward, _, ended, _ = alone.step(action[:width])
        shown, joined_reward, terminated, truncated, info = three.step(action)
        decisions += 1
        assert (joined_reward, terminated, truncated, info["env_steps"]) == (reward, False, ended, 1)
    assert decisions == 1000 // repeat
    alone.close()


def test_actions_are_as_wide_as_the_widest_and_vectors_are_the_union(three):
    assert three.action_space.shape == (WIDE,)
    widths = {key: space.shape for key, space in three.observation_space.spaces.items()}
    assert widths == {"position": (8,), "velocity": (9,), "to_target": (2,)}  # cheetah's are wider than cartpole's 3 and 2


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("joined:dmc_walker_walk*two+dmc_cup_catch*4", "give a whole number after"),
        ("joined:dmc_walker_walk*2+dmc_walker_walk*2", "names a task twice; name each task once"),
        ("joined:gym:Pendulum-v1*1+gym:CartPole-v1*1", "leave it out"),
        ("joined:dmc_walker_wolk*2", "dmc_walker_walk"),
        ("joined:joined:a+b", "joins tasks that are joined already"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_line(task, message):
    with pytest.raises(ValueError, match=message) as error:
        catalog.make(task, observation="state")
    assert "\n" not in str(error.value)
