"""Weights of a loss that change while an agent learns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """From `start` in a straight line to `end`, then constant; counted in model updates.

    gradient_steps  the line's length
    earlier         how much of it had passed before the first update, in updates
    """

    start: float
    end: float
    gradient_steps: float
    earlier: float = 0.0

    def at(self, gradient_steps: Tensor) -> Tensor:
        """A scalar tensor."""
        passed = ((gradient_steps + self.earlier) / self.gradient_steps).clamp(0.0, 1.0)
        return self.start + (self.end - self.start) * passed


Weight = float | Ramp


def at(weight: Weight, gradient_steps: Tensor) -> float | Tensor:
    """The weight after so many model updates."""
    return weight.at(gradient_steps) if isinstance(weight, Ramp) else weight
