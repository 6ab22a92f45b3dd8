"""The stochastic part of a state. Written for one seed; draws no random numbers, noise is passed in.

Source: docs/algorithms/dreamer.md §3 (TF2): 30 diagonal Gaussians, std = softplus(raw) + 0.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus


class NoiseSpec(NamedTuple):
    """One random tensor to draw, without the seed axis. kind "normal" (mean 0, std 1) or "uniform" (in [0, 1)).

    shared  in a batch over time, all members share one draw per step
    """

    kind: str
    shape: tuple[int, ...]
    shared: bool = False

    def over(self, *leading: int) -> NoiseSpec:
        """The same kind of noise with more leading axes."""
        return NoiseSpec(self.kind, (*leading, *self.shape))

    def over_time(self, steps: int, batch: int) -> NoiseSpec:
        """Noise for every step of a batch over time, [steps, batch, ...]; if shared, [steps, 1, ...], which broadcasts."""
        return self.over(steps, 1 if self.shared else batch)


class Latent(Protocol):
    """Statistics of one latent as a plain object (no parameters).

    size      width of the flat sample "stoch"
    raw_size  width of the linear layer that gives the statistics
    noise     noise of one sample
    """

    size: int
    raw_size: int
    noise: NoiseSpec

    def statistics(self, raw: Tensor) -> dict[str, Tensor]:
        """raw [..., raw_size] -> the float32 statistics that a State has besides "stoch" and "deter"."""

    def sample(self, statistics: dict[str, Tensor], noise: Tensor) -> Tensor:
        """A reparameterised sample [..., size]; noise [..., *noise.shape]."""

    def heated(self, statistics: dict[str, Tensor], temperature: float) -> dict[str, Tensor]:
        """The statistics at a temperature: above 1 samples vary more, below 1 less."""

    def divergence(self, posterior: dict[str, Tensor], prior: dict[str, Tensor]) -> Tensor:
        """KL(posterior || prior) [...]."""

    def initial(self, *leading: int, like: Tensor | None = None) -> dict[str, Tensor]:
        """Zeros: "stoch" and the statistics, on the device of `like`."""


def double_sigmoid(raw: Tensor) -> Tensor:
    """2 σ(raw / 2): a standard deviation of 1 at raw = 0, always below 2. Source: danijar/dreamerv2, every version."""
    return 2.0 * torch.sigmoid(raw / 2.0)


class Gaussian:
    """Diagonal Gaussian; statistics "mean" and "std" = deviation(raw) + min_std."""

    def __init__(self, size: int = 30, min_std: float = 0.1, deviation: Callable[[Tensor], Tensor] = softplus):
        self.size, self.raw_size, self.min_std, self.deviation = size, 2 * size, min_std, deviation
        self.noise = NoiseSpec("normal", (size,))

    def statistics(self, raw: Tensor) -> dict[str, Tensor]:
        mean, std = raw.float().chunk(2, -1)
        # Contiguous, because softplus over a view of half a matrix takes several times as long on a CPU.
        return {"mean": mean, "std": self.deviation(std.contiguous()) + self.min_std}

    def sample(self, statistics: dict[str, Tensor], noise: Tensor) -> Tensor:
        return torch.addcmul(statistics["mean"], statistics["std"], noise)

    def heated(self, statistics: dict[str, Tensor], temperature: float) -> dict[str, Tensor]:
        """std · √temperature. Source: Ha & Schmidhuber 2018 (docs/algorithms/world_models.md §3)."""
        return {**statistics, "std": statistics["std"] * temperature**0.5}

    def divergence(self, posterior: dict[str, Tensor], prior: dict[str, Tensor]) -> Tensor:
        """KL = Σ log(s₂/s₁) + (s₁² + (m₁-m₂)²) / (2 s₂²) - ½."""
        ratio = (posterior["std"] / prior["std"]).square()
        distance = ((posterior["mean"] - prior["mean"]) / prior["std"]).square()
        return 0.5 * (ratio + distance - 1.0 - ratio.log()).sum(-1)

    def initial(self, *leading: int, like: Tensor | None = None) -> dict[str, Tensor]:
        zeros = torch.zeros(*leading, self.size, device=None if like is None else like.device)
        return {"stoch": zeros, "mean": zeros, "std": zeros}
