"""A linear controller on the features, found by evolution in imagination (World Models): no gradient, no value.

This file defines a controller and its fitness in a dream. The search (agents/learning/evolution.py) decides which controllers
to try. Source: Ha & Schmidhuber 2018; docs/algorithms/world_models.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from agents.behaviors.api import Noise, NoiseSpec, Parts, Sizes, WithoutLosses
from agents.behaviors.exploration import Exploration
from agents.models.categorical import argmax_onehot
from agents.models.rssm import State
from agents.models.world_model import WorldModel

CONTROLLER = "controller"


class Control(Protocol):
    """From the scores of a linear map to actions, both [..., A]."""

    def action(self, scores: Tensor) -> Tensor: ...


class TanhControl:
    """Numbers in [-1, 1] by tanh, as in the original's car racing."""

    def action(self, scores: Tensor) -> Tensor:
        return torch.tanh(scores)


class ArgmaxControl:
    """The choice with the largest score. Ours: in the original's discrete task, thresholds at ±1/3 divide a single score."""

    def action(self, scores: Tensor) -> Tensor:
        return argmax_onehot(scores)


@dataclass(frozen=True, kw_only=True)
class FitnessSettings:
    """How the fitness of a candidate is computed.

    starts       imagined episodes per candidate; the fitness is their mean return
    horizon      steps of an imagined episode
    temperature  temperature of every imagined latent; above 1 the dream is noisier than the model predicts
    discounted   weight each reward by the predicted discounts before it, so that rewards after an end do not count
    """

    starts: int = 16
    horizon: int = 50
    temperature: float = 1.0
    discounted: bool = False


def imagined_returns(
    world_model: WorldModel,
    control: Control,
    start: State,
    candidates: Mapping[str, Tensor],
    latent_noise: Tensor,
    settings: FitnessSettings,
) -> Tensor:
    """Mean return of every candidate. All candidates get the same starts and the same noise.

    start         leaves [N, ...]
    candidates    "weight" [K, A, F] and "bias" [K, A] of the linear maps
    latent_noise  [H, N, ...]
    returns       [K]: Σ over H of the mean rewards, averaged over the N starts
    """
    weight, bias = candidates["weight"], candidates["bias"]
    population, starts = weight.shape[0], latent_noise.shape[1]

    def for_all(tensor: Tensor) -> Tensor:
        """[N, ...] -> [K·N, ...], repeated for every candidate."""
        return tensor.expand(population, *tensor.shape).flatten(0, 1)

    state = {name: for_all(leaf) for name, leaf in start.items()}
    features = world_model.features(state)
    total = torch.zeros_like(features[:, 0], dtype=torch.float32)
    counts = torch.ones_like(total)
    for noise in latent_noise.unbind():
        scores = torch.baddbmm(bias.unsqueeze(1), features.unflatten(0, (population, starts)), weight.transpose(1, 2))
        state = world_model.step(state, control.action(scores).flatten(0, 1), for_all(noise), settings.temperature)
        features = world_model.features(state)
        total = total + counts * world_model.reward(features)
        if settings.discounted:
            counts = counts * world_model.discount(features)
    return total.unflatten(0, (population, starts)).mean(1)


@dataclass(frozen=True, kw_only=True)
class LinearController(WithoutLosses):
    """action = control(W · features + b), where W and b are the mean of the search's distribution.

    The candidates of all seeds (`decides_together`) are one batch in every model step.
    """

    settings: FitnessSettings
    control: Control
    exploration: Exploration
    searched: str = CONTROLLER

    def networks(self, sizes: Sizes) -> dict[str, nn.Module]:
        return {CONTROLLER: nn.Linear(sizes.features, sizes.action)}

    def act_noise(self, sizes: Sizes, num_envs: int, *, explore: bool) -> dict[str, NoiseSpec]:
        return self.exploration.noise(sizes.action, num_envs) if explore else {}

    def act(self, parts: Parts, state: State, noise: Noise, gradient_steps: Tensor, *, explore: bool) -> Tensor:
        action = self.control.action(parts.controller(parts.world_model.features(state)))
        return self.exploration.explore(action, noise, gradient_steps) if explore else action

    def fitness_noise(self, sizes: Sizes, length: int, sequences: int) -> dict[str, NoiseSpec]:
        starts = self.settings.starts
        return {
            "posterior": sizes.latent.over(length, min(starts, sequences)),
            "start": NoiseSpec("uniform", (starts,)),
            "latent": sizes.latent.over(self.settings.horizon, starts),
        }

    def fitness(self, parts: Parts, batch: Mapping[str, Tensor], candidates: Mapping[str, Tensor], noise: Noise) -> Tensor:
        """[K]. The starts are posterior states of the batch [T, B, ...]: a random row of each sequence, in turn."""
        model = parts.world_model
        sequences = noise["posterior"].shape[1]
        posterior = model.observe({key: value[:, :sequences] for key, value in batch.items()}, noise["posterior"]).posterior
        states = model.starts(posterior, batch["is_terminal"][:, :sequences])
        rows = len(next(iter(states.values()))) // sequences  # possible starts in a sequence
        row = (noise["start"] * rows).long().clamp_max(rows - 1)
        sequence = torch.arange(self.settings.starts, device=row.device) % sequences
        place = row * sequences + sequence
        start = {name: leaf.index_select(0, place) for name, leaf in states.items()}
        return imagined_returns(model, self.control, start, candidates, noise["latent"], self.settings)
