"""World Models' controller: what a candidate is worth, how hot a dream is, and that the mean of the search acts."""

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents import catalog
from agents.api import AgentContext, TimeStep
from agents.behaviors.linear_controller import ArgmaxControl, FitnessSettings, TanhControl, imagined_returns
from agents.drawn import Drawn
from agents.learning.noise import SEARCH
from agents.models.categorical_latent import Categorical
from agents.models.dynamics_variants import MeanOnly
from agents.models.latents import Gaussian
from agents.speed import feed

VECTORS = spaces.Dict({"position": spaces.Box(-1, 1, (3,), np.float32)})
ACTIONS = {"continuous": spaces.Box(-1, 1, (2,), np.float32), "discrete": spaces.Discrete(3)}
TINY = {"stoch": 4, "deter": 8, "model_hidden": 8, "hidden": 8, "batch_sequences": 3, "batch_length": 7}
SEARCH_SIZE = {"search_population": 6, "search_starts": 5, "search_horizon": 3, "search_generations": 16}


def build(control="continuous", seeds=(0,), **options):
    entry = catalog.find("world_models")
    context = AgentContext(
        observation_space=VECTORS,
        action_space=ACTIONS[control],
        seeds=seeds,
        num_envs=1,
        action_repeat=1,
        budget_env_steps=10_000,
    )
    agent = entry.build(dataclasses.replace(entry.options("quick"), **{**TINY, **SEARCH_SIZE, **options}), context)
    feed(agent)
    return agent


def drawn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("discounted", [False, True])
@pytest.mark.parametrize("control", ACTIONS)
def test_a_candidates_return_is_the_mean_over_the_starts_of_its_own_dreams(control, discounted):
    """By a loop over candidates and starts, one dream each."""
    agent = build(control, predict_discount=True)
    model, width, features = agent.learner.lift.passes[0].module.world_model, agent.action_width, agent.sizes.features
    population, starts, horizon = 4, 3, 5
    weight, bias = drawn(population, width, features, seed=1), drawn(population, width, seed=2)
    start = {"deter": drawn(starts, 8, seed=3), "stoch": drawn(starts, 4, seed=4)}
    start |= {"mean": start["stoch"], "std": start["stoch"].exp()}
    noise = drawn(horizon, starts, 4, seed=5)
    settings = FitnessSettings(starts=starts, horizon=horizon, discounted=discounted)
    choose = ArgmaxControl() if control == "discrete" else TanhControl()
    with torch.no_grad():
        found = imagined_returns(model, choose, start, {"weight": weight, "bias": bias}, noise, settings)
        for k in range(population):
            returns = []
            for n in range(starts):
                state, total, counts = {name: leaf[n : n + 1] for name, leaf in start.items()}, 0.0, 1.0
                for t in range(horizon):
                    score = weight[k] @ model.features(state)[0] + bias[k]
                    action = torch.tanh(score) if control == "continuous" else torch.eye(width)[score.argmax()]
                    state = model.step(state, action[None], noise[t, n : n + 1])
                    total += counts * float(model.reward(model.features(state)))
                    counts *= float(model.discount(model.features(state))) if discounted else 1.0
                returns.append(total)
            assert float(found[k]) == pytest.approx(np.mean(returns), abs=1e-5)
    assert found.std() > 1e-3


def test_equal_candidates_have_equal_returns_because_starts_and_noise_are_common():
    agent = build()
    one = {"weight": drawn(1, 2, 12), "bias": drawn(1, 2)}
    candidates = {name: torch.cat([part, -part, part])[None] for name, part in one.items()}
    noise = agent.noise.draw(agent.evolution.specs, SEARCH, 0, 1)
    first, other, again = agent.learner.apply(agent.behavior.fitness, agent.sample(), candidates, noise)[0]
    torch.testing.assert_close(first, again, rtol=1e-6, atol=1e-6)  # rows of one product round by their place
    assert first != other


def test_heat_widens_a_gaussian_by_its_root_and_flattens_classes_by_itself():
    """Doom's dream: τ divides the logits of its mixture, √τ multiplies its deviations."""
    hot = Gaussian(2).heated({"mean": torch.ones(2), "std": torch.full((2,), 3.0)}, 4.0)
    assert torch.equal(hot["mean"], torch.ones(2))
    assert torch.equal(hot["std"], torch.full((2,), 6.0))

    logits = torch.tensor([[2.0, 0.0, -1.0]])
    latent = Categorical(1, 3)
    uniform = torch.from_numpy(np.random.default_rng(0).uniform(size=(200_000, 1, 3)).astype(np.float32))
    share = latent.sample(latent.heated({"logits": logits.expand(200_000, 1, 3)}, 4.0), uniform).mean(0)
    torch.testing.assert_close(share, torch.softmax(logits[0] / 4.0, 0), atol=5e-3, rtol=0)

    still = {"mean": torch.ones(2), "std": torch.ones(2)}
    assert MeanOnly(2).heated(still, 4.0) == still


def test_a_hot_step_draws_the_latent_further_from_the_same_mean_and_keeps_the_deterministic_state():
    model = build().learner.lift.passes[0].module.world_model
    state, action, noise = model.initial(2), drawn(2, 2), drawn(2, 4, seed=1)
    with torch.no_grad():
        cold, hot = model.step(state, action, noise), model.step(state, action, noise, 4.0)
    assert torch.equal(cold["deter"], hot["deter"])
    torch.testing.assert_close(hot["stoch"] - hot["mean"], 2.0 * (cold["stoch"] - cold["mean"]))


@pytest.mark.parametrize("control", ACTIONS)
def test_the_mean_of_the_search_acts(control):
    agent = build(control, seeds=(3, 4))
    assert not agent.learner.groups["controller"].values.any()  # the first mean is 0
    for _ in range(2):
        agent.update()
    step = Drawn(agent.context).step(is_first=True)
    action, carry = agent.act(agent.initial(1), step, explore=False)
    for s, strategy in enumerate(agent.evolution.strategies):
        features = torch.cat([carry.state["stoch"], carry.state["deter"]], -1)[s, 0].double().numpy()
        width = agent.action_width
        weight, bias = np.split(strategy.mean, [width * len(features)])
        scores = weight.reshape(width, -1) @ features + bias
        expected = np.tanh(scores) if control == "continuous" else scores.argmax()
        np.testing.assert_allclose(action[s, 0], expected, atol=1e-5)


def test_generations_are_spread_evenly_over_the_updates_of_a_training_call():
    agent = build(updates=16, search_generations=4)
    assert [agent.evolution.due(number, 16) for number in range(1, 17)] == [0, 0, 0, 1] * 4
    assert [agent.evolution.due(number, 1) for number in range(1, 4)] == [4, 4, 4]
    agent.update()
    assert agent.evolution.strategies[0].generation == 0
    for _ in range(15):
        agent.update()
    assert agent.evolution.strategies[0].generation == 4
    assert {"imagined_return", "best_imagined_return", "search_sigma"} <= agent.metrics().keys()


def test_a_dream_that_is_not_finite_ends_that_seeds_learning_and_leaves_its_neighbour_alone():
    agent, alone = build(seeds=(3, 4), updates=1), build(seeds=(4,), updates=1)
    bad = agent.learner.groups["world_model"]
    next(value for name, value in bad.views(bad.values).items() if name.startswith("reward_head"))[0] = torch.nan
    agent.evolution.generation(agent.sample())
    alone.evolution.generation(alone.sample())
    assert agent.diverged.tolist() == [True, False]
    np.testing.assert_array_equal(agent.evolution.strategies[0].mean, 0.0)
    np.testing.assert_allclose(agent.evolution.strategies[1].mean, alone.evolution.strategies[0].mean, atol=1e-6)
    agent.evolution.generation(agent.sample())
    assert np.isfinite(agent.act(agent.initial(1), Drawn(agent.context).step(), explore=False)[0]).all()


def test_an_agent_continues_to_the_bit_after_loading(tmp_path):
    """Weights, search and actions of 4 + 4 updates with a checkpoint between them are those of 8."""
    straight, before, after = (build(seeds=(3, 4), updates=8) for _ in range(3))
    folders = [tmp_path / "3", tmp_path / "4"]
    for folder in folders:
        folder.mkdir()
    for _ in range(4):
        straight.update()
        before.update()
    before.save(folders, before.initial(1))
    after.load(folders)
    for agent in (straight, after):
        for _ in range(4):
            agent.update()
    for name, group in straight.learner.groups.items():
        assert torch.equal(group.values, after.learner.groups[name].values), name
    for one, other in zip(straight.evolution.strategies, after.evolution.strategies):
        assert one.generation == other.generation == 16
        assert all(
            torch.equal(torch.as_tensor(value), torch.as_tensor(other.state()[key])) for key, value in one.state().items()
        )
    step = Drawn(straight.context).step(is_first=True)
    actions = [agent.act(agent.initial(1), step, explore=True)[0] for agent in (straight, after)]
    np.testing.assert_array_equal(*actions)


def test_one_batch_holds_candidates_starts_and_seeds(monkeypatch):
    agent = build(seeds=(3, 4, 5))
    calls, step_model = [], type(agent.learner.skeleton.world_model).step

    def counted(self, state, action, noise, temperature):
        calls.append(tuple(action.shape))  # of one seed: vmap hides the axis of seeds, a loop would call once for each
        return step_model(self, state, action, noise, temperature)

    monkeypatch.setattr(type(agent.learner.skeleton.world_model), "step", counted)
    agent.evolution.generation(agent.sample())
    assert calls == [(6 * 5, 2)] * 3


def test_a_time_step_of_two_seeds_takes_each_its_own_controller():
    agent = build(seeds=(3, 4), updates=1)
    agent.update()
    same = np.full((2, 1, 3), 0.3, np.float32)
    step = TimeStep({"position": same}, np.zeros((2, 1), np.float32), *[np.full((2, 1), flag) for flag in (True, False, False)])
    action, _ = agent.act(agent.initial(1), step, explore=False)
    assert not np.allclose(action[0], action[1])
