"""Soft actor-critic on the features of the world model's posterior, with the real rewards in replay.

The features are constants here: the losses train actor, critics and temperature, never the model.
Source: Haarnoja et al. 2018 (SAC with learned temperature), Christodoulou 2019 (discrete actions). The design of the arm is
ours, because the Dreamer paper has no SAC run (docs/algorithms/sac.md §2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from agents.behaviors.api import Losses, Metrics, Noise, NoiseSpec, OptimizerSettings, Parts, Sizes, SlowCopy
from agents.behaviors.soft_losses import (
    actor_loss,
    actor_loss_discrete,
    critic_loss,
    gaussian_statistics,
    soft_target,
    soft_target_discrete,
    squashed_sample,
    temperature_loss,
    weighted_mean,
)
from agents.models.categorical import argmax_onehot, draw_onehot, entropy
from agents.models.networks import MLP
from agents.models.rssm import State
from agents.models.world_model import Observed


class TwinCritic(nn.Module):
    """Two independent Q networks: [..., inputs] -> two of [..., outputs]."""

    def __init__(self, inputs: int, outputs: int, *, layers: int, hidden: int):
        super().__init__()
        self.first = MLP(inputs, outputs, layers=layers, hidden=hidden)
        self.second = MLP(inputs, outputs, layers=layers, hidden=hidden)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.first(inputs), self.second(inputs)


class Temperature(nn.Module):
    """log α, learned; `initial` is the first α. Source of 0.1: denisyarats/pytorch_sac."""

    def __init__(self, initial: float):
        super().__init__()
        self.offset = math.log(initial)
        self.bias_log_alpha = nn.Parameter(torch.empty(1))  # starts at 0, as every bias does

    def forward(self) -> Tensor:
        return self.bias_log_alpha.squeeze(0) + self.offset


class Transitions(NamedTuple):
    """(s, a, r, d, s') along one leading axis [N].

    features, following  [N, F]  features before and after, constants
    action               [N, A]  led from one to the other
    reward, discount     [N]     received on arriving; discount = γ, or 0 where the MDP ended
    weight               [N]     0 where the two rows belong to different episodes
    """

    features: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    following: Tensor
    weight: Tensor


def transitions(features: Tensor, batch: Mapping[str, Tensor], gamma: float, burn_in: int) -> Transitions:
    """The transitions of sequences in the arrival convention, [T, B] -> [(T - 1 - burn_in) · B].

        row t      features[t]
        row t+1    action[t+1] led here; reward[t+1], is_terminal[t+1], features[t+1]

    burn_in  first rows to leave out, because the zero state before a sequence makes their features poor
    """
    before, after = slice(burn_in, -1), slice(burn_in + 1, None)
    return Transitions(
        *(
            tensor.flatten(0, 1)
            for tensor in (
                features[before],
                batch["action"][after],
                batch["reward"][after],
                gamma * (1.0 - batch["is_terminal"][after]),
                features[after],
                1.0 - batch["is_first"][after],
            )
        )
    )


class Control(Protocol):
    """What differs between continuous and discrete SAC; the recipe passes it in.

    noise  kind of the noise from which an action is sampled
    """

    noise: str

    def target_entropy(self, action: int) -> float: ...

    def actor_size(self, action: int) -> int: ...

    def critic_sizes(self, features: int, action: int) -> tuple[int, int]: ...

    def act(self, raw: Tensor, noise: Tensor | None) -> Tensor:
        """A sample of the policy; without noise, the action for evaluation."""

    def losses(self, parts: Parts, data: Transitions, noise: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Critic loss, actor loss, and entropy of the policy [N]. noise: for the actions at `features` and at `following`."""


class ContinuousControl:
    """A squashed Gaussian; Q(features, action). Target entropy -A (Haarnoja et al. 2018)."""

    noise = "normal"

    def target_entropy(self, action: int) -> float:
        return -float(action)

    def actor_size(self, action: int) -> int:
        return 2 * action

    def critic_sizes(self, features: int, action: int) -> tuple[int, int]:
        return features + action, 1

    def act(self, raw: Tensor, noise: Tensor | None) -> Tensor:
        return torch.tanh(gaussian_statistics(raw)[0]) if noise is None else squashed_sample(raw, noise)[0]

    def losses(self, parts: Parts, data: Transitions, noise: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        alpha = parts.temperature().exp()
        action, log_probability = squashed_sample(parts.actor(data.features), noise[0])
        next_action, next_log_probability = squashed_sample(parts.actor(data.following), noise[1])
        target = soft_target(
            data.reward,
            data.discount,
            *self._values(parts.slow_critic, data.following, next_action),
            next_log_probability,
            alpha,
        )
        return (
            critic_loss(*self._values(parts.critic, data.features, data.action), target, data.weight),
            actor_loss(*self._values(parts.critic, data.features, action), log_probability, alpha, data.weight),
            -log_probability,
        )

    def _values(self, critic: nn.Module, features: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        first, second = critic(torch.cat([features, action], -1))
        return first.squeeze(-1), second.squeeze(-1)


class DiscreteControl:
    """A categorical; Q(features) for each action, expectations instead of samples. Target entropy 0.98 log A.

    Source: Christodoulou 2019; 0.98 is commonly cited for it and was not checked against the paper (docs/algorithms/sac.md §1).
    """

    noise = "uniform"

    def target_entropy(self, action: int) -> float:
        return 0.98 * math.log(action)

    def actor_size(self, action: int) -> int:
        return action

    def critic_sizes(self, features: int, action: int) -> tuple[int, int]:
        return features, action

    def act(self, raw: Tensor, noise: Tensor | None) -> Tensor:
        return argmax_onehot(raw) if noise is None else draw_onehot(raw, noise)

    def losses(self, parts: Parts, data: Transitions, noise: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        alpha = parts.temperature().exp()
        logits = parts.actor(data.features)
        slow_first, slow_second = parts.slow_critic(data.following)
        target = soft_target_discrete(data.reward, data.discount, slow_first, slow_second, parts.actor(data.following), alpha)
        first, second = parts.critic(data.features)
        critic = critic_loss((first * data.action).sum(-1), (second * data.action).sum(-1), target, data.weight)
        return critic, actor_loss_discrete(first, second, logits, alpha, data.weight), entropy(logits)


@dataclass(frozen=True, kw_only=True)
class SoftActorCritic:
    """Settings; their sources are in agents/recipes/sac.py.

    repeats       updates per model update
    transitions   transitions of one update, drawn with replacement from the batch; 0 takes all of them
    burn_in       first rows of every sequence to leave out
    tau           share by which the slow critics approach the critics after every update
    """

    control: Control
    gamma: float = 0.99
    tau: float = 0.005
    initial_alpha: float = 0.1
    hidden: int = 400
    layers: int = 2
    repeats: int = 5
    decides_together: bool = False
    transitions: int = 512
    burn_in: int = 5
    optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(learning_rate=3e-4))

    @property
    def optimizers(self) -> Mapping[str, OptimizerSettings]:
        return dict.fromkeys(("actor", "critic", "temperature"), self.optimizer)

    @property
    def targets(self) -> Mapping[str, SlowCopy]:
        return {"slow_critic": SlowCopy(source="critic", fraction=self.tau)}

    def networks(self, sizes: Sizes) -> dict[str, nn.Module]:
        inputs, outputs = self.control.critic_sizes(sizes.features, sizes.action)
        return {
            "actor": MLP(sizes.features, self.control.actor_size(sizes.action), layers=self.layers, hidden=self.hidden),
            "critic": TwinCritic(inputs, outputs, layers=self.layers, hidden=self.hidden),
            "temperature": Temperature(self.initial_alpha),
        }

    def act_noise(self, sizes: Sizes, num_envs: int, *, explore: bool) -> dict[str, NoiseSpec]:
        return {"policy": NoiseSpec(self.control.noise, (num_envs, sizes.action))} if explore else {}

    def act(self, parts: Parts, state: State, noise: Noise, gradient_steps: Tensor, *, explore: bool) -> Tensor:
        """A sample of the policy in training, without added noise; tanh of the mean or the mode in evaluation."""
        raw = parts.actor(parts.world_model.features(state))
        return self.control.act(raw, noise["policy"] if explore else None)

    def loss_noise(self, sizes: Sizes, length: int, sequences: int) -> dict[str, NoiseSpec]:
        available = (length - 1 - self.burn_in) * sequences
        count = self.transitions or available
        noise = {name: NoiseSpec(self.control.noise, (count, sizes.action)) for name in ("policy", "next_policy")}
        return noise | ({"subset": NoiseSpec("uniform", (count,))} if self.transitions else {})

    def losses(
        self, parts: Parts, observed: Observed, batch: Mapping[str, Tensor], noise: Noise, gradient_steps: Tensor
    ) -> tuple[Losses, Metrics]:
        """Losses from real rewards and constant features; reward and discount are those of the model's own targets."""
        data = transitions(observed.features, batch, self.gamma, self.burn_in)
        if self.transitions:
            rows = (noise["subset"] * len(data.reward)).long()
            data = Transitions(*(tensor.index_select(0, rows) for tensor in data))
        critic, actor, policy_entropy = self.control.losses(parts, data, (noise["policy"], noise["next_policy"]))
        log_alpha = parts.temperature()
        target_entropy = self.control.target_entropy(data.action.shape[-1])
        temperature = temperature_loss(log_alpha, policy_entropy, target_entropy, data.weight)
        metrics = {
            "critic_loss": critic,
            "actor_loss": actor,
            "alpha": log_alpha.exp(),
            "policy_entropy": weighted_mean(policy_entropy, data.weight),
        }
        return (
            {"critic": critic, "actor": actor, "temperature": temperature},
            {name: metric.detach() for name, metric in metrics.items()},
        )
