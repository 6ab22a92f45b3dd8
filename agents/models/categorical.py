"""One-hot categorical variables: samples from given uniform noise, straight-through gradients, entropies.

Actions are [..., A]; categorical latents are [..., groups, classes].
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_UNIFORM = 1e-7
"""Distance of uniform noise from 0 and 1, where the Gumbel transform is infinite (float32 resolution at 1: 6e-8)."""


def argmax_onehot(scores: Tensor) -> Tensor:
    """The one-hot vector of the largest entry of the last axis, in the dtype of `scores`. Carries no gradient."""
    classes = torch.arange(scores.shape[-1], device=scores.device)
    return (scores.argmax(-1, keepdim=True) == classes).to(scores.dtype)


def draw_onehot(logits: Tensor, uniform: Tensor) -> Tensor:
    """A one-hot sample of softmax(logits), by the Gumbel-max rule. `uniform` in [0, 1) has the shape of the result."""
    inside = uniform.clamp(SMALLEST_UNIFORM, 1.0 - SMALLEST_UNIFORM)
    return argmax_onehot(logits.detach() - torch.log(-torch.log(inside)))


def straight_through(logits: Tensor, uniform: Tensor) -> Tensor:
    """A one-hot sample whose gradient is that of the probabilities: sample + p - stop(p).

    Source: Hafner et al. 2020, section 3 (Dreamer, discrete actions); 2021, section 2.1 (DreamerV2, latents).
    """
    probabilities = logits.softmax(-1)
    return draw_onehot(logits, uniform) + (probabilities - probabilities.detach())


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats over the last axis."""
    log_probabilities = logits.log_softmax(-1)
    return -(log_probabilities.exp() * log_probabilities).sum(-1)


def categorical_kl(logits: Tensor, other: Tensor) -> Tensor:
    """KL(softmax(logits) || softmax(other)) over the last axis, in nats."""
    log_probabilities = logits.log_softmax(-1)
    return (log_probabilities.exp() * (log_probabilities - other.log_softmax(-1))).sum(-1)
