"""DeepMind Control: dm_control's own pixels, physics and rewards, seeded episodes, limits that are never terminations."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from suites import catalog, conformance, dmc

if dmc.unavailable("dmc_walker_walk") is not None:
    pytest.skip(str(dmc.unavailable("dmc_walker_walk")), allow_module_level=True)

FAST = {"look": "fast", "action_repeat": 2}


def original(domain: str, task: str, seed: int):
    """dm_control as its own users load it."""
    from dm_control import suite

    return suite.load(domain, task, task_kwargs={"random": seed})


def actions_for(environment, count: int, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.uniform(-1, 1, environment.action_space.shape).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("task", dmc.TASKS)
def test_every_task_keeps_the_contract(task):
    assert conformance.check_suite(task, steps=3, **FAST) == []


def test_the_twenty_tasks_are_those_of_the_paper():
    from dm_control import suite

    assert len(dmc.TASKS) == 20
    pairs = {(name.split("_")[1].replace("cup", "ball_in_cup"), name.split("_", 2)[2]) for name in dmc.TASKS}
    assert pairs <= set(suite.ALL_TASKS)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("cup_catch", "dmc_cup_catch"),
        ("ball_in_cup_catch", "dmc_cup_catch"),
        ("dmc_ball_in_cup_catch", "dmc_cup_catch"),
        ("walker_walk", "dmc_walker_walk"),
    ],
)
def test_aliases_lead_to_one_name(name, task):
    assert catalog.resolve(name) == task


@pytest.mark.parametrize(
    ("task", "domain", "name", "camera"),
    [
        ("dmc_walker_walk", "walker", "walk", 0),
        ("dmc_cartpole_balance", "cartpole", "balance", 0),
        ("dmc_quadruped_run", "quadruped", "run", 2),
        ("dmc_cup_catch", "ball_in_cup", "catch", 0),
    ],
)
def test_frames_are_dm_controls_own_to_the_bit(task, domain, name, camera):
    """The same seed and actions in dm_control itself, drawn by physics.render of another physics and another GL context."""
    ours, theirs = catalog.make(task, action_repeat=2), original(domain, name, 11)
    spec = theirs.action_spec()
    observation, _ = ours.reset(seed=11)
    theirs.reset()
    np.testing.assert_array_equal(observation["image"], theirs.physics.render(64, 64, camera_id=camera))
    for action in actions_for(ours, 3):
        observation, reward, *_ = ours.step(action)
        control = spec.minimum + (action.astype(np.float64) + 1) / 2 * (spec.maximum - spec.minimum)
        expected = sum(theirs.step(control).reward for _ in range(2))
        np.testing.assert_array_equal(observation["image"], theirs.physics.render(64, 64, camera_id=camera))
        np.testing.assert_array_equal(observation["image"], ours.unwrapped.physics.render(64, 64, camera_id=camera))
        assert reward == pytest.approx(expected, abs=1e-6)
    ours.close()


def test_the_fast_look_changes_pixels_and_nothing_else():
    plain, fast = (catalog.make("dmc_walker_walk", look=look) for look in ("reference", "fast"))
    images = [environment.reset(seed=2)[0]["image"] for environment in (plain, fast)]
    assert not np.array_equal(*images)
    for action in actions_for(plain, 3):
        assert plain.step(action)[1] == fast.step(action)[1]
    np.testing.assert_array_equal(plain.unwrapped.physics.get_state(), fast.unwrapped.physics.get_state())
    plain.close()
    fast.close()


@pytest.mark.parametrize("task", ["dmc_finger_turn_hard", "dmc_quadruped_walk", "dmc_cheetah_run", "dmc_reacher_easy"])
def test_a_seed_decides_the_whole_simulator_state_whatever_came_before(task):
    """Also the warm start of the solver and the targets that are part of the model."""
    used, fresh = catalog.make(task, **FAST), catalog.make(task, **FAST)
    used.reset(seed=1)
    for action in actions_for(used, 20, seed=9):
        used.step(action)
    used.reset()
    for environment in (used, fresh):
        environment.reset(seed=5)
    one, other = used.unwrapped.physics, fresh.unwrapped.physics
    for action in [None, *actions_for(used, 10)]:
        if action is not None:
            used.step(action)
            fresh.step(action)
        for field in ("qpos", "qvel", "act", "qacc_warmstart", "ctrl", "sensordata", "time"):
            np.testing.assert_array_equal(getattr(one.data, field), getattr(other.data, field))
        for field in ("geom_pos", "geom_size", "site_pos", "site_size"):
            np.testing.assert_array_equal(getattr(one.model, field), getattr(other.model, field))
    used.close()
    fresh.close()


def test_an_episode_is_the_same_in_another_process():
    code = (
        "import json; from suites import catalog, conformance\n"
        "print(json.dumps([conformance.episode_digest(catalog.make(task, look='fast'), 3, 5) "
        "for task in ('dmc_walker_walk', 'dmc_quadruped_run', 'dmc_hopper_hop')]))"
    )
    here = [
        conformance.episode_digest(catalog.make(task, look="fast"), 3, 5)
        for task in ("dmc_walker_walk", "dmc_quadruped_run", "dmc_hopper_hop")
    ]
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == here


def test_seeds_beyond_32_bits_are_used_whole():
    environment = catalog.make("dmc_cartpole_swingup", **FAST)
    images = [environment.reset(seed=seed)[0]["image"] for seed in (1, 1 + 2**32, 1 + 2**33, 1)]
    assert np.array_equal(images[0], images[3])
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[1], images[2])
    environment.close()


def test_an_episode_is_a_thousand_env_steps_and_is_truncated_not_terminated():
    environment = catalog.make("dmc_pendulum_swingup", look="fast", action_repeat=50)
    environment.reset(seed=0)
    ends = [environment.step(action)[2:4] for action in actions_for(environment, 20)]
    assert ends == [(False, False)] * 19 + [(False, True)]
    with pytest.raises(RuntimeError, match="reset before"):
        environment.step(environment.action_space.sample())
    environment.close()


def test_a_limit_inside_a_repeat_cuts_the_repeat():
    environment = catalog.make("dmc_pendulum_swingup", look="fast", action_repeat=4, time_limit_env_steps=6)
    environment.reset(seed=0)
    counts = [environment.step(action)[4]["env_steps"] for action in actions_for(environment, 2)]
    assert counts == [4, 2]
    assert environment.unwrapped.physics.data.time == pytest.approx(6 * 0.02)
    environment.close()


def test_actions_reach_the_bounds_of_the_simulator():
    environment = catalog.make("dmc_quadruped_walk", **FAST)
    environment.reset(seed=0)
    bounds = environment.unwrapped.physics.model.actuator_ctrlrange
    for edge, column in ((-1.0, 0), (1.0, 1)):
        environment.step(np.full(12, edge, np.float32))
        np.testing.assert_allclose(environment.unwrapped.physics.data.ctrl, bounds[:, column], atol=1e-7)
    environment.close()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"look": "pretty"}, "look must be one of reference, fast"),
        ({"action_repeat": 0}, "action_repeat must be a whole number at least 1"),
        ({"camera": 9}, "has the cameras 0 to"),
        ({"lok": "fast"}, "did you mean 'look'"),
    ],
)
def test_bad_options_are_one_line(options, line):
    with pytest.raises(ValueError, match=line) as caught:
        catalog.make("dmc_walker_walk", **options)
    assert "\n" not in str(caught.value)


def without_egl(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where loading libEGL fails, as on a system that lacks it."""
    prelude = (
        "import ctypes; real = ctypes.CDLL.__init__\n"
        "def load(self, name, *rest, **more):\n"
        "    if name and 'EGL' in str(name): raise OSError('no ' + str(name))\n"
        "    real(self, name, *rest, **more)\n"
        "ctypes.CDLL.__init__ = load\n"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY")}
    return subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True, env=environment, check=False)


def test_without_egl_one_line_says_what_to_install():
    code = "from suites import catalog\ntry: catalog.make('dmc_walker_walk')\nexcept ValueError as error: print(error)"
    answer = without_egl(code)
    assert answer.stdout.count("\n") == 1, answer.stderr
    assert "libegl1" in answer.stdout


@pytest.mark.parametrize("backend", ["egl", "osmesa"])
def test_closing_is_quiet(backend):
    if backend == "osmesa" and not dmc.loads_library("libOSMesa.so.8"):
        pytest.skip("libOSMesa.so.8 is not on this system")
    code = (
        "from suites import catalog\n"
        "for seed in range(2):\n"
        "    environment = catalog.make('dmc_cartpole_balance', look='fast'); environment.reset(seed=seed)\n"
        "    environment.close(); environment.close()"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, "MUJOCO_GL": backend}
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_gl_renderer_is_named():
    assert catalog.gl_renderer()


@pytest.mark.parametrize(
    ("environment", "cure"),
    [
        ({"MUJOCO_GL": "glfw"}, "set MUJOCO_GL=egl"),
        ({"DISPLAY": ":99"}, "DISPLAY=:99 does not answer"),
        ({"MUJOCO_GL": "nonsense"}, "unset MUJOCO_GL, or set it to egl"),
        ({"MUJOCO_GL": "disable"}, "unset MUJOCO_GL, or set it to egl"),
        ({"MUJOCO_GL": "egl", "MUJOCO_EGL_DEVICE_ID": "7"}, "unset MUJOCO_EGL_DEVICE_ID"),
        ({"MUJOCO_GL": "egl", "MUJOCO_EGL_DEVICE_ID": "x"}, "unset MUJOCO_EGL_DEVICE_ID"),
        ({"MUJOCO_GL": "egl", "PYOPENGL_PLATFORM": "osmesa"}, "unset PYOPENGL_PLATFORM"),
    ],
)
def test_every_kind_of_missing_renderer_is_one_line_with_its_own_cure(environment, cure):
    code = (
        "from suites import catalog\ntry: catalog.make('dmc_cartpole_balance').reset(seed=0)\n"
        "except ValueError as error: print(error)"
    )
    clean = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "DISPLAY", "PYOPENGL_PLATFORM")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**clean, **environment})
    assert "Traceback" not in done.stderr
    assert cure in done.stdout
    assert done.stdout.count("\n") == 1
