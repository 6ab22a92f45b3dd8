"""Representations without pixels: contrastive (NCE: which state belongs to which image), and from reward alone.

A Gaussian q(features | image) must give the features of its own image more density than those of neighbours in the batch.
Source: Hafner et al. 2020, eq. 12 (Dreamer); window, scale and network as in google-research/dreamer `cpc_head`
(docs/algorithms/ablations.md §3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from agents.models.networks import MLP
from agents.models.objectives import Metrics, Reconstruction

Contrast = Callable[[Tensor, Tensor, Tensor, Sequence[int], Sequence[int]], Tensor]

SEQUENCE_SHIFTS = tuple(range(-5, 5))
"""Neighbours among the sequences of a batch, -5..4. Source: google-research/dreamer, window mode."""

TIME_SHIFTS = tuple(range(-15, 15))
"""Neighbours in time, -15..14. Source: google-research/dreamer, window mode."""


def log_density(features: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """log N(features; mean, diag std²), summed over the last axis."""
    standard = (features - mean) / std
    return (-0.5 * standard.square() - std.log()).sum(-1) - 0.5 * features.shape[-1] * math.log(2.0 * math.pi)


def contrast_states(
    features: Tensor,
    mean: Tensor,
    std: Tensor,
    sequence_shifts: Sequence[int] = SEQUENCE_SHIFTS,
    time_shifts: Sequence[int] = TIME_SHIFTS,
) -> Tensor:
    """The image is fixed and the states vary, as in the original code.

    features  [T, B, F]  posterior features
    mean, std [T, B, F]  of q(features | image)
    returns   [T, B]     log q(f[t,b] | o[t,b]) - log Σ over (dt, db) of q(f[t-dt, b-db] | o[t,b]), wrapping around

    Negative within rounding, because the state itself (0, 0) is one of the terms.
    """
    negatives = [log_density(torch.roll(features, (dt, db), (0, 1)), mean, std) for dt in time_shifts for db in sequence_shifts]
    return log_density(features, mean, std) - torch.logsumexp(torch.stack(negatives), 0)


def contrast_images(
    features: Tensor,
    mean: Tensor,
    std: Tensor,
    sequence_shifts: Sequence[int] = SEQUENCE_SHIFTS,
    time_shifts: Sequence[int] = TIME_SHIFTS,
) -> Tensor:
    """The state is fixed and the images vary, as the paper prints (eq. 12). Shapes as in `contrast_states`."""
    negatives = [
        log_density(features, torch.roll(mean, (dt, db), (0, 1)), torch.roll(std, (dt, db), (0, 1)))
        for dt in time_shifts
        for db in sequence_shifts
    ]
    return log_density(features, mean, std) - torch.logsumexp(torch.stack(negatives), 0)


class Contrastive(nn.Module):
    """Trains features by contrast instead of decoding. A decoder learns from stopped features, only for pictures.

    q(features | image) is a diagonal Gaussian: three dense layers on the encoder's output, linear mean,
    std = softplus(raw + ln(e - 1)) + 0.01, which starts near 1. Source: google-research/dreamer `cpc_head`.

    contrast  `contrast_states` (original code) or `contrast_images` (paper)
    """

    def __init__(
        self,
        features: int,
        embed: int,
        space: spaces.Dict,
        *,
        contrast: Contrast = contrast_states,
        sequence_shifts: Sequence[int] = SEQUENCE_SHIFTS,
        time_shifts: Sequence[int] = TIME_SHIFTS,
        layers: int = 3,
        hidden: int = 400,
        depth: int = 32,
        decoder_hidden: int = 400,
        activation: Callable[..., Tensor] = relu,
    ):
        super().__init__()
        self.contrast, self.sequence_shifts, self.time_shifts = contrast, tuple(sequence_shifts), tuple(time_shifts)
        self.statistics = MLP(embed, 2 * features, layers=layers, hidden=hidden)
        self.picture = RewardOnly(features, space, depth=depth, hidden=decoder_hidden, activation=activation)

    def loss(self, features: Tensor, embed: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Metrics]:
        mean, raw = self.statistics(embed).chunk(2, -1)
        std = softplus(raw + math.log(math.e - 1.0)) + 0.01
        objective = self.contrast(features.float(), mean, std, self.sequence_shifts, self.time_shifts).mean()
        picture, metrics = self.picture.loss(features, embed, batch)
        return picture - objective, {**metrics, "contrastive_objective": objective.detach()}

    def reconstruct(self, features: Tensor) -> dict[str, Tensor]:
        return self.picture.reconstruct(features)


class RewardOnly(nn.Module):
    """Only the reward and the KL train the features, not the observation.

    A decoder learns from stopped features, so that the video predictions of all objectives can be compared.
    Source: Hafner et al. 2020, section 4; google-research/dreamer with reward as the only gradient head.
    """

    def __init__(
        self, features: int, space: spaces.Dict, *, depth: int = 32, hidden: int = 400, activation: Callable[..., Tensor] = relu
    ):
        super().__init__()
        self.reconstruction = Reconstruction(features, space, depth=depth, hidden=hidden, activation=activation)

    def loss(self, features: Tensor, embed: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Metrics]:
        return self.reconstruction.loss(features.detach(), embed, batch)

    def reconstruct(self, features: Tensor) -> dict[str, Tensor]:
        return self.reconstruction.reconstruct(features)
