"""Environment frames: ours, one and eight in parallel, beside the usual ways in the same run.

A "frame" here is one decision: the repeats, one rendered or pooled image, and its way to the caller. Run on a quiet machine:

    python -m pytest tests/benchmarks/test_environments.py -m benchmark_suite --benchmark-columns=median,iqr,rounds

The yardsticks: dm_control's own `pixels.Wrapper` (which renders at every control step, twice per decision at action repeat
2; and one that is asked to render only once), gymnasium's `AtariPreprocessing` (needs opencv) and `AsyncVectorEnv`.
"""

from __future__ import annotations

from functools import partial

import gymnasium
import numpy as np
import pytest

from suites import catalog, dmc
from suites.lanes import Lanes

pytestmark = pytest.mark.benchmark_suite

IN_PARALLEL = 8
WORKERS = 2
needs_frames = pytest.mark.skipif(dmc.unavailable("dmc_walker_walk") is not None, reason="no dm_control or no EGL")
TASKS = [
    pytest.param(name, options, marks=needs_frames if name.startswith("dmc") else (), id=label)
    for label, name, options in (
        ("dmc-walker-reference", "dmc_walker_walk", {"look": "reference"}),
        ("dmc-walker-fast", "dmc_walker_walk", {"look": "fast"}),
        ("dmc-cartpole-reference", "dmc_cartpole_balance", {"look": "reference"}),
        ("dmc-cartpole-fast", "dmc_cartpole_balance", {"look": "fast"}),
        ("dmc-quadruped-reference", "dmc_quadruped_walk", {"look": "reference"}),
        ("atari-pong-colour", "atari_pong", {}),
        ("atari-pong-grey", "atari_pong", {"colour": False}),
        ("gym-pendulum", "gym:Pendulum-v1", {}),
        ("probe-count", "probe_count", {"time_limit_env_steps": 10**6}),
    )
]
PAIRS = {"walker": ("walker", "walk"), "cartpole": ("cartpole", "balance"), "quadruped": ("quadruped", "walk")}


def measured(benchmark, step, frames: int, rounds: int = 25) -> None:
    """Times `step`, and says how many frames a second that is."""
    benchmark.extra_info["frames_per_call"] = frames
    benchmark.pedantic(step, rounds=rounds, iterations=1, warmup_rounds=3)
    benchmark.extra_info["frames_per_second"] = round(frames / benchmark.stats.stats.median, 1)


def lanes_step(lanes: Lanes):
    lanes.reset(range(1, lanes.count + 1))
    generator = np.random.default_rng(0)
    shape = (lanes.count, *lanes.action_space.shape)

    def actions() -> np.ndarray:
        discrete = isinstance(lanes.action_space, gymnasium.spaces.Discrete)
        return generator.integers(lanes.action_space.n, size=shape) if discrete else generator.uniform(-1, 1, shape)

    def step() -> None:
        stepped = lanes.step(actions())
        ended = np.flatnonzero(stepped.terminated | stepped.truncated)
        if ended.size:
            lanes.reset({int(lane): 1 for lane in ended})

    return step


@pytest.mark.parametrize(("task", "options"), TASKS)
def test_one_environment(benchmark, task, options):
    lanes = Lanes(task, 1, **options)
    measured(benchmark, lanes_step(lanes), 1)
    lanes.close()


@pytest.mark.parametrize("workers", [0, WORKERS])
@pytest.mark.parametrize(("task", "options"), TASKS)
def test_eight_environments(benchmark, task, options, workers):
    lanes = Lanes(task, IN_PARALLEL, workers=workers, **options)
    measured(benchmark, lanes_step(lanes), IN_PARALLEL, rounds=10)
    lanes.close()


@needs_frames
@pytest.mark.parametrize("domain", PAIRS)
@pytest.mark.parametrize("renders", ["every-control-step", "once-per-decision"])
def test_yardstick_dm_control(benchmark, domain, renders):
    """pixels.Wrapper as it comes, and physics.render called once after the last repeat: the usual careful way."""
    from dm_control import suite
    from dm_control.suite.wrappers import pixels

    camera = 2 if domain == "quadruped" else 0
    plain = suite.load(*PAIRS[domain], task_kwargs={"random": 1})
    wrapped = pixels.Wrapper(plain, render_kwargs={"height": 64, "width": 64, "camera_id": camera})
    environment = wrapped if renders == "every-control-step" else plain
    environment.reset()
    generator, spec = np.random.default_rng(0), environment.action_spec()

    def step() -> None:
        action = generator.uniform(spec.minimum, spec.maximum)
        for _ in range(2):
            arrived = environment.step(action)
            if arrived.last():
                environment.reset()
        if environment is plain:
            plain.physics.render(64, 64, camera_id=camera)

    measured(benchmark, step, 1)
    plain.close()


def make_preprocessed(grey: bool) -> gymnasium.Env:
    import ale_py

    gymnasium.register_envs(ale_py)
    game = gymnasium.make("ALE/Pong-v5", frameskip=1, repeat_action_probability=0.25, full_action_space=True)
    return gymnasium.wrappers.AtariPreprocessing(game, screen_size=64, grayscale_obs=grey, grayscale_newaxis=True)


@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
def test_yardstick_gymnasium_atari(benchmark, grey):
    pytest.importorskip("cv2", reason="gymnasium's AtariPreprocessing needs opencv-python")
    pytest.importorskip("ale_py")
    environment = make_preprocessed(grey)
    environment.reset(seed=1)
    generator = np.random.default_rng(0)

    def step() -> None:
        _, _, terminated, truncated, _ = environment.step(generator.integers(18))
        if terminated or truncated:
            environment.reset(seed=1)

    measured(benchmark, step, 1)
    environment.close()


@pytest.mark.parametrize(
    ("task", "options"),
    [entry for entry in TASKS if entry.id in ("dmc-cartpole-fast", "dmc-walker-reference", "atari-pong-colour", "probe-count")],
)
def test_yardstick_async_vector_env(benchmark, task, options):
    """gymnasium's own worker processes, one per environment, with shared memory; environments of our catalog."""
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode

    vector = AsyncVectorEnv(
        [partial(catalog.make, task, **options)] * IN_PARALLEL,
        shared_memory=True,
        context="spawn",
        autoreset_mode=AutoresetMode.NEXT_STEP,
    )
    vector.reset(seed=1)
    vector.action_space.seed(0)
    measured(benchmark, lambda: vector.step(vector.action_space.sample()), IN_PARALLEL, rounds=10)
    vector.close()
