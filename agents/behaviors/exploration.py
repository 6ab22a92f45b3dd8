"""Exploration: what is added to a behaviour's action in training, as objects that the behaviour gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from agents.behaviors.api import Noise, NoiseSpec
from agents.models.categorical import argmax_onehot


class Exploration(Protocol):
    def noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]: ...

    def explore(self, action: Tensor, noise: Noise, gradient_steps: Tensor) -> Tensor:
        """The executed actions [E, A]."""


@dataclass(frozen=True, kw_only=True)
class GaussianNoise:
    """action + N(0, std²), clipped to [-1, 1]. Source of 0.3: both programs, docs/algorithms/dreamer.md §9."""

    std: float = 0.3

    def noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]:
        return {"explore": NoiseSpec("normal", (num_envs, action))}

    def explore(self, action: Tensor, noise: Noise, gradient_steps: Tensor) -> Tensor:
        return (action + self.std * noise["explore"]).clamp(-1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class EpsilonGreedy:
    """A uniform random choice with probability ε, which falls linearly over gradient steps.

    Source: Hafner et al. 2020, appendix A: 0.4 to 0.1 over the first 200,000 gradient steps (docs/algorithms/dreamer.md §9).
    """

    start: float = 0.4
    end: float = 0.1
    gradient_steps: int = 200_000

    def noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]:
        return {"explore": NoiseSpec("uniform", (num_envs,)), "choice": NoiseSpec("uniform", (num_envs, action))}

    def probability(self, gradient_steps: Tensor) -> Tensor:
        """ε after this many model updates, a scalar tensor."""
        return self.start + (self.end - self.start) * (gradient_steps / self.gradient_steps).clamp(0.0, 1.0)

    def explore(self, action: Tensor, noise: Noise, gradient_steps: Tensor) -> Tensor:
        wander = (noise["explore"] < self.probability(gradient_steps)).unsqueeze(-1)
        return torch.where(wander, argmax_onehot(noise["choice"]).to(action.dtype), action)


@dataclass(frozen=True, kw_only=True)
class AsActed:
    """Adds nothing: the policy's own randomness explores (SAC, DreamerV2)."""

    def noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]:
        return {}

    def explore(self, action: Tensor, noise: Noise, gradient_steps: Tensor) -> Tensor:
        return action
