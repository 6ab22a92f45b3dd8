"""Contrastive representation (NCE): which state belongs to which image, in place of pixel reconstruction.

A Gaussian q(features | image) must give a state's own image more density than its neighbours in the batch.
Source: Hafner et al. 2020, eq. 12 (Dreamer); window, scale and network as in google-research/dreamer `cpc_head`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SEQUENCE_SHIFTS = tuple(range(-5, 5))
"""Neighbours among the sequences of a batch, -5..4. Source: google-research/dreamer, window mode."""

TIME_SHIFTS = tuple(range(-15, 15))
"""Neighbours in time, -15..14. Source: google-research/dreamer, window mode."""


def log_density(features: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """log N(features; mean, diag std²), summed over the last axis."""
    standard = (features - mean) / std
    return (-0.5 * standard.square() - std.log()).sum(-1) - 0.5 * features.shape[-1] * math.log(2.0 * math.pi)


def contrast_states(
    features: Tensor, mean: Tensor, std: Tensor,
    sequence_shifts: Sequence[int] = SEQUENCE_SHIFTS, time_shifts: Sequence[int] = TIME_SHIFTS,
) -> Tensor:
    """The image is fixed, the states vary: the direction of the original code.

    features  [T, B, F]  posterior features
    mean, std [T, B, F]  of q(features | image)
    returns   [T, B]     log q(f[t,b] | o[t,b]) - log Σ over (dt, db) of q(f[t-dt, b-db] | o[t,b]), wrapping around

    Negative, apart from what rounding leaves: the own state (0, 0) is one of the terms.
    """
    negatives = [
        log_density(torch.roll(features, (dt, db), (0, 1)), mean, std)
        for dt in time_shifts for db in sequence_shifts
    ]
    return log_density(features, mean, std) - torch.logsumexp(torch.stack(negatives), 0)


def contrast_images(
    features: Tensor, mean: Tensor, std: Tensor,
    sequence_shifts: Sequence[int] = SEQUENCE_SHIFTS, time_shifts: Sequence[int] = TIME_SHIFTS,
) -> Tensor:
    """The state is fixed, the images vary: the direction printed in the paper (eq. 12). Shapes of `contrast_states`."""
    negatives = [
        log_density(features, torch.roll(mean, (dt, db), (0, 1)), torch.roll(std, (dt, db), (0, 1)))
        for dt in time_shifts for db in sequence_shifts
    ]
    return log_density(features, mean, std) - torch.logsumexp(torch.stack(negatives), 0)
