"""Any Gymnasium environment: images resized, vectors kept apart, actions scaled, refusals in one line."""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from suites import catalog, conformance


class Painter(gymnasium.Env):
    """An image with a bright half, a vector beside it, two actions with bounds of their own."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = spaces.Dict(
        {
            "camera": spaces.Box(0, 255, (96, 128, 3), np.uint8),
            "speed": spaces.Box(-9, 9, (2,), np.float64),
            "gear": spaces.Discrete(3),
        }
    )
    action_space = spaces.Box(np.array([0.0, -2.0], np.float32), np.array([1.0, 4.0], np.float32))

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.taken = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.phase = int(self.np_random.integers(100))
        return self._look(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.taken.append(action)
        return self._look(), float(action.sum()), False, False, {}

    def _look(self):
        image = np.zeros((96, 128, 3), np.uint8)
        image[:, 64:] = (200, 100, self.phase)
        return {"camera": image, "speed": np.array([self.phase, 0.5]) / 100, "gear": 2}


gymnasium.register("dreamer_bench_test/Painter-v0", entry_point=Painter, max_episode_steps=50)
PAINTER = "gym:dreamer_bench_test/Painter-v0"
HERE = [task for task in catalog.names("gym") if catalog.unavailable(task) is None] + [PAINTER]


@pytest.mark.parametrize("task", HERE)
def test_every_environment_at_hand_keeps_the_contract(task):
    assert conformance.check_suite(task) == []
    assert conformance.check_suite(task, action_repeat=2) == []


def test_an_image_is_resized_and_the_rest_are_vectors_under_their_own_keys():
    environment = catalog.make(PAINTER)
    observation, _ = environment.reset(seed=1)
    assert set(observation) == {"image", "speed", "gear"}
    phase = environment.inner.unwrapped.phase
    assert observation["image"].shape == (64, 64, 3)
    np.testing.assert_array_equal(observation["image"][10, 50], (200, 100, phase))
    np.testing.assert_array_equal(observation["image"][10, 10], (0, 0, 0))
    np.testing.assert_allclose(observation["speed"], [phase / 100, 0.005])
    np.testing.assert_array_equal(observation["gear"], [0, 0, 1])


def test_actions_are_scaled_to_the_bounds():
    environment = catalog.make(PAINTER)
    environment.reset(seed=1)
    for ours, theirs in (([-1, -1], [0, -2]), ([1, 1], [1, 4]), ([0, 0], [0.5, 1])):
        environment.step(np.array(ours, np.float32))
        np.testing.assert_allclose(environment.inner.unwrapped.taken[-1], theirs)


def test_rewards_are_summed_over_the_repeats_as_the_environment_gives_them():
    ours, theirs = catalog.make("gym:Pendulum-v1", action_repeat=3), gymnasium.make("Pendulum-v1")
    observation, _ = ours.reset(seed=5)
    expected, _ = theirs.reset(seed=5)
    np.testing.assert_array_equal(observation["vector"], expected)
    observation, reward, *_ = ours.step(np.array([0.25], np.float32))
    steps = [theirs.step(np.array([0.5], np.float32)) for _ in range(3)]
    np.testing.assert_allclose(observation["vector"], steps[-1][0])
    assert reward == pytest.approx(sum(float(step[1]) for step in steps))


def test_the_environments_own_limit_holds_and_a_given_one_replaces_it():
    for options, length in (({}, 200), ({"time_limit_env_steps": 7}, 7), ({"time_limit_env_steps": 300}, 300)):
        environment = catalog.make("gym:Pendulum-v1", **options)
        environment.reset(seed=0)
        steps = 0
        while True:
            _, _, terminated, truncated, _ = environment.step(np.zeros(1, np.float32))
            steps += 1
            if terminated or truncated:
                break
        assert (steps, terminated, truncated) == (length, False, True)


def test_a_fall_is_a_termination():
    environment = catalog.make("gym:CartPole-v1")
    environment.reset(seed=0)
    flags = (False, False)
    while not any(flags):
        flags = environment.step(1)[2:4]
    assert flags == (True, False)


@pytest.mark.parametrize(
    ("task", "line"),
    [("gym:CartPoll-v1", "Did you mean: `CartPole`"), ("gym:Nothing-v0", "Gymnasium has no environment 'Nothing-v0'")],
)
def test_an_unknown_environment_is_one_line(task, line):
    with pytest.raises(ValueError, match=line) as caught:
        catalog.make(task)
    assert "\n" not in str(caught.value)


def test_car_racing_is_held_to_the_contract_and_shows_its_track():
    pytest.importorskip("Box2D", reason="the extra `box2d` is not installed")
    task, options = "gym:CarRacing-v3", {"action_repeat": 4, "time_limit_env_steps": 200}
    assert conformance.check_suite(task, steps=6, **options) == []
    environment = catalog.make(task, **options)
    observation, _ = environment.reset(seed=1)
    environment.close()
    red, green = observation["image"][..., 0].astype(int), observation["image"][..., 1].astype(int)
    assert observation["image"].shape == (64, 64, 3)
    assert 0.3 < (green - red > 30).mean() < 0.9  # grass beside a grey road


def test_a_missing_package_is_named_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.car_racing", raising=False)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d", raising=False)
    reason = catalog.unavailable("gym:CarRacing-v3")
    assert "gymnasium[box2d]" in reason
    assert "\n" not in reason
    with pytest.raises(ValueError, match="gymnasium\\[box2d\\]"):
        catalog.make("gym:CarRacing-v3")


class Many(Painter):
    action_space = spaces.MultiDiscrete([2, 3])


def test_unusable_spaces_are_refused_in_one_line():
    gymnasium.register("dreamer_bench_test/Many-v0", entry_point=Many, max_episode_steps=5)
    with pytest.raises(ValueError, match="takes actions of MultiDiscrete"):
        catalog.make("gym:dreamer_bench_test/Many-v0")


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"camera": spaces.Box(0, 255, (64, 64, 3), np.uint8), "image": spaces.Box(-1, 1, (4,), np.float32)}, "name 'image'"),
        ({"image": spaces.Box(0, 1, (64, 64, 3), np.float32)}, "name 'image'"),
        ({"camera": spaces.Box(0, 255, (96, 96, 4), np.uint8)}, r"shape \[96, 96, 4\]; an image has 1 or 3 channels"),
        ({"camera": spaces.Box(0, 255, (4, 84, 84), np.uint8)}, "an image has 1 or 3 channels"),
    ],
)
def test_observations_that_would_be_shown_as_something_else_are_refused_in_one_line(parts, line, monkeypatch):
    """A vector overwritten by the picture, a float image under the key of uint8 ones, pictures of four channels as vectors."""
    monkeypatch.setattr(Painter, "observation_space", spaces.Dict(parts))
    with pytest.raises(ValueError, match=line) as refused:
        catalog.make(PAINTER)
    assert "\n" not in str(refused.value)
