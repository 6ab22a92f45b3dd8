"""The update: what each loss trains, seeds side by side, clipping, Adam, and a seed that diverges."""

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.api import AgentContext
from agents.behaviors.api import OptimizerSettings
from agents.learning.lifting import LoopOverSeeds, Vmap
from agents.learning.model_based import ModelBasedAgent
from agents.learning.optimiser import Group
from agents.models import rssm
from agents.recipes import dreamer

SPACE = spaces.Dict({"vector": spaces.Box(-np.inf, np.inf, (3,), np.float32)})
PIXELS = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8)})
OPTIONS = dreamer.Options(
    stoch=4,
    deter=6,
    model_hidden=6,
    hidden=8,
    depth=2,
    horizon=4,
    batch_sequences=3,
    batch_length=5,
    predict_discount=True,
    actor_layers=1,
    value_layers=1,
    discount_layers=1,
    reward_layers=1,
)


def agent(seeds, *, lift=LoopOverSeeds, space=SPACE, options=OPTIONS):
    context = AgentContext(
        observation_space=space,
        action_space=spaces.Box(-1, 1, (2,), np.float32),
        seeds=seeds,
        num_envs=1,
        action_repeat=1,
        budget_env_steps=1000,
    )
    behavior = dreamer.build(options, context).behavior
    return ModelBasedAgent(
        context=context,
        world_model=options.world_model(space),
        behavior=behavior,
        model_optimizer=options.optimizer(options.model_learning_rate),
        schedule=options.schedule(),
        lift=lift,
    )


def batch(seeds, space=SPACE):
    """A function of the seed alone, as replay gives it: [S, T, B, ...]."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        one = {
            "action": torch.rand(5, 3, 2, generator=generator) * 2 - 1,
            "reward": torch.randn(5, 3, generator=generator),
            "is_first": torch.zeros(5, 3),
            "is_terminal": torch.zeros(5, 3),
        }
        one["is_first"][0] = one["is_terminal"][3, 1] = one["is_first"][4, 1] = 1
        if "image" in space.spaces:
            one["image"] = torch.randint(0, 256, (5, 3, 64, 64, 3), dtype=torch.uint8, generator=generator)
        else:
            one["vector"] = torch.randn(5, 3, 3, generator=generator)
        rows.append(one)
    return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}


def update(subject, data, times=1):
    for step in range(times):
        subject.learner.update(
            data, subject.noise.draw(subject.model_noise, 2, step, 0), [subject.noise.draw(subject.loss_noise, 2, step, 1)]
        )


def gradients(subject, s):
    return {name: group.gradient[s].clone() for name, group in subject.learner.groups.items()}


def values(subject, s):
    return torch.cat([group.values[s] for group in subject.learner.groups.values()])


@pytest.mark.parametrize("space", [SPACE, PIXELS], ids=["vector", "image"])
@pytest.mark.parametrize("lift", [LoopOverSeeds, Vmap])
def test_seeds_together_equal_each_alone(lift, space):
    seeds = (5, 6, 7)
    together = agent(seeds, lift=lift, space=space)
    update(together, batch(seeds, space))
    metrics = together.learner.drain()
    for s, seed in enumerate(seeds):
        alone = agent((seed,), space=space)
        update(alone, batch((seed,), space))
        for name, expected in gradients(alone, 0).items():
            scale = expected.abs().max()
            torch.testing.assert_close(gradients(together, s)[name] / scale, expected / scale, atol=2e-5, rtol=1e-3)
        for name, value in alone.learner.drain().items():
            torch.testing.assert_close(metrics[name][s : s + 1], value, rtol=1e-4, atol=1e-5)


def test_seeds_differ_from_each_other():
    subject = agent((0, 1))
    assert not torch.equal(values(subject, 0), values(subject, 1))
    data = {key: torch.stack([value[0], value[0]]) for key, value in batch((0,)).items()}
    update(subject, data)
    metrics = subject.learner.drain()
    assert metrics["model_loss"][0] != metrics["model_loss"][1]


def test_two_runs_are_bitwise_equal():
    runs = [agent((3, 4)) for _ in range(2)]
    for run in runs:
        update(run, batch((3, 4)), times=3)
    assert torch.equal(values(runs[0], 0), values(runs[1], 0))
    assert torch.equal(values(runs[0], 1), values(runs[1], 1))


def test_each_loss_trains_its_own_group_with_slow_autograd():
    """Against one backward pass over everything, with the paper's stop-gradients written out."""
    options = dataclasses.replace(OPTIONS, clip_norm=1e9)
    subject, data = agent((0,), options=options), batch((0,))
    data = {key: value[0] for key, value in data.items()}
    noise = {name: value[0] for name, value in subject.noise.draw(subject.loss_noise, 2, 0, 1).items()}
    model_noise = {name: value[0] for name, value in subject.noise.draw(subject.model_noise, 2, 0, 0).items()}
    parts = subject.learner.lift.modules[0]
    model, actor, value = parts.world_model, parts.actor, parts.value
    names = {id(parameter): name for name, parameter in parts.named_parameters()}
    observed = model.observe(data, model_noise["latent"])
    started = {name: tensor.detach().clone() for name, tensor in observed.posterior.items()}
    for tensor in started.values():  # the terminal in the middle starts nothing, the first row after it does
        tensor[3, 1] = tensor[4, 1]
    state = {name: tensor[:-1].flatten(0, 1) for name, tensor in started.items()}
    features = model.features(state)
    dreamt = []
    for k in range(options.horizon):
        raw = actor(features.detach())
        mean, std = subject.behavior.policy.statistics(raw)
        state = model.step(state, torch.tanh(mean + std * noise["policy"][k]), noise["latent"][k])
        features = model.features(state)
        dreamt.append(features)
    dreamt = torch.stack(dreamt)
    reward, discount, estimate = model.reward(dreamt), model.discount(dreamt), value(dreamt)
    following, returns = estimate[-1], []
    for k in reversed(range(options.horizon - 1)):
        following = reward[k] + discount[k] * (0.05 * estimate[k + 1] + 0.95 * following)
        returns.insert(0, following)
    returns = torch.stack(returns)
    weight = torch.ones_like(returns)
    for k in range(1, options.horizon - 1):
        weight[k] = weight[k - 1] * discount[k - 1].detach()
    actor_loss = -(weight * returns).mean()
    value_loss = -(weight * torch.distributions.Normal(value(dreamt.detach()[:-1]), 1.0).log_prob(returns.detach())).mean()
    before = {name: parameter.detach().clone() for name, parameter in parts.named_parameters()}
    expected = {}
    for group, loss in (("actor", actor_loss), ("value", value_loss), ("world_model", model.loss(data, model_noise)[0])):
        leaves = list(parts.get_submodule(group).parameters())
        for leaf, gradient in zip(leaves, torch.autograd.grad(loss, leaves, retain_graph=True)):
            expected[names[id(leaf)]] = gradient
    update(subject, {key: tensor[None] for key, tensor in data.items()})
    for name, group in subject.learner.groups.items():
        for key, gradient in group.views(group.gradient[0]).items():
            torch.testing.assert_close(gradient, expected[f"{name}.{key}"], atol=1e-5, rtol=1e-3)
    assert all(
        not torch.equal(before[name], parameter)
        for name, parameter in parts.named_parameters()
        if expected[name].abs().max() > 0
    )


def test_actor_sees_no_gradient_of_its_input(monkeypatch):
    """Only through dynamics, reward and value: the first action's gradient knows nothing of later actions' inputs.

    Watched in the steps of a dream; that all of them at once are the same is tested in models/test_grouped.py.
    """
    monkeypatch.setattr(rssm, "usable", lambda tensor: False)
    subject = agent((0,))
    parts = subject.learner.lift.modules[0]
    seen = []
    parts.actor.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].requires_grad))
    update(subject, batch((0,)))
    assert len(seen) == OPTIONS.horizon
    assert not any(seen)


def test_clipping_is_by_group_and_by_seed():
    settings = OptimizerSettings(learning_rate=1.0, clip_norm=5.0)
    group = Group(torch.nn.Linear(2, 1, bias=False), 2, torch.device("cpu"), settings)
    group.gradient[0, :2], group.gradient[1, :2] = torch.tensor([30.0, 40.0]), torch.tensor([0.3, 0.4])
    torch.testing.assert_close(group.gradient_norm(), torch.tensor([50.0, 0.5]))
    group.descend(torch.tensor([True, True]), group.gradient_norm(), torch.tensor(1.0))
    torch.testing.assert_close(group.gradient[:, :2], torch.tensor([[3.0, 4.0], [0.3, 0.4]]))


def test_adam_follows_tensorflows_formula():
    settings = OptimizerSettings(learning_rate=0.1, epsilon=1e-3)
    group = Group(torch.nn.Linear(1, 1, bias=False), 1, torch.device("cpu"), settings)
    mean = square = value = 0.0
    for step, gradient in enumerate((0.5, -2.0, 1.0), start=1):
        group.gradient[0, 0] = gradient
        group.descend(torch.tensor([True]), torch.ones(1), torch.tensor(float(step)))
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        rate = 0.1 * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
        value -= rate * mean / (square**0.5 + 1e-3)
    assert group.values[0, 0].item() == pytest.approx(value, rel=1e-5)


def test_the_norm_of_millions_of_numbers_is_exact():
    group = Group(torch.nn.Linear(5_000_000, 1, bias=False), 1, torch.device("cpu"), OptimizerSettings(learning_rate=1.0))
    group.gradient.normal_(generator=torch.Generator().manual_seed(0))
    assert group.gradient_norm().item() == pytest.approx(group.gradient.double().square().sum().sqrt().item(), rel=1e-6)


@pytest.mark.parametrize("lift", [LoopOverSeeds, Vmap])
@pytest.mark.parametrize("group", ["world_model", "actor", "value"])
def test_a_loss_that_is_not_finite_stops_its_seed_even_where_every_gradient_is_finite(lift, group, monkeypatch):
    """As an overflow in a term without gradient does: infinity is added as a constant, to seed 1 alone."""
    subject = agent((0, 1), lift=lift)
    huge = torch.tensor([0.0, float("inf")])

    descend = subject.learner.descend

    def spoiled(losses, metrics):
        return descend({**losses, group: losses[group] + huge}, metrics)

    monkeypatch.setattr(subject.learner, "descend", spoiled)
    before = values(subject, 1).clone()
    update(subject, batch((0, 1)))
    np.testing.assert_array_equal(subject.diverged, [False, True])
    assert torch.equal(values(subject, 1), before)


@pytest.mark.parametrize("group", ["world_model", "actor", "value"])
def test_a_gradient_that_is_not_finite_stops_its_seed_even_where_every_loss_is_finite(group, monkeypatch):
    """As an overflow in a derivative does: the norm of seed 1 alone is infinite."""
    subject = agent((0, 1), lift=LoopOverSeeds)
    trained = subject.learner.groups[group]
    norm = trained.gradient_norm
    monkeypatch.setattr(trained, "gradient_norm", lambda: norm() + torch.tensor([0.0, float("inf")]))
    before = values(subject, 1).clone()
    update(subject, batch((0, 1)))
    np.testing.assert_array_equal(subject.diverged, [False, True])
    assert torch.equal(values(subject, 1), before)


@pytest.mark.parametrize("lift", [LoopOverSeeds, Vmap])
def test_a_diverged_seed_stops_and_disturbs_nobody(lift):
    data = batch((0, 1, 2))
    healthy, sick = agent((0, 1, 2), lift=lift), agent((0, 1, 2), lift=lift)
    update(healthy, data)
    update(sick, data)
    spoiled = {key: value.clone() for key, value in data.items()}
    spoiled["reward"][1, 2, 0] = float("nan")
    last = values(sick, 1).clone()
    update(sick, spoiled)
    update(healthy, data)
    update(sick, data)  # what is lost stays lost
    update(healthy, data)
    np.testing.assert_array_equal(sick.diverged, [False, True, False])
    assert not healthy.diverged.any()
    assert torch.equal(values(sick, 1), last)
    for s in (0, 2):
        assert torch.equal(values(sick, s), values(healthy, s))
