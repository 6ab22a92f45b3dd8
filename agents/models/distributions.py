"""Policies: what the output of an actor network means. Plain objects, written for one seed; noise is passed in.

Source: docs/algorithms/dreamer.md §5 (danijar/dreamer 56d4d44 and google-research/dreamer d517542).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

from agents.models.latents import NoiseSpec


class Policy(Protocol):
    """Turns an actor network's output `raw` [..., raw_size(A)] into actions [..., A]."""

    def raw_size(self, action: int) -> int: ...

    def sample_noise(self, action: int) -> NoiseSpec:
        """Noise of one sample."""

    def sample(self, raw: Tensor, noise: Tensor) -> Tensor:
        """A sample [..., A] through which gradient flows; noise [..., *sample_noise.shape]."""

    def entropy(self, raw: Tensor, noise: Tensor) -> Tensor:
        """Entropy [...] of the action in nats, or its estimate from the one sample `sample(raw, noise)`, with gradient."""

    def log_prob(self, raw: Tensor, action: Tensor) -> Tensor:
        """log p(action) [...], with gradient to `raw` alone: the action is a constant here."""

    def explore_noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]: ...

    def explore(self, raw: Tensor, noise: Mapping[str, Tensor], gradient_steps: Tensor) -> Tensor:
        """The action in training [E, A]."""

    def evaluate_noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]: ...

    def evaluate(self, raw: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """The action in evaluation [E, A]."""


@dataclass(frozen=True, kw_only=True)
class TanhNormal:
    """a = tanh(u), u ~ N(mean, std): mean = s·tanh(raw/s), std = softplus(raw + c) + min_std, which starts at init_std.

    init_std 5, min_std 1e-4, mean_scale 5: docs/algorithms/dreamer.md §5, both programs
    mode_samples  samples of which the most likely is the mode, for each row (TF2's index is right for one row only)
    exploration   std of the noise added to a training action, which is then clipped to [-1, 1]: docs/algorithms/dreamer.md §9
    """

    init_std: float = 5.0
    min_std: float = 1e-4
    mean_scale: float = 5.0
    mode_samples: int = 100
    exploration: float = 0.3

    def raw_size(self, action: int) -> int:
        return 2 * action

    def statistics(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std of u, each [..., A]."""
        mean, std = raw.chunk(2, -1)
        mean = self.mean_scale * torch.tanh(mean / self.mean_scale)
        return mean, softplus(std + math.log(math.expm1(self.init_std))) + self.min_std

    def sample_noise(self, action: int) -> NoiseSpec:
        return NoiseSpec("normal", (action,))

    def sample(self, raw: Tensor, noise: Tensor) -> Tensor:
        mean, std = self.statistics(raw)
        return torch.tanh(torch.addcmul(mean, std, noise))

    def entropy(self, raw: Tensor, noise: Tensor) -> Tensor:
        """-log p of the sample, because there is no closed form. Its gradient does not vanish where tanh is flat."""
        mean, std = self.statistics(raw)
        return -tanh_normal_log_prob(mean, std, torch.addcmul(mean, std, noise))

    def log_prob(self, raw: Tensor, action: Tensor) -> Tensor:
        """log p(action) [...]; |action| is clipped at 0.99999997, as in the original."""
        mean, std = self.statistics(raw)
        return tanh_normal_log_prob(mean, std, torch.atanh(action.detach().clamp(-0.99999997, 0.99999997)))

    def explore_noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]:
        return {"policy": NoiseSpec("normal", (num_envs, action)), "exploration": NoiseSpec("normal", (num_envs, action))}

    def explore(self, raw: Tensor, noise: Mapping[str, Tensor], gradient_steps: Tensor) -> Tensor:
        return (self.sample(raw, noise["policy"]) + self.exploration * noise["exploration"]).clamp(-1.0, 1.0)

    def evaluate_noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]:
        return {"mode": NoiseSpec("normal", (self.mode_samples, num_envs, action))}

    def evaluate(self, raw: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """The most likely of `mode_samples` samples, for each row: [..., A]; noise["mode"] [samples, ..., A].

        Samples are ranked by the likelihood of the action, as in the original (docs/algorithms/dreamer.md §12 row 21). Where
        tanh is 1 within rounding, samples tie, and the first of them is taken.
        """
        draws = self.sample(raw, noise["mode"])
        best = self.log_prob(raw, draws).argmax(0)
        return draws.gather(0, best[None, ..., None].expand(1, *draws.shape[1:])).squeeze(0)


def log_tanh_slope(u: Tensor) -> Tensor:
    """log(1 - tanh²u), written as 2 (ln 2 - u - softplus(-2u)), which stays finite for large |u|."""
    return 2.0 * (math.log(2.0) - u - softplus(-2.0 * u))


def tanh_normal_log_prob(mean: Tensor, std: Tensor, before_tanh: Tensor) -> Tensor:
    """log p(tanh(u)) [...] from u [..., A]."""
    u = before_tanh
    normal = -0.5 * ((u - mean) / std).square() - std.log() - 0.5 * math.log(2.0 * math.pi)
    return (normal - log_tanh_slope(u)).sum(-1)
