"""The benchmark's claim: the arms differ only in how they choose actions. The world model and its gradients are the same."""

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents import catalog
from agents.api import AgentContext, TimeStep
from agents.learning.lifting import LoopOverSeeds, Vmap

ARMS = ("dreamer", "no_value", "planet", "sac", "world_models")
TINY = {
    "stoch": 3,
    "deter": 8,
    "model_hidden": 8,
    "hidden": 8,
    "depth": 1,
    "batch_sequences": 3,
    "batch_length": 8,
    "prefill_env_steps": 0,
}
OBSERVATION = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8), "vector": spaces.Box(-1, 1, (2,), np.float32)})
ACTIONS = {"continuous": spaces.Box(-1.0, 1.0, (2,), np.float32), "discrete": spaces.Discrete(3)}
PROFILES = {"continuous": "paper", "discrete": "discrete"}


def built(name, control, seeds=(5,), **chosen):
    entry = catalog.find(name)
    options = entry.options(PROFILES[control])
    shared = {field.name for field in dataclasses.fields(options)}
    small = {
        "planner_candidates": 4,
        "planner_elites": 2,
        "planner_iterations": 1,
        "planner_horizon": 2,
        "horizon": 3,
        "search_population": 6,
        "search_starts": 2,
        "search_horizon": 2,
        "search_generations": 100,  # one after every update
    }
    options = dataclasses.replace(options, **TINY, **{key: value for key, value in small.items() if key in shared}, **chosen)
    context = AgentContext(
        observation_space=OBSERVATION,
        action_space=ACTIONS[control],
        seeds=seeds,
        num_envs=1,
        action_repeat=1,
        budget_env_steps=100,
    )
    return entry.build(options, context)


def feed(agent, control):
    """Two episodes of 12 rows, the same for every agent; no simulator."""
    generator = np.random.default_rng(0)
    for row in range(24):
        observation = {
            "image": generator.integers(0, 256, (1, 1, 64, 64, 3), dtype=np.uint8),
            "vector": generator.uniform(-1, 1, (1, 1, 2)).astype(np.float32),
        }
        flag = [np.full((1, 1), row % 12 == place) for place in (0, 11)]
        action = (
            generator.integers(0, 3, (1, 1))
            if control == "discrete"
            else generator.uniform(-1, 1, (1, 1, 2)).astype(np.float32)
        )
        reward = np.where(flag[0], 0.0, generator.normal(size=(1, 1))).astype(np.float32)
        agent.observe(action, TimeStep(observation, reward, *flag, flag[1]), np.ones((1, 1), bool))


def world(agent):
    group = agent.learner.groups["world_model"]
    return {name: value.clone() for name, value in group.views(group.values).items()}, group.gradient.clone()


@pytest.mark.parametrize("control", ACTIONS)
def test_all_arms_hold_the_same_world_model_and_train_it_alike(control):
    agents = {name: built(name, control) for name in ARMS}
    reference, _ = world(agents["dreamer"])
    assert any(parameter.abs().sum() > 0 for parameter in reference.values())
    for name, agent in agents.items():
        parameters, _ = world(agent)
        assert list(parameters) == list(reference), name
        for key, value in parameters.items():
            assert value.shape == reference[key].shape, (name, key)
            assert torch.equal(value, reference[key]), (name, key)

    for agent in agents.values():
        feed(agent, control)
    for _ in range(2):  # the second update shows that no behaviour has moved the model, its batches or its noise
        losses = {}
        for name, agent in agents.items():
            agent.update()
            losses[name] = agent.metrics()["model_loss"].tolist()
        assert all(loss == losses["dreamer"] for loss in losses.values()), losses
        _, gradient = world(agents["dreamer"])
        assert gradient.abs().sum() > 0
        for name, agent in agents.items():
            assert torch.equal(world(agent)[1], gradient), name
            assert all(torch.equal(value, world(agents["dreamer"])[0][key]) for key, value in world(agent)[0].items()), name


@pytest.mark.parametrize("control", ACTIONS)
def test_what_an_arm_adds_to_the_world_model(control):
    added = {name: sorted(set(built(name, control).learner.groups) - {"world_model"}) for name in ARMS}
    assert added == {
        "dreamer": ["actor", "value"],
        "no_value": ["actor"],
        "planet": [],
        "sac": ["actor", "critic", "slow_critic", "temperature"],
        "world_models": ["controller"],
    }


@pytest.mark.parametrize("control", ACTIONS)
@pytest.mark.parametrize("name", ARMS)
def test_every_arm_acts_in_the_space_it_is_given(name, control):
    agent = built(name, control, seeds=(5, 6))
    generator = np.random.default_rng(1)
    image = generator.integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)
    observation = {"image": image, "vector": np.zeros((2, 3, 2), np.float32)}
    flags = [np.full((2, 3), value) for value in (True, False, False)]
    step = TimeStep(observation, np.zeros((2, 3), np.float32), *flags)
    for explore in (True, False):
        action, _ = agent.act(agent.initial(3), step, explore=explore)
        assert action.shape == ((2, 3) if control == "discrete" else (2, 3, 2))
        assert all(ACTIONS[control].contains(choice) for row in action for choice in row)


@pytest.mark.parametrize("control", ACTIONS)
@pytest.mark.parametrize("name", ARMS)
def test_every_arm_learns_the_same_whether_seeds_are_looped_over_or_lifted_together(name, control):
    agents = {}
    for name_of_lift, lift in {"loop": LoopOverSeeds, "vmap": Vmap}.items():
        agent = agents[name_of_lift] = built(name, control)
        agent.learner.lift = lift(agent.learner.skeleton, agent.learner.groups)
        feed(agent, control)
        agent.update()
    for group, looped in agents["loop"].learner.groups.items():
        torch.testing.assert_close(agents["vmap"].learner.groups[group].values, looped.values, atol=1e-5, rtol=1e-3)


def test_planet_icml_keeps_its_own_settings_and_refuses_discrete_actions():
    entry = catalog.find("planet-icml")
    options = entry.options("paper")
    assert (options.hidden, options.activation, options.image_bits, options.reward_scale) == (200, "relu", 5, 10.0)
    assert (options.model_learning_rate, options.adam_epsilon, options.clip_norm) == (1e-3, 1e-4, 1000.0)
    for asked in (options, entry.options("discrete")):  # a protocol of discrete actions asks with its own profile
        assert "continuous actions only" in entry.refuses(asked, OBSERVATION, ACTIONS["discrete"])
    assert entry.refuses(options, OBSERVATION, ACTIONS["continuous"]) is None


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("planet", {"overshooting_distance": 8}, "an overshooting distance from 2 to 7 fits sequences of 8 rows, got 8"),
    ],
)
def test_a_setting_without_meaning_is_refused_before_the_agent_plays(name, settings, message):
    entry = catalog.find(name)
    options = dataclasses.replace(entry.options("paper"), **TINY, **settings)
    context = AgentContext(
        observation_space=OBSERVATION,
        action_space=ACTIONS["continuous"],
        seeds=(0,),
        num_envs=1,
        action_repeat=1,
        budget_env_steps=100,
    )
    with pytest.raises(ValueError, match=message):
        entry.build(options, context)


@pytest.mark.parametrize("name", [name for name in ARMS if name != "sac"])
def test_the_options_of_epsilon_reach_every_arm_that_explores_by_it(name):
    """From 0.4 to 0.02 in 600 updates: 0.4 - 0.38 / 4 after 150, and 0.02 for ever after."""
    behavior = built(name, "discrete", epsilon_end=0.02, epsilon_updates=600).behavior
    explored = getattr(behavior, "exploration", None) or behavior.policy.exploration
    assert [round(float(explored.probability(torch.tensor(n))), 6) for n in (0, 150, 600, 9_000)] == [0.4, 0.305, 0.02, 0.02]
