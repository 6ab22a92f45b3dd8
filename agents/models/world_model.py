"""The one backbone: encoder, dynamics, representation objective, reward head, optional discount head.

Written for one seed. Knows no behaviour and has no flags: variants are the objects handed in.
Sources: Hafner et al. 2020; danijar/dreamer 56d4d44 (TF2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.models.rssm import State

Batch = Mapping[str, Tensor]
Metrics = dict[str, Tensor]


class Observed(NamedTuple):
    """What the model made of a sequence; every tensor leads with [T, B].

    posterior  state after seeing the observation
    prior      state predicted just before it
    features   [T, B, F] of the posterior
    embed      [T, B, ...] the encoder's output
    """

    posterior: State
    prior: State
    features: Tensor
    embed: Tensor


class Dream(NamedTuple):
    """Imagined time after the start, which itself is left out (spec §6).

    state     leading [H, N]
    features  [H, N, F]
    action    [H, N, A]   action[k] led INTO state[k]
    """

    state: State
    features: Tensor
    action: Tensor


class WorldModel(nn.Module):
    """encoder + dynamics + objective (representation) + divergence (KL) + reward [+ discount].

    encoder     nn.Module: observation mapping [..., *] -> embed [..., embed_size]; attribute `size`
    dynamics    agents.models.rssm.Dynamics (RSSM, or a variant)
    objective   nn.Module: `loss(features, embed, batch) -> (scalar, metrics)`; agents.models.objectives.Reconstruction or a variant
    divergence  object: `loss(dynamics, observed, batch, noise) -> (scalar, metrics)` and `noise(latent, length, sequences)`;
                agents.models.objectives.FreeNats or a variant
    reward      nn.Module: features -> [...]
    discount    nn.Module: features -> logits [...], or None
    """

    def __init__(self, *, encoder: nn.Module, dynamics: nn.Module, objective: nn.Module, divergence, reward: nn.Module,
                 discount: nn.Module | None = None, gamma: float = 0.99, discount_scale: float = 10.0):
        super().__init__()
        self.encoder, self.dynamics, self.objective, self.reward_head = encoder, dynamics, objective, reward
        self.discount_head = discount
        self.divergence = divergence
        self.gamma, self.discount_scale = gamma, discount_scale

    def initial(self, *leading: int, like: Tensor | None = None) -> State:
        """The state before an episode: zeros."""
        return self.dynamics.initial(*leading, like=like)

    def filter(self, state: State, action: Tensor, observation: Batch, is_first: Tensor, noise: Tensor) -> State:
        """One posterior step: the state after `action` [E, A] led to `observation` [E, ...]. Where `is_first` [E], state and
        action are forgotten. noise: one latent draw [E, ...]."""
        return self.dynamics.filter(state, action, self.encoder(observation), is_first, noise)

    def observe(self, batch: Batch, noise: Tensor) -> Observed:
        """Posterior and prior of sequences [T, B]; noise [T, B, ...]."""
        embed = self.encoder(batch)
        posterior, prior = self.dynamics.observe(embed, batch["action"], batch["is_first"], noise)
        return Observed(posterior, prior, self.features(posterior), embed)

    def step(self, state: State, action: Tensor, noise: Tensor) -> State:
        """One prior step: planning."""
        return self.dynamics.step(state, action, noise)

    def imagine(self, start: State, policy: Callable[[Tensor, Tensor], Tensor], latent_noise: Tensor, policy_noise: Tensor) -> Dream:
        """H steps from `start` [N]: action[k] = policy(features[k-1], policy_noise[k]).

        latent_noise  [H, N, ...]   policy_noise  [H, N, ...]
        The policy decides what gradient its input carries (Dreamer detaches it).
        """
        raise AssertionError("being written")

    def features(self, state: State) -> Tensor:
        return self.dynamics.features(state)

    def reward(self, features: Tensor) -> Tensor:
        """Mean reward [...] of having arrived in a state, float32."""
        return self.reward_head(features)

    def discount(self, features: Tensor) -> Tensor:
        """γ · P(the episode goes on) [...]: the head's probability (its targets already contain γ), or γ where there is no head."""
        if self.discount_head is None:
            return torch.full_like(features[..., 0], self.gamma)
        return torch.sigmoid(self.discount_head(features))

    def noise(self, length: int, sequences: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """What `loss` draws: at least "latent" [T, B, ...]; (kind, shape) by name."""
        raise AssertionError("being written")

    def loss(self, batch: Batch, noise: Mapping[str, Tensor]) -> tuple[Tensor, Observed, Metrics]:
        """Scalar loss of sequences [T, B], with what was observed on the way (with gradient)."""
        raise AssertionError("being written")
