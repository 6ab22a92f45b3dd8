"""Reads what danijar/dreamerv2 computed in float64 (tests/agents/oracle/README.md), and lays weights and draws out as ours are.

The original leads with [batch, time], flattens an image row, column, channel, and lists dreams batch-major; we lead with
[time, batch], flatten channel, row, column, and list dreams time-major.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from gymnasium import spaces

from agents.api import AgentContext
from agents.learning import model_based
from agents.learning.lifting import LoopOverSeeds
from agents.recipes import dreamer_v2

FOLDER = Path(__file__).parent / "oracle"
TINY = {
    "deter": 8,
    "model_hidden": 8,
    "stoch": 3,
    "latent_classes": 4,
    "depth": 2,
    "hidden": 10,
    "reward_layers": 2,
    "discount_layers": 2,
    "actor_layers": 2,
    "value_layers": 2,
    "horizon": 5,
    "slow_value_every": 2,
    "batch_sequences": 3,
    "batch_length": 4,
}
MODULES = {
    "encoder": "world_model.encoder.image.layers",
    "rssm/img_in": "world_model.dynamics.input",
    "rssm/cell/layer": "world_model.dynamics.gru.joint",
    "rssm/img_out": "world_model.dynamics.prior_hidden",
    "rssm/img_dist": "world_model.dynamics.prior_statistics",
    "rssm/obs_out": "world_model.dynamics.posterior_hidden",
    "rssm/obs_dist": "world_model.dynamics.posterior_statistics",
    "image/hin": "world_model.objective.decoder.image.dense",
    "image": "world_model.objective.decoder.image.layers",
    "reward": "world_model.reward_head.mlp.layers",
    "discount": "world_model.discount_head.mlp.layers",
    "actor": "actor.layers",
    "critic": "value.mlp.layers",
    "slow": "slow_value.mlp.layers",
}


def read(case):
    with np.load(FOLDER / f"dreamerv2_{case}.npz") as file:
        return dict(file)


def ours(arrays, case):
    """{our parameter's name: float64 tensor} out of {the original's name: array}, of those that are there."""
    found = {}
    for name, value in arrays.items():
        *path, kind = name.split("/")
        if path == ["rssm", "cell", "norm"]:
            found["world_model.dynamics.gru." + {"gamma": "scale", "beta": "bias"}[kind]] = value
            continue
        if path[:2] == ["actor", "out"]:
            found.setdefault(f"actor.layers.2.{_kind(kind)}", {})[path[-1]] = _turned(value, kind, path)
            continue
        joined = "/".join(path)
        if joined in MODULES:
            place = MODULES[joined]
        else:
            layer = 2 if path[1] == "out" else int(path[1][1:])
            place = f"{MODULES[path[0]]}.{layer}"
        found[f"{place}.{_kind(kind)}"] = _turned(value, kind, path)
    for name, value in found.items():
        if isinstance(value, dict):  # the actor's mean and deviation are one layer here
            found[name] = np.concatenate([value[key] for key in ("out", "std") if key in value])
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in found.items()}


def _kind(kind):
    return {"kernel": "weight", "bias": "bias"}[kind]


def _turned(value, kind, path):
    if kind == "bias":
        return value
    if path[0] == "encoder":
        return value.transpose(3, 2, 0, 1)
    if path[0] == "image" and path[1] != "hin":
        return value.transpose(3, 2, 0, 1)
    if path == ["rssm", "obs_out"]:  # [deter, row, column, channel] -> [deter, channel, row, column]
        deter, embed = value[:8], value[8:].reshape(2, 2, 16, 8)
        value = np.concatenate([deter, embed.transpose(2, 0, 1, 3).reshape(64, 8)])
    return value.T


def part(arrays, prefix):
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def forced(index, classes):
    """Uniform noise with which the Gumbel-max rule draws these classes."""
    noise = np.full((*index.shape, classes), 0.5)
    np.put_along_axis(noise, index[..., None].astype(int), 1.0, -1)
    return torch.tensor(noise)


def time_major(array, sequences):
    """Dreams [H, N, ...] listed batch-major -> time-major."""
    array = np.asarray(array)
    split = array.reshape(array.shape[0], sequences, -1, *array.shape[2:])
    return torch.tensor(np.ascontiguousarray(split.swapaxes(1, 2)).reshape(array.shape))


def agent(case, *, seeds=(0,), lift=LoopOverSeeds, **overrides):
    """Our agent at the oracle's size, its weights whatever they are."""
    profile = {"atari": "atari", "dmc": "dmc"}[case]
    channels = {"atari": 1, "dmc": 3}[case]
    action = {"atari": spaces.Discrete(5), "dmc": spaces.Box(-1, 1, (3,), np.float32)}[case]
    space = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, channels), np.uint8)})
    options = dreamer_v2.replace(dreamer_v2.PROFILES[profile], **{**TINY, **overrides})
    context = AgentContext(
        observation_space=space, action_space=action, seeds=seeds, num_envs=2, action_repeat=1, budget_env_steps=1
    )
    with patch.object(model_based, "ModelBasedAgent", partial(model_based.ModelBasedAgent, lift=lift)):
        return dreamer_v2.build(options, context)


def put(learner, weights):
    """Into every seed."""
    for name, value in weights.items():
        group, _, key = name.partition(".")
        for row in learner.groups[group].values:
            learner.groups[group].views(row)[key].copy_(value)


def batch_of(arrays, image, case, seeds):
    columns = {name: torch.tensor(arrays[name]).swapaxes(0, 1) for name in ("action", "reward", "is_first", "is_terminal")}
    if case == "atari":
        columns["reward"] = torch.tanh(columns["reward"])
    columns["image"] = torch.tensor(image).swapaxes(0, 1)
    return {name: value[None].expand(seeds, *value.shape) for name, value in columns.items()}


def noise_of(arrays, case, steps, seeds):
    """(model's, behaviour's) noise out of a call's draws."""
    sequences = 3
    model = {"latent": forced(arrays["post"], 4)}
    latent = forced(time_major(arrays["imag_prior"], sequences).numpy()[:steps], 4)
    if case == "atari":
        policy = forced(time_major(arrays["policy"], sequences).numpy()[:steps], 5)
    else:
        policy = time_major(arrays["policy_uniform"], sequences)[:steps]
    behavior = {"latent": latent, "policy": policy}
    return tuple(
        {name: value[None].expand(seeds, *value.shape) for name, value in noise.items()} for noise in (model, behavior)
    )
