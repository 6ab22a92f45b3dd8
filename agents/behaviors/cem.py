"""Planning by the cross-entropy method (PlaNet): search for actions with the model, learn nothing.

Source: Hafner et al. 2019 (PlaNet), algorithm 2 and google-research/planet; population variance as in the code.
The categorical search for discrete actions is ours: PlaNet has continuous control only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from agents.models.categorical import draw_onehot

VARIANCE_FLOOR = 1e-6
"""Added to the variance of the kept candidates. Source: google-research/planet."""

PROBABILITY_FLOOR = 0.01
"""Share of the uniform distribution in a refitted categorical, so that no action dies out. Ours."""

Score = Callable[[int, Tensor], Tensor]
"""(round, candidates [E, K, H, A]) -> predicted return [E, K]."""


def kept(candidates: Tensor, returns: Tensor, elites: int) -> Tensor:
    """The best candidates of every environment: [E, K, H, A], [E, K] -> [E, elites, H, A]."""
    best = returns.topk(elites, dim=1).indices
    index = best[:, :, None, None].expand(-1, -1, *candidates.shape[2:])
    return candidates.gather(1, index)


def refit_gaussian(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and √(population variance + 1e-6) over the kept candidates: [E, elites, H, A] -> two of [E, H, A]."""
    mean = chosen.mean(1)
    return mean, ((chosen - mean[:, None]).square().mean(1) + VARIANCE_FLOOR).sqrt()


def search_gaussian(score: Score, normal: Tensor, elites: int) -> Tensor:
    """The mean plan after all rounds, from N(0, 1) at every call: no warm start.

    normal   [I, E, K, H, A]  standard normal, one slice a round
    elites   how many of the K candidates are kept
    returns  [E, H, A] in [-1, 1]; entry 0 of H is executed
    """
    mean = torch.zeros_like(normal[0, :, 0])
    std = torch.ones_like(mean)
    for number, draw in enumerate(normal):
        candidates = (mean[:, None] + std[:, None] * draw).clamp(-1.0, 1.0)
        mean, std = refit_gaussian(kept(candidates, score(number, candidates), elites))
    return mean


def refit_categorical(chosen: Tensor) -> Tensor:
    """Frequencies among the kept one-hot plans, mixed with 1 % uniform: [E, elites, H, A] -> [E, H, A]."""
    return (1.0 - PROBABILITY_FLOOR) * chosen.mean(1) + PROBABILITY_FLOOR / chosen.shape[-1]


def search_categorical(score: Score, uniform: Tensor, elites: int) -> Tensor:
    """Action probabilities of the plan after all rounds: [I, E, K, H, A] uniform draws -> [E, H, A]. Ours."""
    probabilities = torch.full_like(uniform[0, :, 0], 1.0 / uniform.shape[-1])
    for number, draw in enumerate(uniform):
        candidates = draw_onehot(probabilities.log()[:, None], draw)
        probabilities = refit_categorical(kept(candidates, score(number, candidates), elites))
    return probabilities
