"""Weights of a loss that change while an agent learns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """Moves linearly from `start` to `end`, then stays there; counted in model updates.

    gradient_steps  length of the ramp, in updates
    earlier         part of the ramp before the first update, in updates
    """

    start: float
    end: float
    gradient_steps: float
    earlier: float = 0.0

    def at(self, gradient_steps: Tensor) -> Tensor:
        """The weight after this many model updates, a scalar tensor."""
        passed = ((gradient_steps + self.earlier) / self.gradient_steps).clamp(0.0, 1.0)
        return self.start + (self.end - self.start) * passed


Weight = float | Ramp


def at(weight: Weight, gradient_steps: Tensor) -> float | Tensor:
    """The weight after this many model updates."""
    return weight.at(gradient_steps) if isinstance(weight, Ramp) else weight
