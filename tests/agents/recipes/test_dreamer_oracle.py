"""Two updates of Dreamer against what its original code computed in float64, draw for draw (tests/agents/oracle/README.md).

The original leads with [batch, time], flattens an image row, column, channel, lists dreams batch-major, and has a GRU's gates
in the order update, reset, candidate; here it is [time, batch], channel, row, column, time-major, and reset, update, candidate.
Tolerance: the largest difference is at most 1e-13 of the array's largest value, in the second update 1e-6.
"""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
import torch
from dreamer_v2_oracle import FOLDER, part, put, time_major
from gymnasium import spaces

from agents.api import AgentContext
from agents.behaviors.returns import cumulative_discount, lambda_return
from agents.learning import model_based
from agents.learning.lifting import LoopOverSeeds, Vmap
from agents.recipes import dreamer

TOLERANCE = 1e-13
AFTER_A_STEP, OF_A_LEARNING_RATE = 1e-6, 1e-5
"""Adam's constants passed through float32 in the original; the second shift is that of weights, in learning rates."""
TINY = {"stoch": 4, "deter": 8, "model_hidden": 8, "hidden": 10, "depth": 2, "horizon": 5, "free_nats": 0.5, "batch_length": 4}
CASES = {
    "continuous": (2, dreamer.Options(**TINY, batch_sequences=2), spaces.Box(-1, 1, (6,), np.float32)),
    "discrete": (
        3,
        dreamer.Options(**TINY, batch_sequences=3, predict_discount=True, kl_scale=0.1, clip_rewards=True),
        spaces.Discrete(6),
    ),
}
LAYERS = {
    "rssm/img1": "world_model.dynamics.input",
    "rssm/img2": "world_model.dynamics.prior_hidden",
    "rssm/img3": "world_model.dynamics.prior_statistics",
    "rssm/obs1": "world_model.dynamics.posterior_hidden",
    "rssm/obs2": "world_model.dynamics.posterior_statistics",
    "dec/h1": "world_model.objective.decoder.image.dense",
    **{f"enc/h{i + 1}": f"world_model.encoder.image.layers.{i}" for i in range(4)},
    **{f"dec/h{i + 2}": f"world_model.objective.decoder.image.layers.{i}" for i in range(4)},
}
STACKS = {
    "reward": ("world_model.reward_head.mlp.layers", 2),
    "pcont": ("world_model.discount_head.mlp.layers", 3),
    "value": ("value.mlp.layers", 3),
    "actor": ("actor.layers", 4),
}


pytestmark = pytest.mark.usefixtures("float64_everywhere")


def read(case):
    with np.load(FOLDER / f"dreamer_tf2_{case}.npz") as file:
        return dict(file)


def ours(arrays):
    """{our parameter's name: float64 tensor} out of {the original's name: array}."""
    found = {}
    for name, value in arrays.items():
        module, layer, kind = name.split("/")
        if layer == "gru":
            update, reset, candidate = np.split(value, 3, -1)
            value = np.concatenate([reset, update, candidate], -1)
            if kind == "bias":
                found["world_model.dynamics.gru.bias_input"], found["world_model.dynamics.gru.bias_recurrent"] = value
            else:
                found["world_model.dynamics.gru.weight_" + {"kernel": "input"}.get(kind, "recurrent")] = value.T
            continue
        if module in STACKS:
            place, last = STACKS[module]
            place = f"{place}.{last if layer == 'hout' else layer[1:]}"
        else:
            place = LAYERS[f"{module}/{layer}"]
        if kind == "kernel":
            if value.ndim == 4:
                value = value.transpose(3, 2, 0, 1)
            else:
                value = (by_channel(value, 8) if place.endswith("posterior_hidden") else value).T
        found[f"{place}.{'weight' if kind == 'kernel' else 'bias'}"] = value
    return {name: torch.tensor(np.array(value), dtype=torch.float64) for name, value in found.items()}


def by_channel(kernel, deter):
    """Rows [deter, (row, column, channel)] -> [deter, (channel, row, column)]."""
    image = kernel[deter:].reshape(2, 2, 16, -1).transpose(2, 0, 1, 3).reshape(64, -1)
    return np.concatenate([kernel[:deter], image])


def made(case, lift=LoopOverSeeds, seeds=(0,)):
    _, options, action = CASES[case]
    space = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8)})
    context = AgentContext(
        observation_space=space, action_space=action, seeds=seeds, num_envs=1, action_repeat=1, budget_env_steps=1
    )
    with patch.object(model_based, "ModelBasedAgent", partial(model_based.ModelBasedAgent, lift=lift)):
        agent = dreamer.build(options, context)
    put(agent.learner, ours(part(read(case), "weights/")))
    return agent


def inputs(case, number):
    """(batch, the model's noise, the behaviour's noise) of one seed."""
    arrays, (sequences, options, _) = read(case), CASES[case]
    batch = {key: torch.tensor(value).swapaxes(0, 1) for key, value in part(arrays, "batch/").items()}
    batch = {key: value if key == "image" else value.double() for key, value in batch.items()}
    if options.clip_rewards:
        batch["reward"] = batch["reward"].tanh()
    noise = part(arrays, f"noise{number}/")
    model = {"latent": torch.tensor(noise["posterior"]).double().swapaxes(0, 1)}
    names = {"latent": "imagined_latent", "policy": "policy"}
    return batch, model, {ours: time_major(noise[theirs], sequences).double() for ours, theirs in names.items()}


def near(found, wanted, what, tolerance=TOLERANCE):
    found, wanted = torch.as_tensor(found).detach(), torch.as_tensor(wanted)
    assert (found.shape, found.dtype) == (wanted.shape, torch.float64), what
    error = (found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-300)
    assert error <= tolerance, f"{what}: {error:.1e}"


def lead(tree, seeds):
    return {key: value[None].expand(seeds, *value.shape) for key, value in tree.items()}


@pytest.mark.parametrize("lift", [LoopOverSeeds, Vmap])
@pytest.mark.parametrize("case", CASES)
def test_losses_gradients_and_both_adam_steps_are_the_originals(case, lift):
    arrays, seeds = read(case), 1 if lift is LoopOverSeeds else 2
    learner = made(case, lift, tuple(range(seeds))).learner
    for number in (0, 1):
        batch, model_noise, noise = (lead(tree, seeds) for tree in inputs(case, number))
        learner.update(batch, model_noise, [noise])
        metrics, told = learner.drain(), part(arrays, f"update{number}/")
        tolerance = (TOLERANCE, AFTER_A_STEP)[number]
        for group, theirs in {"world_model": "model", "actor": "actor", "value": "value"}.items():
            for s in range(seeds):
                near(metrics[f"{theirs}_loss"][s], told[theirs], f"{theirs} loss {number}", tolerance)
                near(metrics[f"{group}_gradient_norm"][s], told[f"{theirs}_norm"], f"{theirs} norm {number}", tolerance)
        if number == 0:
            gradients = ours(part(arrays, "gradient/"))
            assert gradients.keys() == {f"{name}.{key}" for name, group in learner.groups.items() for key in group.layout}
            for key, wanted in gradients.items():
                name, _, parameter = key.partition(".")
                group, norm = learner.groups[name], metrics[f"{name}_gradient_norm"][:, None]
                clip = group.settings.clip_norm
                for s in range(seeds):
                    found = group.views(group.gradient * norm.clamp_min(clip) / clip)[parameter][s]
                    near(found, wanted, f"gradient of {key}")
    for key, wanted in ours(part(arrays, "weights_after_two_updates/")).items():
        name, _, parameter = key.partition(".")
        group = learner.groups[name]
        for s in range(seeds):
            error = (group.views(group.values)[parameter][s] - wanted).abs().max()
            assert error <= OF_A_LEARNING_RATE * group.settings.learning_rate, f"{key}: {error:.1e}"


@pytest.mark.parametrize("case", CASES)
def test_what_the_losses_are_made_of_is_the_originals(case):
    arrays, agent = read(case), made(case)
    told, (sequences, _, _) = part(arrays, "outputs/"), CASES[case]
    parts, behavior = agent.learner.lift.modules[0], agent.behavior
    batch, model_noise, noise = inputs(case, 0)
    model = parts.world_model
    with torch.no_grad():
        _, observed, metrics = model.loss(batch, model_noise)
        for kind, state in (("post", observed.posterior), ("prior", observed.prior)):
            for name in set(state) & {"mean", "std", "stoch", "deter"}:
                near(state[name].swapaxes(0, 1), told[f"{kind}.{name}"], f"{kind} {name}")
        near(model.dynamics.divergence(observed.posterior, observed.prior).swapaxes(0, 1), told["kl_pos"], "KL")
        for name in ("image_loss", "reward_loss", "discount_loss"):
            if name in told:
                near(metrics[name], told[name], name)
        features = observed.features.swapaxes(0, 1)
        near(model.reconstruct(features)["image"][..., ::16, ::16, :], told["recon"], "image")
        near(model.reward(features), told["reward_pred"], "reward")
        dream = model.imagine(
            model.starts(observed.posterior, batch["is_terminal"]),
            lambda seen, draw: behavior.policy.sample(parts.actor(seen), draw),
            noise["latent"],
            noise["policy"],
        )
        reward, discount, value = model.reward(dream.features), model.discount(dream.features), parts.value(dream.features)
        returns = lambda_return(reward, discount, value, behavior.lambda_)
        found = {"imag_feat": dream.features, "imag_reward": reward, "imag_value": value, "returns": returns}
        found["weights"] = cumulative_discount(discount)
        if "imag_pcont" in told:
            found["imag_pcont"] = discount
        for name, array in found.items():
            near(array, time_major(told[name], sequences), name)
