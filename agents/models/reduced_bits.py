"""Images with fewer bits, as PlaNet sees them, for any encoder and any representation objective.

Source: Hafner et al. 2019, appendix A: 5 bits. Deviation: a pixel takes the middle of its bin; the original adds uniform noise
within the bin (docs/algorithms/planet.md §2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from agents.models.objectives import Metrics


def reduced(image: Tensor, bits: int) -> Tensor:
    """uint8 images with 2^bits levels, each in the middle of its bin: 5 bits give 4, 12, …, 252."""
    width = 2 ** (8 - bits)
    return image.bitwise_and(256 - width).add(width // 2)


class ReducedBitsEncoder(nn.Module):
    """`encoder` with reduced images as input."""

    def __init__(self, encoder: nn.Module, size: int, bits: int):
        super().__init__()
        self.encoder, self.size, self.bits = encoder, size, bits

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        return self.encoder(_with_reduced(observation, self.bits))


class ReducedBitsObjective(nn.Module):
    """`objective` with reduced images as targets."""

    objective: Any

    def __init__(self, objective: nn.Module, bits: int):
        super().__init__()
        self.objective, self.bits = objective, bits

    def loss(self, features: Tensor, embed: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Metrics]:
        return self.objective.loss(features, embed, _with_reduced(batch, self.bits))

    def reconstruct(self, features: Tensor) -> dict[str, Tensor]:
        return self.objective.reconstruct(features)


def _with_reduced(batch: Mapping[str, Tensor], bits: int) -> Mapping[str, Tensor]:
    return {**batch, "image": reduced(batch["image"], bits)} if "image" in batch else batch
