"""An actor learned from imagined rewards alone: Dreamer without its value network ("no value").

Source: Hafner et al. 2020, eq. 4 (plain sums) and google-research/dreamer without a value head (discounted sums).
"""

from __future__ import annotations

import torch
from torch import Tensor


def rewards_to_go(reward: Tensor, discount: Tensor) -> Tensor:
    """Sum of the imagined rewards from every state to the horizon; nothing beyond it counts.

    reward    [H, N]  reward predicted in state t
    discount  [H, N]  γ · P(episode continues after t); ones give the paper's plain sum
    returns   [H, N]  G[t] = r[t] + d[t] G[t+1],  G[H] = 0

    All H rewards count: there is no bootstrap to give up a state for.
    """
    total = torch.zeros_like(reward[0])
    sums = []
    for here, onward in zip(reward.flip(0), discount.flip(0)):
        total = here + onward * total
        sums.append(total)
    return torch.stack(sums[::-1])
