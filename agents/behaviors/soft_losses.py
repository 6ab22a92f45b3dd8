"""Equations of the soft actor-critic, continuous and discrete, as pure functions of tensors.

Source: Haarnoja et al. 2018 (learned temperature), Christodoulou 2019 (discrete actions); docs/algorithms/sac.md §1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from agents.models.distributions import log_tanh_slope

LOG_STD_RANGE = (-5.0, 2.0)
"""Source: denisyarats/pytorch_sac."""


def squashed_sample(statistics: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """A reparameterised action a = tanh(u), u ~ N(mean, std²), and its log-density.

    statistics  [..., 2A]  mean, and a raw log-std, which tanh rescales to [-5, 2]
    normal      [..., A]
    returns     action [..., A], log π(a) [...]

    The density takes the noise as drawn; `tanh_normal_log_prob` computes it from u, which rounds differently.
    """
    mean, log_std = gaussian_statistics(statistics)
    u = mean + log_std.exp() * normal
    log_normal = -0.5 * normal.square() - log_std - 0.5 * math.log(2.0 * math.pi)
    return torch.tanh(u), (log_normal - log_tanh_slope(u)).sum(-1)


def gaussian_statistics(statistics: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-std of the Gaussian before squashing: [..., 2A] -> two of [..., A]."""
    mean, raw = statistics.chunk(2, -1)
    low, high = LOG_STD_RANGE
    return mean, low + 0.5 * (high - low) * (torch.tanh(raw) + 1.0)


def soft_target(
    reward: Tensor,
    discount: Tensor,
    first: Tensor,
    second: Tensor,
    log_probability: Tensor,
    alpha: Tensor,
) -> Tensor:
    """r + γ d (min(Q1', Q2') - α log π'): the target of both critics for continuous actions. All [N]; carries no gradient.

    reward, discount  of the transition; discount = γ, or 0 where the MDP ended
    first, second     slow critics at the next features and an action of the current actor
    """
    return (reward + discount * (torch.minimum(first, second) - alpha * log_probability)).detach()


def soft_target_discrete(
    reward: Tensor,
    discount: Tensor,
    first: Tensor,
    second: Tensor,
    logits: Tensor,
    alpha: Tensor,
) -> Tensor:
    """r + γ d Σ_a π'(a) (min(Q1', Q2')(a) - α log π'(a)): the expectation over actions instead of a sample.

    reward, discount [N];  first, second, logits [N, A]
    """
    log_probabilities = logits.log_softmax(-1)
    soft_value = (log_probabilities.exp() * (torch.minimum(first, second) - alpha * log_probabilities)).sum(-1)
    return (reward + discount * soft_value).detach()


def critic_loss(first: Tensor, second: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of the squared errors of both critics. All [N]."""
    return weighted_mean((first - target).square() + (second - target).square(), weight)


def actor_loss(first: Tensor, second: Tensor, log_probability: Tensor, alpha: Tensor, weight: Tensor) -> Tensor:
    """Mean of α log π(a) - min(Q1, Q2)(a) for actions a sampled from the actor. All [N]; α is a constant here."""
    return weighted_mean(alpha.detach() * log_probability - torch.minimum(first, second), weight)


def actor_loss_discrete(first: Tensor, second: Tensor, logits: Tensor, alpha: Tensor, weight: Tensor) -> Tensor:
    """Mean of Σ_a π(a) (α log π(a) - min(Q1, Q2)(a)); Q and α are constants here. first, second, logits [N, A]."""
    log_probabilities = logits.log_softmax(-1)
    soft = alpha.detach() * log_probabilities - torch.minimum(first, second).detach()
    return weighted_mean((log_probabilities.exp() * soft).sum(-1), weight)


def temperature_loss(log_alpha: Tensor, policy_entropy: Tensor, target_entropy: float, weight: Tensor) -> Tensor:
    """α · (entropy - target): α rises while the entropy is below the target. The entropy [N] is a constant here."""
    return weighted_mean(log_alpha.exp() * (policy_entropy.detach() - target_entropy), weight)


def weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Σ w x / Σ w; 0 if the weights are all 0."""
    return (weight * value).sum() / weight.sum().clamp(min=1.0)
