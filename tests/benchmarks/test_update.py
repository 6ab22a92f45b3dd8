"""Times on the CPU: an update, a decision, a batch from replay; and the yardstick at the paper's size.

The yardstick gains here from what the agent told the allocator of this process; apart they are in beside_plain.py.
"""

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.api import AgentContext, TimeStep
from agents.recipes import dreamer
from tests.benchmarks.plain_dreamer import PlainDreamer

pytestmark = pytest.mark.benchmark_suite

SPACE = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8)})
ACTIONS = spaces.Box(-1, 1, (6,), np.float32)


def filled(profile, seeds, rows=300, **changes):
    """An agent whose replay holds three episodes of drawn images, and its last TimeStep."""
    context = AgentContext(
        observation_space=SPACE,
        action_space=ACTIONS,
        seeds=tuple(range(seeds)),
        num_envs=1,
        action_repeat=2,
        budget_env_steps=10_000,
    )
    agent = dreamer.build(dataclasses.replace(dreamer.PROFILES[profile], **changes), context)
    generator, all_lanes = np.random.default_rng(0), np.ones((seeds, 1), bool)
    for t in range(rows):
        step = TimeStep(
            {"image": generator.integers(0, 256, (seeds, 1, 64, 64, 3), dtype=np.uint8)},
            generator.random((seeds, 1), np.float32),
            np.full((seeds, 1), t % 100 == 0),
            np.full((seeds, 1), t % 100 == 99),
            np.zeros((seeds, 1), bool),
        )
        agent.observe(generator.uniform(-1, 1, (seeds, 1, 6)).astype(np.float32), step, all_lanes)
    return agent, step


@pytest.mark.parametrize("seeds", [1, 3])
def test_update_quick(benchmark, seeds):
    agent, _ = filled("quick", seeds)
    benchmark.pedantic(agent.update, warmup_rounds=2, rounds=10)


def test_update_paper(benchmark):
    agent, _ = filled("paper", 1)
    benchmark.pedantic(agent.update, warmup_rounds=1, rounds=3)


def test_update_paper_written_the_plain_way(benchmark):
    plain = PlainDreamer(6)
    data = torch.rand(50, 50, 3, 64, 64) - 0.5, torch.rand(50, 50, 6) * 2 - 1, torch.rand(50, 50)
    benchmark.pedantic(plain.update, data, warmup_rounds=1, rounds=3)


@pytest.mark.parametrize("explore", [True, False], ids=["explore", "evaluate"])
@pytest.mark.parametrize(("profile", "seeds"), [("quick", 3), ("paper", 1)])
def test_act(benchmark, profile, seeds, explore):
    agent, step = filled(profile, seeds, rows=1)
    agent.next_update_env_steps = 0  # past the random actions, which ask the actor nothing
    benchmark(agent.act, agent.initial(1), step, explore=explore)


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_replay_sample(benchmark, profile):
    agent, _ = filled(profile, 1)
    benchmark(agent.sample)
