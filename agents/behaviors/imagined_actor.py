"""The actor of behaviours that learn in imagination: its network, its decisions, its dreams."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from agents.behaviors.api import Noise, NoiseSpec, Parts, Sizes
from agents.models.distributions import Policy
from agents.models.networks import MLP
from agents.models.rssm import State
from agents.models.world_model import Dream


def network(policy: Policy, sizes: Sizes, *, layers: int, hidden: int) -> MLP:
    return MLP(sizes.features, policy.raw_size(sizes.action), layers=layers, hidden=hidden)


def act_noise(policy: Policy, sizes: Sizes, num_envs: int, *, explore: bool) -> dict[str, NoiseSpec]:
    return (policy.explore_noise if explore else policy.evaluate_noise)(sizes.action, num_envs)


def act(policy: Policy, parts: Parts, state: State, noise: Noise, gradient_steps: Tensor, *, explore: bool) -> Tensor:
    raw = parts.actor(parts.world_model.features(state))
    return policy.explore(raw, noise, gradient_steps) if explore else policy.evaluate(raw, noise)


def dream_noise(policy: Policy, sizes: Sizes, *, steps: int, starts: int) -> dict[str, NoiseSpec]:
    return {
        "latent": sizes.latent.over_time(steps, starts),
        "policy": policy.sample_noise(sizes.action).over(steps, starts),
    }


def dream(policy: Policy, parts: Parts, start: State, noise: Mapping[str, Tensor]) -> Dream:
    """The actor's dream from `start` on. The actor's input carries no gradient (docs/algorithms/dreamer.md §6)."""
    return parts.world_model.dream(start, parts.actor, policy.sample, noise["latent"], noise["policy"])
