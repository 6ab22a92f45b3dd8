"""DreamerV2's policy for continuous actions: a normal distribution truncated to [-1, 1]. For one seed; noise is passed in.

Source: Hafner et al. 2021, code (danijar/dreamerv2 0216d33): TruncatedNormal of TensorFlow Probability 0.12.2;
docs/algorithms/dreamer_v2.md §4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.special import ndtr, ndtri

from agents.models.latents import NoiseSpec, double_sigmoid

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True, kw_only=True)
class TruncatedNormal:
    """a ~ N(mean, std²) given |a| ≤ 1; mean = tanh(raw), std = 2 σ(raw / 2) + min_std.

    A sample is the inverse of the distribution function at a uniform number. It is clipped to ±(1 - inside); the clip keeps the
    gradient.

    exact   use the true derivative of that inverse. Otherwise the bounds are constants and the derivative is that of
            TensorFlow's sampler, which the original used: d a = d mean + (a - mean)/std · d std
    """

    min_std: float = 0.1
    inside: float = 1e-6
    exact: bool = False

    def raw_size(self, action: int) -> int:
        return 2 * action

    def statistics(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std before truncation, each [..., A]."""
        mean, std = raw.chunk(2, -1)
        return torch.tanh(mean), double_sigmoid(std) + self.min_std

    def sample_noise(self, action: int) -> NoiseSpec:
        return NoiseSpec("uniform", (action,))

    def sample(self, raw: Tensor, noise: Tensor) -> Tensor:
        mean, std = self.statistics(raw)
        drawn = self.uncut(mean, std, noise)
        return drawn + (drawn.clamp(-1.0 + self.inside, 1.0 - self.inside) - drawn).detach()

    def uncut(self, mean: Tensor, std: Tensor, noise: Tensor) -> Tensor:
        """The sample before it is clipped to ±(1 - inside)."""
        low, high = (-1.0 - mean.detach()) / std.detach(), (1.0 - mean.detach()) / std.detach()
        before, whole = ndtr(low), ndtr(high) - ndtr(low)
        # At the ends of the range the inverse is infinite in float32, so the result is limited to the bounds.
        standard = torch.minimum(torch.maximum(ndtri(before + noise * whole), low), high)
        if not self.exact:
            return mean + std * standard
        at_low = (1.0 - noise) * torch.exp(0.5 * (standard.square() - low.square()))
        at_high = noise * torch.exp(0.5 * (standard.square() - high.square()))
        by_mean, by_std = 1.0 - at_low - at_high, standard - low * at_low - high * at_high
        return mean.detach() + std.detach() * standard + by_mean * (mean - mean.detach()) + by_std * (std - std.detach())

    def entropy(self, raw: Tensor, noise: Tensor) -> Tensor:
        """Entropy [...] in closed form, in nats; `noise` is not used."""
        mean, std = self.statistics(raw)
        low, high = (-1.0 - mean) / std, (1.0 - mean) / std
        whole = ndtr(high) - ndtr(low)
        ends = (low * _density(low) - high * _density(high)) / (2.0 * whole)
        return (0.5 + LOG_SQRT_2PI + std.log() + whole.log() + ends).sum(-1)

    def log_prob(self, raw: Tensor, action: Tensor) -> Tensor:
        mean, std = self.statistics(raw)
        whole = ndtr((1.0 - mean) / std) - ndtr((-1.0 - mean) / std)
        standard = (action.detach() - mean) / std
        return (-0.5 * standard.square() - std.log() - LOG_SQRT_2PI - whole.log()).sum(-1)

    def explore_noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]:
        return {"policy": NoiseSpec("uniform", (num_envs, action))}

    def explore(self, raw: Tensor, noise: Mapping[str, Tensor], gradient_steps: Tensor) -> Tensor:
        """A sample without added noise; the entropy in the actor's loss keeps it wide."""
        return self.sample(raw, noise["policy"])

    def evaluate_noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]:
        return {}

    def evaluate(self, raw: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """The most likely action: the mean, which tanh keeps within [-1, 1]."""
        return self.statistics(raw)[0]


def _density(standard: Tensor) -> Tensor:
    return torch.exp(-0.5 * standard.square() - LOG_SQRT_2PI)
