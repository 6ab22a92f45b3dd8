"""The same update in every way it can be run: lifted, compiled, in bfloat16, on a GPU, as a CUDA graph. Tiny networks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents import catalog
from agents.api import AgentContext, TimeStep
from agents.drawn import Drawn
from agents.learning.batches import DeviceBatches, HostBatches, rows_fit
from agents.learning.captured import Captured
from agents.learning.lifting import LoopOverSeeds, Vmap, faster_lift
from agents.learning.trees import leaves, mapped
from agents.models.world_model import WorldModel
from agents.recipes.backbone import Backbone
from agents.speed import feed

IMAGES = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8)})
VECTORS = spaces.Dict({"position": spaces.Box(-1, 1, (3,), np.float32)})
ACTIONS = spaces.Box(-1, 1, (2,), np.float32)
TINY = {"stoch": 4, "deter": 8, "model_hidden": 8, "depth": 2, "hidden": 8, "batch_sequences": 3, "batch_length": 7}
ARMS = {
    "dreamer": {"horizon": 3},
    "dreamer_v2": {"horizon": 3, "latent_classes": 4, "slow_value_every": 2},
    "no_value": {"horizon": 3},
    "sac": {"update_ratio": "typical"},
    "planet": {"planner_horizon": 3, "planner_iterations": 2, "planner_candidates": 8, "planner_elites": 2},
    "world_models": {"search_population": 6, "search_starts": 2, "search_horizon": 3},
}


def cuda(test):
    """A test that waits for a GPU: `make gpu` runs these alone."""
    return pytest.mark.gpu(pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")(test))


def build(arm="dreamer", *, seeds=(0,), device="cpu", observations=VECTORS, actions=ACTIONS, lift=None, **options):
    context = AgentContext(
        observation_space=observations,
        action_space=actions,
        seeds=seeds,
        num_envs=1,
        action_repeat=1,
        budget_env_steps=10_000,
        device=device,
    )
    entry = catalog.find(arm)
    with pytest.MonkeyPatch.context() as patch:
        if lift is not None:
            chosen = Backbone.execution
            patch.setattr(Backbone, "execution", lambda self: {**chosen(self), "lift": lift})
        agent = entry.build(replace(entry.options("quick"), **{**TINY, **ARMS[arm], **options}), context)
    feed(agent)
    return agent


def inputs_of(agent, number=0):
    """Batch and noise of one update, drawn on the CPU: the same numbers on every device."""
    generator = torch.Generator().manual_seed(number)

    def draw(spec):
        shape = (len(agent.context.seeds), *spec.shape)
        return (torch.randn if spec.kind == "normal" else torch.rand)(shape, generator=generator).to(agent.device)

    def noise(specs):
        return {name: draw(spec) for name, spec in specs.items()}

    batch = {
        key: torch.rand(value.shape, generator=generator).to(agent.device)
        for key, value in agent.sample().items()
        if value.dtype != torch.uint8
    }
    batch |= {
        key: torch.randint(0, 256, value.shape, generator=generator, dtype=torch.uint8).to(agent.device)
        for key, value in agent.sample().items()
        if value.dtype == torch.uint8
    }
    batch["is_first"] = (batch["is_first"] < 0.2).float()
    batch["is_terminal"] = torch.zeros_like(batch["is_terminal"])
    return batch, noise(agent.model_noise), [noise(agent.loss_noise) for _ in range(agent.behavior.repeats)]


def trained(agent, updates=3):
    """Weights and metrics after some updates on the same numbers."""
    for number in range(updates):
        agent.learner.update(*inputs_of(agent, number))
    weights = {name: group.values.cpu() for name, group in agent.learner.groups.items()}
    return weights, {name: value.cpu() for name, value in agent.learner.drain().items()}


def assert_same(found, expected, *, weights, metrics=1e-4):
    for name, value in expected[0].items():
        torch.testing.assert_close(found[0][name], value, rtol=0, atol=weights, msg=lambda text, name=name: f"{name}: {text}")
    for name, value in expected[1].items():
        torch.testing.assert_close(
            found[1][name], value, rtol=metrics, atol=metrics, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("observations", [VECTORS, IMAGES], ids=["vectors", "images"])
def test_lifting_by_vmap_equals_a_loop_over_seeds(arm, observations):
    assert_same(
        *(trained(build(arm, seeds=(3, 4, 5), observations=observations, lift=lift)) for lift in (Vmap, LoopOverSeeds)),
        weights=2e-5,
    )


@pytest.mark.parametrize("actions", [ACTIONS, spaces.Discrete(3)], ids=["continuous", "discrete"])
def test_the_planner_searches_for_all_seeds_and_environments_in_one_batch(actions, monkeypatch):
    """And finds what each seed alone finds."""
    seeds, num_envs, decisions = (3, 4, 5), 2, 4
    calls, roll = [], WorldModel.rollout

    def counted(self, state, actions, noise):
        calls.append(tuple(actions.shape))  # of one seed: vmap hides the axis of seeds, a loop would call once for each
        return roll(self, state, actions, noise)

    def decide(chosen):
        agent = build("planet", seeds=chosen, actions=actions)
        agent.update()
        shape = (len(chosen), num_envs)
        carry, found = agent.initial(num_envs), []
        for number in range(decisions):
            position = np.sin(number + np.arange(3.0 * num_envs)).reshape(num_envs, 3)
            step = TimeStep(
                {"position": np.broadcast_to(position, (*shape, 3)).astype(np.float32)},
                np.zeros(shape, np.float32),
                np.full(shape, number == 0),
                *[np.zeros(shape, bool)] * 2,
            )
            action, carry = agent.act(carry, step, explore=number % 2 == 0)
            found.append(action)
        return np.stack(found)

    alone = np.concatenate([decide((seed,)) for seed in seeds], 1)
    assert not np.array_equal(alone[:, 0], alone[:, 1])
    monkeypatch.setattr(WorldModel, "rollout", counted)
    np.testing.assert_allclose(decide(seeds), alone, atol=1e-5)
    planner = ARMS["planet"]
    rolled = planner["planner_horizon"], num_envs * planner["planner_candidates"], 2 if actions is ACTIONS else 3
    assert calls == [rolled] * (decisions * planner["planner_iterations"])


@pytest.mark.parametrize(
    ("arm", "actions", "observations"),
    [("dreamer", ACTIONS, VECTORS), ("dreamer", ACTIONS, IMAGES),
     ("dreamer_v2", ACTIONS, VECTORS), ("dreamer_v2", spaces.Discrete(3), VECTORS)],
    ids=["dreamer", "dreamer, images", "dreamer_v2, continuous", "dreamer_v2, discrete"],
)  # fmt: skip
def test_the_update_traces_as_one_graph_and_its_derivatives_are_the_eager_ones(arm, actions, observations, monkeypatch):
    """torch.compile without the making of machine code, which takes minutes: that is tests/benchmarks/test_compiled.py."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    short = {"batch_length": 2, "batch_sequences": 2, "horizon": 2, "actions": actions, "observations": observations}
    assert_same(trained(build(arm, compile=True, **short), 1), trained(build(arm, **short), 1), weights=2e-5)


@pytest.mark.parametrize("arm", ARMS)
def test_an_update_reads_no_value_and_draws_nothing(arm):
    """What a CUDA graph needs: nothing goes back to Python, and every random number comes in. Tensors without values tell."""
    agent = build(arm, seeds=(3, 4), lift=Vmap)
    inputs = [mapped(lambda tensor: tensor.to("meta"), tree) for tree in inputs_of(agent)]
    learner = agent.learner
    for group in learner.groups.values():
        for part in ("values", "gradient", "scratch", "mean", "square"):
            if hasattr(group, part):
                setattr(group, part, getattr(group, part).to("meta"))
    learner.lift = Vmap(learner.skeleton, learner.groups)
    learner.alive, learner.gradient_steps, learner.descents = (
        tensor.to("meta") for tensor in (learner.alive, learner.gradient_steps, learner.descents)
    )
    learner.skeleton.to("meta")
    before = torch.random.get_rng_state()
    rounds = learner._update(*inputs)
    assert {value.device.type for metrics in rounds for value in metrics.values()} == {"meta"}
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_lift_without_walks_is_torch_s_own_vmap_of_a_functional_call():
    """Also results that depend on no input, and a derivative with respect to the lifted parameters."""
    learner = build("dreamer", seeds=(3, 4, 5), lift=Vmap).learner
    lift, draw = learner.lift, torch.randn(3, 7, TINY["stoch"] + TINY["deter"], generator=torch.Generator().manual_seed(0))

    def function(parts, inputs, more):
        return {
            "raw": parts.actor(inputs["a"]),
            "pair": [more[0] + 1.0, parts.actor.layers[0].weight.sum()],
            "one": torch.ones(2),
        }

    trees = {"a": draw}, (draw[:, 0],)
    found, expected = lift.call(function, *trees), lift._lift(function)(lift.stacked, *trees)
    assert found.keys() == expected.keys()
    for one, other in zip(leaves(found), leaves(expected)):
        assert torch.equal(one, other)
    derivatives = [torch.autograd.grad(each["raw"].square().sum(), lift.leaves("actor")) for each in (found, expected)]
    assert all(map(torch.equal, *derivatives))


def test_a_function_that_fails_leaves_the_lift_as_it_was():
    learner = build("dreamer", seeds=(3, 4, 5), lift=Vmap).learner
    before = dict(learner.skeleton.named_parameters())

    def fails(parts, inputs):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        learner.lift.call(fails, torch.zeros(3, 1))
    after = dict(learner.skeleton.named_parameters())
    assert all(after[name] is before[name] for name in before)
    assert learner.lift.call(lambda parts, x: x + 1.0, torch.zeros(3, 1)).flatten().tolist() == [1.0, 1.0, 1.0]
    torch.rand(1)  # an error inside a lift that is still open


@pytest.mark.parametrize("arm", ["dreamer", "sac"])
def test_bfloat16_stays_within_its_rounding_of_float32(arm):
    """8 bits of mantissa: one rounding is 2^-9 = 0.2 %; the losses of the first updates differ by a few of those."""
    exact, rounded = trained(build(arm, observations=IMAGES)), trained(build(arm, observations=IMAGES, precision="bfloat16"))
    for name in ("model_loss", "image_loss", "reward_loss", "kl"):
        torch.testing.assert_close(
            rounded[1][name], exact[1][name], rtol=1e-2, atol=1e-2, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert any(not torch.equal(rounded[1][name], exact[1][name]) for name in exact[1])
    assert all(values.dtype == torch.float32 for values in rounded[0].values())


def test_rows_kept_on_the_device_give_the_batches_of_replay():
    agent = build(seeds=(3, 4))
    shape = {"length": 7, "sequences": 3, "balance_ends": False, "device": torch.device("cpu")}
    here = HostBatches(agent.replays, **shape)
    there = DeviceBatches(agent.replays, **shape, capacity=40, otherwise=lambda: pytest.fail("there is room"))
    for number in range(3):
        expected, found = (
            mapped(torch.clone, source.take([np.random.default_rng((number, s)) for s in range(2)])) for source in (here, there)
        )
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
        play(agent, rows=4)


def test_a_full_device_goes_back_to_the_batches_of_the_host():
    agent = build()
    here = HostBatches(agent.replays, 7, 3, False, torch.device("cpu"))
    there = DeviceBatches(agent.replays, 7, 3, False, torch.device("cpu"), capacity=10, otherwise=lambda: here)
    play(agent, rows=9)
    expected = mapped(torch.clone, here.take([np.random.default_rng(5)]))
    assert torch.equal(there.take([np.random.default_rng(5)])["position"], expected["position"])


def test_rows_lie_on_the_device_where_the_updates_leave_room_for_them():
    gigabyte = 10**9
    assert rows_fit(40 * gigabyte, 80 * gigabyte, 30 * gigabyte)
    assert not rows_fit(40 * gigabyte, 80 * gigabyte, 41 * gigabyte)  # the updates need more than what is left
    assert not rows_fit(49 * gigabyte, 80 * gigabyte, 0)  # more than a share of what is free


def play(agent, rows):
    """More rows, each with its own number in it."""
    drawn = Drawn(agent.context)
    for number in range(rows):
        step = drawn.step(is_first=number == 0, is_last=number == rows - 1)
        step.observation["position"][:] = number / rows
        agent.observe(drawn.action(), step, np.ones(step.is_first.shape, bool))


@pytest.fixture
def recorded(monkeypatch):
    """Stands in for CUDA graphs on a CPU: a recorded function is called again on the same inputs, into the same results."""

    def warm_up(self, function):
        for _ in range(3):
            function(*self.inputs)

    def record(self, function):
        results = mapped(torch.zeros_like, function(*mapped(torch.clone, self.inputs)))
        undo()

        def replay():
            for place, value in zip(leaves(results), leaves(function(*self.inputs))):
                place.copy_(value)

        return replay, results

    changing = []

    def undo():
        for tensor, value in changing:
            tensor.copy_(value)

    def remember(agent):
        changing.extend((tensor, tensor.clone()) for tensor in agent.learner.changing)
        agent.learner.capture = True
        return agent

    monkeypatch.setattr(Captured, "warm_up", warm_up)
    monkeypatch.setattr(Captured, "record", record)
    return remember


@pytest.mark.parametrize("arm", ARMS)
def test_a_recorded_update_takes_every_input_and_its_warming_up_leaves_no_trace(arm, recorded):
    again = recorded(build(arm, seeds=(3, 4), lift=Vmap))
    assert_same(trained(again), trained(build(arm, seeds=(3, 4), lift=Vmap)), weights=0.0, metrics=0.0)


@pytest.mark.parametrize("arm", ["dreamer", "planet"])
def test_recorded_decisions_follow_the_weights_and_leave_old_carries_alone(arm, recorded):
    found = []
    for prepare in (recorded, lambda agent: agent):
        agent = prepare(build(arm, seeds=(3, 4), lift=Vmap))
        first, step = agent.initial(1), Drawn(agent.context).step()
        action, second = agent.act(first, step, explore=True)
        kept = mapped(torch.clone, second.state)
        agent.learner.update(*inputs_of(agent))
        later, third = agent.act(second, step, explore=True)
        assert all(torch.equal(second.state[name], kept[name]) for name in kept)
        found.append((action, later, third.state["deter"]))
    for captured, eager in zip(*found):
        np.testing.assert_array_equal(captured, eager)


@cuda
@pytest.mark.parametrize("arm", ARMS)
def test_a_gpu_makes_the_update_of_the_cpu(arm):
    there = trained(build(arm, observations=IMAGES, device="cuda", capture=False))
    assert_same(there, trained(build(arm, observations=IMAGES)), weights=2e-4, metrics=1e-3)


@cuda
@pytest.mark.parametrize("arm", ARMS)
def test_the_captured_update_is_the_eager_one(arm):
    captured = trained(build(arm, observations=IMAGES, device="cuda"))
    assert_same(captured, trained(build(arm, observations=IMAGES, device="cuda", capture=False)), weights=1e-5)


@cuda
def test_seeds_in_one_captured_program_learn_as_each_would_alone():
    together, alone = build(seeds=(3, 4), device="cuda"), build(seeds=(4,), device="cuda")
    for agent in (together, alone):
        for _ in range(3):
            agent.update()
    for name, group in together.learner.groups.items():
        torch.testing.assert_close(group.values[1], alone.learner.groups[name].values[0], rtol=0, atol=2e-5)


@cuda
@pytest.mark.parametrize("arm", ["dreamer", "planet"])
def test_captured_decisions_are_the_eager_ones(arm):
    found = []
    for capture in (True, False):
        agent = build(arm, seeds=(3, 4), device="cuda", capture=capture)
        carry, step = agent.initial(1), Drawn(agent.context).step()
        actions = []
        for _ in range(3):
            action, carry = agent.act(carry, step, explore=True)
            actions.append(action)
        found.append((np.stack(actions), carry.state["deter"].cpu()))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=1e-5)


@cuda
def test_batches_on_a_gpu_are_those_of_the_host():
    rows = {}
    for device in ("cpu", "cuda"):
        rows[device] = mapped(lambda tensor: tensor.cpu(), build(observations=IMAGES, device=device).sample())
    assert all(torch.equal(rows["cuda"][key], rows["cpu"][key]) for key in rows["cpu"])


@pytest.mark.parametrize(
    ("observations", "seeds", "update_bytes", "chosen"),
    [
        (VECTORS, 2, 0, LoopOverSeeds),
        (VECTORS, 3, 0, Vmap),
        (IMAGES, 2, 2**20, LoopOverSeeds),
        (IMAGES, 3, 2**20, Vmap),
        (IMAGES, 3, 2**27 + 1, LoopOverSeeds),
        (IMAGES, 3, 0, LoopOverSeeds),
    ],
)
def test_a_cpu_computes_three_seeds_together_unless_their_feature_maps_are_large_or_unknown(
    observations, seeds, update_bytes, chosen
):
    context = AgentContext(
        observation_space=observations, action_space=ACTIONS, seeds=tuple(range(seeds)), num_envs=1, action_repeat=1,
        budget_env_steps=10,
    )  # fmt: skip
    assert faster_lift(context, compile=False, update_bytes=update_bytes) is chosen
    coarse = faster_lift(context, compile=False, precision="bfloat16", update_bytes=update_bytes)
    assert coarse is (LoopOverSeeds if observations is IMAGES else chosen)  # grouped convolutions are slower


def test_three_seeds_of_quick_from_images_are_computed_together_and_five_of_small_are_not():
    made = []
    for profile, seeds in (("quick", (0, 1, 2)), ("small", (0, 1, 2, 3, 4))):
        entry = catalog.find("dreamer")
        context = AgentContext(
            observation_space=IMAGES, action_space=ACTIONS, seeds=seeds, num_envs=1, action_repeat=1, budget_env_steps=10
        )
        made.append(type(entry.build(entry.options(profile), context).learner.lift))
    assert made == [Vmap, LoopOverSeeds]
