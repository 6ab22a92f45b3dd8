"""What the first PlaNet added to its model loss: latent overshooting, and a global prior on the posterior.

Knows a model only as a function from (state, action, noise) to the next prior state.
Source: Hafner et al. 2019 (PlaNet), eq. 7, and google-research/planet b33f0d5; both were dropped from the ICML agent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def gaussian_kl(mean: Tensor, std: Tensor, other_mean: Tensor, other_std: Tensor) -> Tensor:
    """KL(N(mean, std²) || N(other_mean, other_std²)) of diagonal Gaussians, summed over the last axis."""
    ratio = std / other_std
    shift = (mean - other_mean) / other_std
    return 0.5 * (ratio.square() + shift.square() - 1.0 - 2.0 * ratio.log()).sum(-1)


def global_prior_kl(mean: Tensor, std: Tensor) -> Tensor:
    """KL(N(mean, std²) || N(0, I)) of every position; PlaNet's first release weighs its mean by 0.1."""
    return gaussian_kl(mean, std, torch.zeros_like(mean), torch.ones_like(std))


def overshooting_kl(
    step: Callable[[State, Tensor, Tensor], State], posterior: State, action: Tensor, is_first: Tensor,
    noise: Sequence[Tensor] | Tensor, free_nats: float,
) -> Tensor:
    """Mean KL from each posterior to the prior that was rolled towards it from `d` rows before, d = 2..D.

        posterior    q0   q1   q2   q3
        d = 1        q0 → p1                      the ordinary KL, not counted here
        d = 2        q0 → p1 → p2  compare with q2 (gradient stopped)
        d = 3        q0 → p1 → p2 → p3  compare with q3

    step       one step of the prior
    posterior  leaves [T, B, ...], with "mean" and "std"
    action     [T, B, A]  led into row t
    is_first   [T, B]     a roll that would cross into a new episode counts nothing
    noise      D entries, the d-th of leading shape [T, B] (its first T - d rows are used)
    free_nats  subtracted per position and cut at 0, as the original does per element

    Raises ValueError if a chunk is too short for the distance.
    """
    length, distance = action.shape[0], len(noise)
    if not 2 <= distance < length:
        raise ValueError(f"an overshooting distance from 2 to {length - 1} fits sequences of {length} rows; got {distance}: "
                         "change the distance or the sequence length")
    state: State = posterior
    inside = torch.ones_like(action[..., 0])
    total = torch.zeros_like(inside[0, 0])
    count = torch.zeros_like(total)
    for d in range(1, distance + 1):
        state = step({key: leaf[:-1] for key, leaf in state.items()}, action[d:], noise[d - 1][: length - d])
        inside = inside[:-1] * (1.0 - is_first[d:].to(inside.dtype))
        if d == 1:
            continue
        divergence = gaussian_kl(posterior["mean"][d:].detach(), posterior["std"][d:].detach(), state["mean"], state["std"])
        total = total + (inside * (divergence - free_nats).clamp(min=0.0)).sum()
        count = count + inside.sum()
    return total / count.clamp(min=1.0)
