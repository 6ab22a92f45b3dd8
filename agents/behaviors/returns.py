"""Returns of imagined trajectories. Time is the first axis; written for one seed."""

from __future__ import annotations

import torch
from torch import Tensor


def lambda_return(reward: Tensor, discount: Tensor, value: Tensor, lambda_: float) -> Tensor:
    """λ-return of every imagined state but the last.

    reward    [H, N]    reward predicted in state t
    discount  [H, N]    γ · P(episode continues after t), in [0, 1]
    value     [H, N]    value of state t; the last one bootstraps
    returns   [H-1, N]  G[t] = r[t] + d[t] · ((1-λ) v[t+1] + λ G[t+1]),  G[H-1] = v[H-1]

    Source: Hafner et al. 2020, eq. 6, in recursive form.
    """
    one_step = reward[:-1] + (1.0 - lambda_) * discount[:-1] * value[1:]
    carried = lambda_ * discount[:-1]
    following = value[-1]
    returns = []
    for base, factor in zip(reversed(one_step.unbind()), reversed(carried.unbind())):
        following = base + factor * following
        returns.append(following)
    return torch.stack(returns[::-1])


def cumulative_discount(discount: Tensor) -> Tensor:
    """Product of the discounts before each imagined state but the last: [H, N] -> [H-1, N].

    w[0] = 1, w[t] = Π_{j<t} d[j]; used on tasks without termination, too (docs/algorithms/dreamer.md §7, both programs).
    """
    return torch.cat([torch.ones_like(discount[:1]), discount[:-2]]).cumprod(0)
