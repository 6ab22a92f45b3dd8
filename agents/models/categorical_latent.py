"""Categorical latents and the balanced KL, which DreamerV2 uses in place of Gaussians and free nats.

Source: Hafner et al. 2021 (DreamerV2), section 2.1 and appendix C; docs/algorithms/dreamer_v2.md §4, §5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.models.categorical import categorical_kl, straight_through
from agents.models.latents import Latent, NoiseSpec
from agents.models.objectives import Metrics, mean_above
from agents.models.rssm import Dynamics, State


class Categorical:
    """`groups` one-hot samples of `classes` each, with straight-through gradient; statistic "logits" [..., groups, classes]."""

    def __init__(self, groups: int = 32, classes: int = 32):
        self.groups, self.classes = groups, classes
        self.size = self.raw_size = groups * classes
        self.noise = NoiseSpec("uniform", (groups, classes))

    def statistics(self, raw: Tensor) -> dict[str, Tensor]:
        return {"logits": raw.float().unflatten(-1, (self.groups, self.classes))}

    def sample(self, statistics: dict[str, Tensor], noise: Tensor) -> Tensor:
        return straight_through(statistics["logits"], noise).flatten(-2)

    def heated(self, statistics: dict[str, Tensor], temperature: float) -> dict[str, Tensor]:
        """logits / temperature. Source: Ha & Schmidhuber 2018 (docs/algorithms/world_models.md §3)."""
        return {**statistics, "logits": statistics["logits"] / temperature}

    def divergence(self, posterior: dict[str, Tensor], prior: dict[str, Tensor]) -> Tensor:
        """KL(posterior || prior) [...], summed over the groups."""
        return categorical_kl(posterior["logits"], prior["logits"]).sum(-1)

    def initial(self, *leading: int, like: Tensor | None = None) -> dict[str, Tensor]:
        device = None if like is None else like.device
        return {
            "stoch": torch.zeros(*leading, self.size, device=device),
            "logits": torch.zeros(*leading, self.groups, self.classes, device=device),
        }


@dataclass(frozen=True, kw_only=True)
class BalancedKL:
    """scale · (α max(KL(sg(posterior) || prior), free) + (1 - α) max(KL(posterior || sg(prior)), free)), means clipped.

    With α above 0.5, the prior moves faster towards the posterior than the posterior towards the prior.
    per_position  clip every position before the mean, as the original's `free_avg: False` does
    Source: α = 0.8, free_nats 0 on Atari and 1 for control: Hafner et al. 2021 and its code.
    """

    scale: float = 1.0
    balance: float = 0.8
    free_nats: float = 0.0
    per_position: bool = False

    def noise(self, latent: Latent, length: int, sequences: int) -> dict[str, NoiseSpec]:
        return {}

    def loss(
        self, dynamics: Dynamics, posterior: State, prior: State, batch: Mapping[str, Tensor], noise: Mapping[str, Tensor]
    ) -> tuple[Tensor, Metrics]:
        towards_posterior = dynamics.divergence(_stopped(posterior), prior)
        towards_prior = dynamics.divergence(posterior, _stopped(prior))
        moved, kept = (
            mean_above(divergence, self.free_nats, per_position=self.per_position)
            for divergence in (towards_posterior, towards_prior)
        )
        return self.scale * (self.balance * moved + (1.0 - self.balance) * kept), {"kl": towards_prior.mean().detach()}


def _stopped(state: State) -> State:
    return {name: leaf.detach() for name, leaf in state.items()}
