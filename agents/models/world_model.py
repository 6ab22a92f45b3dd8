"""The one backbone: encoder, dynamics, representation objective, reward head, optional discount head.

Written for one seed. Knows no behaviour and has no flags: variants are the objects handed in.
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
    """What the model made of a sequence; every tensor leads with [T, B].

    posterior  state after seeing the observation
    prior      statistics predicted just before it
    features   [T, B, F] of the posterior
    embed      [T, B, E] the encoder's output
    """

    posterior: State
    prior: State
    features: Tensor
    embed: Tensor


class Dream(NamedTuple):
    """Imagined time after the start, which itself is left out (docs/algorithms/dreamer.md §6).

    features  [H, N, F]
    action    [H, N, A]   action[k] led INTO features[k]
    """

    features: Tensor
    action: Tensor


def everything(features: Tensor) -> Tensor:
    """A head's loss trains the features, too."""
    return features


def stopped(features: Tensor) -> Tensor:
    """A head's loss trains the head alone."""
    return features.detach()


class WorldModel(nn.Module):
    """encoder + dynamics + objective (representation) + divergence (KL) + reward [+ discount].

    encoder     observation mapping -> embed [..., E]; attribute `size`
    dynamics    agents.models.rssm.Dynamics: RSSM or a variant
    objective   agents.models.objectives.Objective: Reconstruction or a variant
    divergence  agents.models.objectives.Divergence: FreeNats or a variant
    reward      features -> mean [...]
    discount    features -> logits [...], or None where nothing ends; its targets are γ · (1 - is_terminal)
    reward_sees `everything`, or `stopped`: whether the reward's loss trains the features; imagination is not touched by it
    """

    encoder: Any  # modules that fulfil a Protocol cannot be typed as both
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

        Where `is_first` [E] is 1, state and action are forgotten. noise: one latent draw [E, ...].
        """
        return self.dynamics.filter(state, action, self.encoder(observation), is_first, noise)

    def observe(self, batch: Batch, noise: Tensor) -> Observed:
        """Posterior and prior of sequences [T, B], from a zero state; noise [T, B, ...]."""
        embed = self.encoder(batch)
        posterior, prior = self.dynamics.observe(embed, batch["action"], batch["is_first"], noise)
        return Observed(posterior, prior, self.features(posterior), embed)

    def step(self, state: State, action: Tensor, noise: Tensor, temperature: float = 1.0) -> State:
        """One prior step: planning. Above a temperature of 1 the latent is drawn more randomly than the model believes."""
        state = self.dynamics.step(state, action, noise)
        if temperature == 1.0:
            return state
        latent = self.dynamics.latent
        return {**state, "stoch": latent.sample(latent.heated(state, temperature), noise)}

    def rollout(self, state: State, actions: Tensor, noise: Tensor) -> Tensor:
        """Features [H, N, F] of H prior steps from `state` [N, ...] under actions [H, N, A]; noise [H, N, ...]. No gradient."""
        return self.dynamics.rollout(state, actions, noise)

    def starts(self, posterior: State, is_terminal: Tensor) -> State:
        """States to imagine from: [T, B, ...] -> [N, ...], none of them terminal where the model predicts ends.

        is_terminal [T, B]. With a discount head the last row starts nothing, and in place of a terminal row, which a sequence
        that runs on from a short episode has in its middle, the row after it does: the first of the next episode.
        Of every `start_every` rows the last one: its state has seen most of the sequence.
        """
        if self.discount_head is not None:
            over = is_terminal[:-1] > 0.0
            posterior = {
                name: torch.where(over.reshape(*over.shape, *[1] * (tensor.dim() - 2)), tensor[1:], tensor[:-1])
                for name, tensor in posterior.items()  # a categorical's logits have an axis more
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
        """`imagine` under sample(actor(features), noise), where no gradient flows into what the actor sees."""
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

        latent_noise [H, N, ...], policy_noise [H, N, ...]. The policy decides what gradient its input carries (Dreamer: none).
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
        """Mean reward [...] of having arrived in a state, float32."""
        return self.reward_head(features)

    def discount(self, features: Tensor) -> Tensor:
        """γ · P(the episode goes on) [...]: the head's probability (γ is in its targets), or γ where there is no head."""
        if self.discount_head is None:
            return torch.full_like(features[..., 0], self.gamma)
        return torch.sigmoid(self.discount_head(features))

    def reconstruct(self, features: Tensor) -> dict[str, Tensor]:
        """Mean observation by key, images in [-0.5, 0.5]; {} where the objective cannot draw."""
        return self.objective.reconstruct(features)

    def noise(self, length: int, sequences: int) -> dict[str, NoiseSpec]:
        """What `loss` needs drawn for a batch [length, sequences]."""
        latent = self.dynamics.latent
        return {"latent": latent.noise.over_time(length, sequences), **self.divergence.noise(latent, length, sequences)}

    def loss(self, batch: Batch, noise: Mapping[str, Tensor]) -> tuple[Tensor, Observed, Metrics]:
        """Scalar loss of sequences [T, B], and what was observed on the way, with gradient. docs/algorithms/dreamer.md §4."""
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
