"""Planning by the cross-entropy method (PlaNet): search for actions with the model, learn nothing.

Source: Hafner et al. 2019 (PlaNet), algorithm 2, and google-research/planet; population variance as in the code
(docs/algorithms/planet.md §3). The categorical search for discrete actions is ours, because PlaNet has continuous control only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from agents.behaviors.api import Noise, NoiseSpec, Parts, Sizes, WithoutLosses
from agents.behaviors.exploration import Exploration
from agents.models.categorical import argmax_onehot, draw_onehot
from agents.models.rssm import State
from agents.models.world_model import WorldModel

VARIANCE_FLOOR = 1e-6
"""Added to the variance of the kept candidates. Source: google-research/planet."""

PROBABILITY_FLOOR = 0.01
"""Share of the uniform distribution in a refitted categorical, so that no action gets probability 0. Ours."""

Score = Callable[[int, Tensor], Tensor]
"""(round, candidates [E, K, H, A]) -> predicted return [E, K]."""


def kept(candidates: Tensor, returns: Tensor, elites: int) -> Tensor:
    """The best candidates of every environment: [E, K, H, A], [E, K] -> [E, elites, H, A]."""
    best = returns.topk(elites, dim=1).indices
    index = best[:, :, None, None].expand(-1, -1, *candidates.shape[2:])
    return candidates.gather(1, index)


def refit_gaussian(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and √(population variance + 1e-6) over the kept candidates: [E, elites, H, A] -> two of [E, H, A]."""
    mean = chosen.mean(1)
    return mean, ((chosen - mean[:, None]).square().mean(1) + VARIANCE_FLOOR).sqrt()


def search_gaussian(score: Score, normal: Tensor, elites: int) -> Tensor:
    """The mean plan after all rounds, from N(0, 1) at every call: no warm start.

    normal   [I, E, K, H, A]  standard normal, one slice a round
    elites   number of the K candidates that are kept
    returns  [E, H, A] in [-1, 1]; the first action, entry 0 of H, is executed
    """
    mean = torch.zeros_like(normal[0, :, 0])
    std = torch.ones_like(mean)
    for number, draw in enumerate(normal):
        candidates = (mean[:, None] + std[:, None] * draw).clamp(-1.0, 1.0)
        mean, std = refit_gaussian(kept(candidates, score(number, candidates), elites))
    return mean


def refit_categorical(chosen: Tensor) -> Tensor:
    """Frequencies in the kept one-hot plans, mixed with 1 % of the uniform distribution: [E, elites, H, A] -> [E, H, A]."""
    return (1.0 - PROBABILITY_FLOOR) * chosen.mean(1) + PROBABILITY_FLOOR / chosen.shape[-1]


def search_categorical(score: Score, uniform: Tensor, elites: int) -> Tensor:
    """Action probabilities of the plan after all rounds: [I, E, K, H, A] uniform draws -> [E, H, A]. Ours."""
    probabilities = torch.full_like(uniform[0, :, 0], 1.0 / uniform.shape[-1])
    for number, draw in enumerate(uniform):
        candidates = draw_onehot(probabilities.log()[:, None], draw)
        probabilities = refit_categorical(kept(candidates, score(number, candidates), elites))
    return probabilities


def predicted_return(world_model: WorldModel, state: State, actions: Tensor, latent_noise: Tensor, discounted: bool) -> Tensor:
    """Sum of the mean rewards along H prior steps, with one sampled trajectory per candidate.

    state         leaves [E, ...]: the posterior state of each environment
    actions       [E, K, H, A]
    latent_noise  [H, E·K, ...]
    discounted    weight each reward by the product of the discounts before it (for models that predict termination; ours)
    returns       [E, K]
    """
    environments, candidates = actions.shape[:2]
    state = {key: leaf.repeat_interleave(candidates, 0) for key, leaf in state.items()}
    features = world_model.rollout(state, actions.flatten(0, 1).movedim(1, 0), latent_noise)
    reward = world_model.reward(features)
    if discounted:
        discount = world_model.discount(features)
        reward = reward * torch.cat([torch.ones_like(discount[:1]), discount[:-1]]).cumprod(0)
    total = reward.sum(0)
    return total.unflatten(0, (environments, candidates))


@dataclass(frozen=True, kw_only=True)
class PlannerSettings:
    """Size of the search. Source of the defaults: Hafner et al. 2019, appendix A, kept by Hafner et al. 2020.

    horizon     model steps, each with one reward
    iterations  rounds of sampling and refitting
    candidates  plans per environment and round
    elites      plans kept
    discounted  see `predicted_return`; the published planner takes the plain sum
    """

    horizon: int = 12
    iterations: int = 10
    candidates: int = 1000
    elites: int = 100
    discounted: bool = False


class Search(Protocol):
    """A family of plans: how to draw and refit them, and which action to execute.

    kind  kind of the noise from which candidates are drawn
    """

    kind: str

    def first_action(self, score: Score, draws: Tensor, elites: int) -> Tensor:
        """The action to execute [E, A] from the draws [I, E, K, H, A]."""


class GaussianSearch:
    """Plans in [-1, 1]; executes the first action of the mean."""

    kind = "normal"

    def first_action(self, score: Score, draws: Tensor, elites: int) -> Tensor:
        return search_gaussian(score, draws, elites)[:, 0]


class CategoricalSearch:
    """One-hot plans; executes the most probable first action. Ours."""

    kind = "uniform"

    def first_action(self, score: Score, draws: Tensor, elites: int) -> Tensor:
        return argmax_onehot(search_categorical(score, draws, elites)[:, 0])


@dataclass(frozen=True, kw_only=True)
class CEMPlanner(WithoutLosses):
    """PlaNet: a new search at every decision. It has no networks besides the world model and learns nothing.

    The candidates of all environments and of all seeds (`decides_together`) are one batch in every model step.
    """

    settings: PlannerSettings
    search: Search
    exploration: Exploration

    def networks(self, sizes: Sizes) -> dict[str, nn.Module]:
        return {}

    def act_noise(self, sizes: Sizes, num_envs: int, *, explore: bool) -> dict[str, NoiseSpec]:
        plans = (self.settings.iterations, num_envs, self.settings.candidates, self.settings.horizon)
        noise = {
            "candidates": NoiseSpec(self.search.kind, (*plans, sizes.action)),
            "latent": sizes.latent.over(self.settings.iterations, self.settings.horizon, num_envs * self.settings.candidates),
        }
        return noise | (self.exploration.noise(sizes.action, num_envs) if explore else {})

    def act(self, parts: Parts, state: State, noise: Noise, gradient_steps: Tensor, *, explore: bool) -> Tensor:
        def score(number: int, actions: Tensor) -> Tensor:
            return predicted_return(parts.world_model, state, actions, noise["latent"][number], self.settings.discounted)

        action = self.search.first_action(score, noise["candidates"], self.settings.elites)
        return self.exploration.explore(action, noise, gradient_steps) if explore else action
