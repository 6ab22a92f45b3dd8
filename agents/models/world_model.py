"""The shared backbone: encoder, dynamics, representation objective, reward head, optional discount head.

Written for one seed. Knows no behaviour and has no flags: a variant is another object that is passed in.
Sources: Hafner et al. 2020; danijar/dreamer 56d4d44 (TF2), docs/algorithms/dreamer.md §3, §4, §6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from agents.models.latents import NoiseSpec
from agents.models.networks import MLP
from agents.models.objectives import Divergence, unit_normal_loss
from agents.models.rssm import State

Batch = Mapping[str, Tensor]
Metrics = dict[str, Tensor]


class Observed(NamedTuple):
    """What the model computes from a sequence; every tensor is [T, B, ...].

    posterior  state after the observation
    prior      statistics predicted before the observation
    features   [T, B, F] of the posterior
    embed      [T, B, E] the encoder's output
    """

    posterior: State
    prior: State
    features: Tensor
    embed: Tensor


class Dream(NamedTuple):
    """Imagined steps after the start, without the start itself (docs/algorithms/dreamer.md §6).

    features  [H, N, F]
    action    [H, N, A]   action[k] led INTO features[k]
    """

    features: Tensor
    action: Tensor


def everything(features: Tensor) -> Tensor:
    """Features with gradient: the loss of a head trains them, too."""
    return features


def stopped(features: Tensor) -> Tensor:
    """Features without gradient: the loss of a head trains only the head."""
    return features.detach()


class WorldModel(nn.Module):
    """encoder + dynamics + objective (representation) + divergence (KL) + reward [+ discount].

    encoder     observation mapping -> embed [..., E]; attribute `size`
    dynamics    agents.models.rssm.Dynamics: RSSM or a variant
    objective   agents.models.objectives.Objective: Reconstruction or a variant
    divergence  agents.models.objectives.Divergence: FreeNats or a variant
    reward      features -> mean [...]
    discount    features -> logits [...], or None if the model predicts no ends; its targets are γ · (1 - is_terminal)
    reward_sees `everything` or `stopped`: whether the reward's loss trains the features; does not affect dreams
    """

    encoder: Any  # a type cannot be both nn.Module and a Protocol
    dynamics: Any
    objective: Any
    reward_head: Any
    discount_head: Any

    def __init__(
        self,
        *,
        encoder: nn.Module,
        dynamics: nn.Module,
        objective: nn.Module,
        divergence: Divergence,
        reward: nn.Module,
        discount: nn.Module | None = None,
        gamma: float = 0.99,
        discount_scale: float = 10.0,
        reward_scale: float = 1.0,
        reward_sees: Callable[[Tensor], Tensor] = everything,
        start_every: int = 1,
    ):
        super().__init__()
        self.encoder, self.dynamics, self.objective, self.reward_head = encoder, dynamics, objective, reward
        self.discount_head, self.divergence = discount, divergence
        self.gamma, self.discount_scale, self.reward_scale = gamma, discount_scale, reward_scale
        self.reward_sees, self.start_every = reward_sees, start_every

    def initial(self, *leading: int, like: Tensor | None = None) -> State:
        """The state before an episode: zeros, on the device of `like`."""
        return self.dynamics.initial(*leading, like=like)

    def filter(self, state: State, action: Tensor, observation: Batch, is_first: Tensor, noise: Tensor) -> State:
        """One posterior step: the state after `action` [E, A] led to `observation` [E, ...].

        Where `is_first` [E] is 1, state and action become 0. noise: noise of one latent sample [E, ...].
        """
        return self.dynamics.filter(state, action, self.encoder(observation), is_first, noise)

    def observe(self, batch: Batch, noise: Tensor) -> Observed:
        """Posterior and prior of sequences [T, B], from a zero state; noise [T, B, ...]."""
        embed = self.encoder(batch)
        posterior, prior = self.dynamics.observe(embed, batch["action"], batch["is_first"], noise)
        return Observed(posterior, prior, self.features(posterior), embed)

    def step(self, state: State, action: Tensor, noise: Tensor, temperature: float = 1.0) -> State:
        """One prior step, for planning. Above a temperature of 1, the latent varies more than the model predicts."""
        state = self.dynamics.step(state, action, noise)
        if temperature == 1.0:
            return state
        latent = self.dynamics.latent
        return {**state, "stoch": latent.sample(latent.heated(state, temperature), noise)}

    def rollout(self, state: State, actions: Tensor, noise: Tensor) -> Tensor:
        """Features [H, N, F] of H prior steps from `state` [N, ...] under actions [H, N, A]; noise [H, N, ...]. No gradient."""
        return self.dynamics.rollout(state, actions, noise)

    def starts(self, posterior: State, is_terminal: Tensor) -> State:
        """States where dreams start: [T, B, ...] -> [N, ...]. If the model predicts ends, none of them is terminal.

        is_terminal [T, B]. With a discount head, no dream starts at the last row. A terminal row can be in the middle of a
        sequence that runs on from a short episode; the row after it, the first of the next episode, then takes its place.
        Of every `start_every` rows, the last is a start, because its state has seen most of the sequence.
        """
        if self.discount_head is not None:
            over = is_terminal[:-1] > 0.0
            posterior = {
                name: torch.where(over.reshape(*over.shape, *[1] * (tensor.dim() - 2)), tensor[1:], tensor[:-1])
                for name, tensor in posterior.items()  # categorical logits have one more axis
            }
        rows = slice(self.start_every - 1, None, self.start_every)
        return {name: tensor[rows].flatten(0, 1) for name, tensor in posterior.items()}

    def dream(
        self,
        start: State,
        actor: nn.Module,
        sample: Callable[[Tensor, Tensor], Tensor],
        latent_noise: Tensor,
        policy_noise: Tensor,
    ) -> Dream:
        """`imagine` with actions sample(actor(features), noise), where the actor's input carries no gradient."""
        found = None
        if isinstance(actor, MLP):
            found = self.dynamics.dream(start, actor, sample, latent_noise, policy_noise)
        if found is not None:
            return Dream(*found)
        return self.imagine(start, lambda features, draw: sample(actor(features.detach()), draw), latent_noise, policy_noise)

    def imagine(
        self, start: State, policy: Callable[[Tensor, Tensor], Tensor], latent_noise: Tensor, policy_noise: Tensor
    ) -> Dream:
        """H steps from `start` [N, ...]: action[k] = policy(features[k-1], policy_noise[k]).

        latent_noise [H, N, ...], policy_noise [H, N, ...]. The policy decides whether its input carries gradient (Dreamer: no).
        """
        state, features = start, self.features(start)
        dreamt, actions = [], []
        for latent_draw, policy_draw in zip(latent_noise.unbind(), policy_noise.unbind()):
            actions.append(policy(features, policy_draw))
            state = self.dynamics.step(state, actions[-1], latent_draw)
            features = self.features(state)
            dreamt.append(features)
        return Dream(torch.stack(dreamt), torch.stack(actions))

    def features(self, state: State) -> Tensor:
        return self.dynamics.features(state)

    def reward(self, features: Tensor) -> Tensor:
        """Mean reward [...] received on arriving in a state, float32."""
        return self.reward_head(features)

    def discount(self, features: Tensor) -> Tensor:
        """γ · P(the episode continues) [...]: the head's probability (its targets contain γ), or γ without a head."""
        if self.discount_head is None:
            return torch.full_like(features[..., 0], self.gamma)
        return torch.sigmoid(self.discount_head(features))

    def reconstruct(self, features: Tensor) -> dict[str, Tensor]:
        """Mean observation by key, images in [-0.5, 0.5]; {} if the objective has no decoder."""
        return self.objective.reconstruct(features)

    def noise(self, length: int, sequences: int) -> dict[str, NoiseSpec]:
        """Noise that `loss` needs for a batch [length, sequences]."""
        latent = self.dynamics.latent
        return {"latent": latent.noise.over_time(length, sequences), **self.divergence.noise(latent, length, sequences)}

    def loss(self, batch: Batch, noise: Mapping[str, Tensor]) -> tuple[Tensor, Observed, Metrics]:
        """Scalar loss of sequences [T, B], the model's states with gradient, and metrics. docs/algorithms/dreamer.md §4."""
        observed = self.observe(batch, noise["latent"])
        represent, metrics = self.objective.loss(observed.features, observed.embed, batch)
        divergence, divergence_metrics = self.divergence.loss(self.dynamics, observed.posterior, observed.prior, batch, noise)
        reward = unit_normal_loss(self.reward(self.reward_sees(observed.features)), batch["reward"])
        loss = represent + divergence + self.reward_scale * reward
        metrics = {**metrics, **divergence_metrics, "reward_loss": reward.detach()}
        if self.discount_head is not None:
            target = self.gamma * (1.0 - batch["is_terminal"])
            discount = binary_cross_entropy_with_logits(self.discount_head(observed.features), target)
            loss = loss + self.discount_scale * discount
            metrics["discount_loss"] = discount.detach()
        return loss, observed, {**metrics, "model_loss": loss.detach()}
