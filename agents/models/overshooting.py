"""Two terms in the model loss of the first PlaNet: latent overshooting, and a global prior on the posterior.

Both are `agents.models.objectives.Divergence` objects around another one. The ICML agent no longer has them.
Source: Hafner et al. 2019 (PlaNet), eq. 7, and google-research/planet b33f0d5; docs/algorithms/planet.md §6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from agents.models.latents import Latent, NoiseSpec
from agents.models.objectives import Divergence, FreeNats, Metrics
from agents.models.rssm import Dynamics, State
from dreamer_bench_base import UserError


def overshooting_kl(
    step: Callable[[State, Tensor, Tensor], State],
    divergence: Callable[[State, State], Tensor],
    posterior: State,
    action: Tensor,
    is_first: Tensor,
    noise: Sequence[Tensor] | Tensor,
    free_nats: float,
) -> Tensor:
    """Mean KL from each posterior to the prior that was unrolled from `d` rows before, d = 2..D.

        posterior    q0   q1   q2   q3
        d = 1        q0 → p1                      the ordinary KL, not counted here
        d = 2        q0 → p1 → p2  compare with q2 (gradient stopped)
        d = 3        q0 → p1 → p2 → p3  compare with q3

    step        one step of the prior, leading [N]
    divergence  KL of two states
    posterior   leaves [T, B, ...]
    action      [T, B, A]  led into row t
    is_first    [T, B]     an unrolling that would cross into a new episode counts 0
    noise       D entries, the d-th of leading shape [T, B] (its first T - d rows are used)
    free_nats   subtracted at every position, with the result cut at 0, as in the original

    Raises ValueError if a sequence is too short for the distance.
    """
    length, distance = action.shape[0], len(noise)
    check_distance(distance, length)
    goal = {key: leaf.detach() for key, leaf in posterior.items()}
    state = posterior
    inside = torch.ones_like(is_first)
    total = torch.zeros_like(is_first[0, 0])
    count = torch.zeros_like(total)
    for d in range(1, distance + 1):
        rows = length - d
        flat = {key: leaf[:rows].flatten(0, 1) for key, leaf in state.items()}
        rolled = step(flat, action[d:].flatten(0, 1), noise[d - 1][:rows].flatten(0, 1))
        state = {key: leaf.unflatten(0, (rows, -1)) for key, leaf in rolled.items()}
        inside = inside[:rows] * (1.0 - is_first[d:])
        if d == 1:
            continue
        excess = divergence({key: leaf[d:] for key, leaf in goal.items()}, state) - free_nats
        total = total + (inside * excess.clamp(min=0.0)).sum()
        count = count + inside.sum()
    return total / count.clamp(min=1.0)


def check_distance(distance: int, length: int) -> None:
    """Raises ValueError, in one line, if sequences of `length` rows are too short for the distance."""
    if not 2 <= distance < length:
        raise UserError(
            f"an overshooting distance from 2 to {length - 1} fits sequences of {length} rows, got {distance}; "
            "change the distance or the sequence length"
        )


@dataclass(frozen=True, kw_only=True)
class Overshooting:
    """`base` + scale · overshooting KL. The first PlaNet had distance 49 in 50 rows, scale 1 and 2 free nats."""

    base: Divergence = field(default_factory=FreeNats)
    distance: int = 49
    scale: float = 1.0
    free_nats: float = 2.0

    def noise(self, latent: Latent, length: int, sequences: int) -> dict[str, NoiseSpec]:
        check_distance(self.distance, length)  # an agent asks for noise before it plays, so the error comes early
        own = {"overshooting": latent.noise.over(self.distance, length, sequences)}
        return {**self.base.noise(latent, length, sequences), **own}

    def loss(
        self, dynamics: Dynamics, posterior: State, prior: State, batch: Mapping[str, Tensor], noise: Mapping[str, Tensor]
    ) -> tuple[Tensor, Metrics]:
        loss, metrics = self.base.loss(dynamics, posterior, prior, batch, noise)
        overshot = overshooting_kl(
            dynamics.step,
            dynamics.divergence,
            posterior,
            batch["action"],
            batch["is_first"],
            noise["overshooting"],
            self.free_nats,
        )
        return loss + self.scale * overshot, {**metrics, "overshooting_kl": overshot.detach()}


@dataclass(frozen=True, kw_only=True)
class GlobalPrior:
    """`base` + scale · mean KL(posterior || N(0, I)), without free nats. Gaussian latents; 0.1: PlaNet's first release."""

    base: Divergence = field(default_factory=FreeNats)
    scale: float = 0.1

    def noise(self, latent: Latent, length: int, sequences: int) -> dict[str, NoiseSpec]:
        return self.base.noise(latent, length, sequences)

    def loss(
        self, dynamics: Dynamics, posterior: State, prior: State, batch: Mapping[str, Tensor], noise: Mapping[str, Tensor]
    ) -> tuple[Tensor, Metrics]:
        loss, metrics = self.base.loss(dynamics, posterior, prior, batch, noise)
        standard = {"mean": torch.zeros_like(posterior["mean"]), "std": torch.ones_like(posterior["std"])}
        divergence = dynamics.divergence(posterior, standard).mean()
        return loss + self.scale * divergence, {**metrics, "global_prior_kl": divergence.detach()}
