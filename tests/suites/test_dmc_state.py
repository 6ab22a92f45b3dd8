"""DeepMind Control from the tasks' own vectors: dm_control's own numbers, and no renderer."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import util

import numpy as np
import pytest

from suites import catalog, conformance, dmc

if util.find_spec("dm_control") is None:
    pytest.skip("dm_control is not installed", allow_module_level=True)

needs_frames = pytest.mark.skipif(dmc.unavailable("dmc_walker_walk") is not None, reason="no EGL")


@pytest.mark.parametrize("task", dmc.TASKS)
def test_every_task_keeps_the_contract_from_state(task):
    assert conformance.check_suite(task, steps=3, observation="state", action_repeat=2) == []


@pytest.mark.parametrize(
    ("task", "domain", "name"),
    [
        ("dmc_walker_walk", "walker", "walk"),
        ("dmc_cartpole_swingup", "cartpole", "swingup"),
        ("dmc_cup_catch", "ball_in_cup", "catch"),
    ],
)
def test_vectors_and_rewards_are_dm_controls_own(task, domain, name):
    from dm_control import suite

    ours, theirs = (
        catalog.make(task, observation="state", action_repeat=2),
        suite.load(domain, name, task_kwargs={"random": 11}),
    )
    observation, _ = ours.reset(seed=11)
    arrived = theirs.reset()
    generator = np.random.default_rng(0)
    for _ in range(20):
        for key, value in arrived.observation.items():
            np.testing.assert_array_equal(observation[key], np.asarray(value, np.float32).reshape(-1))
        action = generator.uniform(-1, 1, ours.action_space.shape).astype(np.float32)
        observation, reward, *_ = ours.step(action)
        rewards = []
        for _ in range(2):
            arrived = theirs.step(action.astype(np.float64))
            rewards.append(arrived.reward)
        assert reward == pytest.approx(sum(rewards), abs=1e-12)


@needs_frames
def test_both_is_the_vectors_beside_the_image():
    both, state, pixels = (
        catalog.make("dmc_walker_walk", look="fast", observation=kind) for kind in ("both", "state", "pixels")
    )
    seen, vectors, image = (environment.reset(seed=5)[0] for environment in (both, state, pixels))
    assert seen.keys() == vectors.keys() | image.keys()
    for key, value in {**vectors, **image}.items():
        np.testing.assert_array_equal(seen[key], value)
    assert {key: space.shape for key, space in both.observation_space.spaces.items()} == {
        key: value.shape for key, value in seen.items()
    }


def test_another_observation_is_refused_in_one_line():
    with pytest.raises(ValueError, match="observation must be one of pixels, state, both, got 'features'"):
        catalog.make("dmc_walker_walk", observation="features")


def test_state_needs_no_library_of_a_renderer(monkeypatch):
    monkeypatch.setattr(dmc, "loads_library", lambda library: False)
    monkeypatch.setenv("MUJOCO_GL", "egl")
    catalog.make("dmc_cartpole_balance", observation="state").reset(seed=0)
    with pytest.raises(ValueError, match="libEGL"):
        catalog.make("dmc_cartpole_balance")


def in_a_process(code: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_state_loads_no_renderer_and_leaves_the_choice_of_one_alone():
    assert (
        in_a_process(
            "import os, sys\n"
            "from suites import catalog\n"
            "catalog.make('dmc_cartpole_balance', observation='state').reset(seed=0)\n"
            "print('OpenGL' in sys.modules, 'glfw' in sys.modules, os.environ.get('MUJOCO_GL'))"
        )
        == "False False None"
    )


@needs_frames
def test_frames_after_state_in_one_process_are_those_of_a_fresh_process():
    draw = "print(int(catalog.make('dmc_walker_walk', look='fast').reset(seed=3)[0]['image'].sum()))"
    fresh = in_a_process("from suites import catalog\n" + draw)
    later = in_a_process(
        "from suites import catalog\ncatalog.make('dmc_walker_walk', observation='state').reset(seed=3)\n" + draw
    )
    assert later == fresh != "0"
