"""Dreamer from images to actions through its contract, on probes whose best return is known.

tests/agents/recipes/test_arms_on_probes.py has the same tasks as vectors, for every arm.
"""

import pytest

from agents.recipes import dreamer
from suites import probes
from tests.agents.driving import Driver, mean_return

SMALL = dreamer.Options(
    stoch=8,
    deter=32,
    model_hidden=32,
    depth=2,
    hidden=32,
    batch_sequences=8,
    batch_length=9,
    horizon=5,
    discount=0.9,
    init_std=1.0,
    model_learning_rate=4e-3,
    actor_learning_rate=1e-3,
    value_learning_rate=2e-3,
    free_nats=0.5,
    prefill_env_steps=200,
    pretrain_updates=150,
    update_every_env_steps=8,
    updates=4,
    reward_layers=1,
    actor_layers=2,
    value_layers=2,
)


@pytest.mark.parametrize("probe", ["probe_two_step"])
def test_dreamer_reaches_nine_tenths_of_the_optimum_from_pixels(probe):
    def make():
        return probes.make(probe, probes.Options())

    driver = Driver(make, (0,))
    agent = dreamer.build(SMALL, driver.context)
    driver.train(agent, agent.initial(1), 240)
    assert mean_return(agent, make, 4) >= 0.9 * make().optimal_return
