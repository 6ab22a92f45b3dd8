"""What trains the representation: reconstruction, and the divergence between posterior and prior.

Written for one seed. Likelihoods are Gaussians of unit variance, summed over event axes, averaged over time and batch.
Source: docs/algorithms/dreamer.md §4 (danijar/dreamer 56d4d44).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn.functional import mse_loss, relu

from agents.models.grouped import one_by_one
from agents.models.images import image_blocks, images_from_blocks
from agents.models.latents import Latent, NoiseSpec
from agents.models.networks import Decoder
from agents.models.rssm import Dynamics, State

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
Metrics = dict[str, Tensor]


def unit_normal_loss(mean: Tensor, target: Tensor, event_axes: int = 0) -> Tensor:
    """-log N(target; mean, 1), summed over the last `event_axes` axes and averaged over the others: a scalar."""
    events = math.prod(mean.shape[mean.dim() - event_axes :])
    positions = mean.numel() // events
    return mse_loss(mean, target, reduction="sum") * (0.5 / positions) + events * LOG_SQRT_2PI


def image_loss(blocks: Tensor, image: Tensor) -> Tensor:
    """For mean images as blocks [..., 32, 32, 4 C] and uint8 [..., 64, 64, C]: a scalar."""
    return unit_normal_loss(blocks, image_blocks(image), event_axes=3)


class Objective(Protocol):
    """Trains features to represent the observation; an nn.Module, because it may have a decoder."""

    def loss(self, features: Tensor, embed: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Metrics]:
        """A scalar to minimise, and metrics. features [T, B, F] and embed [T, B, E] carry gradient; batch as observed."""

    def reconstruct(self, features: Tensor) -> dict[str, Tensor]:
        """The mean observation by key (images in [-0.5, 0.5]), for pictures; {} without a decoder."""


class Reconstruction(nn.Module):
    """Decodes the observation from the features."""

    def __init__(
        self, features: int, space: spaces.Dict, *, depth: int = 32, hidden: int = 400, activation: Callable[..., Tensor] = relu
    ):
        super().__init__()
        self.decoder = Decoder(features, space, depth=depth, hidden=hidden, activation=activation)

    def loss(self, features: Tensor, embed: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Metrics]:
        losses = {}
        for key, mean in self.decoder(features).items():
            if key == "image":
                losses["image_loss"] = one_by_one(image_loss, mean, batch[key])
            else:
                losses[f"{key}_loss"] = unit_normal_loss(mean, batch[key], event_axes=1)
        return torch.stack(list(losses.values())).sum(), {name: loss.detach() for name, loss in losses.items()}

    def reconstruct(self, features: Tensor) -> dict[str, Tensor]:
        means = self.decoder(features)
        return {key: images_from_blocks(mean) if key == "image" else mean for key, mean in means.items()}


class Divergence(Protocol):
    """Keeps the posterior near the prior; a plain object without parameters."""

    def noise(self, latent: Latent, length: int, sequences: int) -> dict[str, NoiseSpec]:
        """Noise that it needs besides the posterior's own, which has the name "latent"."""

    def loss(
        self, dynamics: Dynamics, posterior: State, prior: State, batch: Mapping[str, Tensor], noise: Mapping[str, Tensor]
    ) -> tuple[Tensor, Metrics]:
        """A scalar to minimise, with its weight; states are [T, B, ...]."""


def mean_above(divergence: Tensor, free_nats: float, *, per_position: bool) -> Tensor:
    """The mean of a KL [T, B], clipped from below: the mean itself, or every position before it."""
    return divergence.clamp_min(free_nats).mean() if per_position else divergence.mean().clamp_min(free_nats)


@dataclass(frozen=True, kw_only=True)
class FreeNats:
    """scale · max(mean KL, free_nats): no gradient while the mean over the batch is below the threshold.

    free_nats     3.0, on the mean over batch and time (TF2; docs/algorithms/dreamer.md §12 row 5)
    per_position  clip every position before the mean, as in the original program (GR)
    """

    scale: float = 1.0
    free_nats: float = 3.0
    per_position: bool = False

    def noise(self, latent: Latent, length: int, sequences: int) -> dict[str, NoiseSpec]:
        return {}

    def loss(
        self, dynamics: Dynamics, posterior: State, prior: State, batch: Mapping[str, Tensor], noise: Mapping[str, Tensor]
    ) -> tuple[Tensor, Metrics]:
        divergence = dynamics.divergence(posterior, prior)
        clipped = mean_above(divergence, self.free_nats, per_position=self.per_position)
        return self.scale * clipped, {"kl": divergence.mean().detach()}
