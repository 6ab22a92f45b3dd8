"""Timings of the arms: one update (world model and behaviour), and one decision for 1 and for 8 environments.

Sizes are those of the "quick" profile on a 64x64 image and one seed, on the CPU; `--benchmark-json` keeps the numbers.
"""

import numpy as np
import pytest
from gymnasium import spaces

from agents import catalog
from agents.api import AgentContext, TimeStep

pytestmark = pytest.mark.benchmark_suite

ARMS = ("dreamer", "no_value", "planet", "sac", "world_models")
OBSERVATION = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8)})
ACTION = spaces.Box(-1.0, 1.0, (1,), np.float32)


def built(name):
    entry = catalog.find(name)
    context = AgentContext(
        observation_space=OBSERVATION, action_space=ACTION, seeds=(0,), num_envs=1, action_repeat=4, budget_env_steps=20_000
    )
    return entry.build(entry.options("quick"), context)


def arrival(generator, num_envs, row):
    image = generator.integers(0, 256, (1, num_envs, 64, 64, 3), dtype=np.uint8)
    first, last = (np.full((1, num_envs), row % 40 == place) for place in (0, 39))
    return TimeStep({"image": image}, np.zeros((1, num_envs), np.float32), first, last, np.zeros_like(last))


@pytest.mark.parametrize("name", ARMS)
def test_update(benchmark, name):
    agent, generator = built(name), np.random.default_rng(0)
    for row in range(80):
        agent.observe(generator.uniform(-1, 1, (1, 1, 1)).astype(np.float32), arrival(generator, 1, row), np.ones((1, 1), bool))
    benchmark.pedantic(agent.update, rounds=10, warmup_rounds=2)


@pytest.mark.parametrize("num_envs", [1, 8])
@pytest.mark.parametrize("name", ARMS)
def test_decision(benchmark, name, num_envs):
    agent, step = built(name), arrival(np.random.default_rng(0), num_envs, 0)
    carry = agent.initial(num_envs)
    benchmark.pedantic(agent.act, args=(carry, step), kwargs={"explore": False}, rounds=10, warmup_rounds=2)
