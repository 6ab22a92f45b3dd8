"""Which states of a dream are scored, and where dreams begin: parts of an actor-critic.

    replay     s0                      posterior of a row of the batch, detached
    imagined        s1   s2   …   sK   K steps of the prior
    action     a0   a1   a2   …        chosen in the state above, led to the next state

Written for one seed; time is the first axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from agents.behaviors.api import Sizes
from agents.models.rssm import State
from agents.models.world_model import Dream, Observed, WorldModel


class ScoredStates(Protocol):
    """Selects the H scored states of a dream; the last of them only bootstraps."""

    def count(self, sizes: Sizes, length: int, sequences: int) -> int:
        """Number of dreams N of a batch [length, sequences]."""

    def steps(self, horizon: int) -> int:
        """Number of imagined steps K of a dream with H = `horizon` scored states."""

    def starts(self, model: WorldModel, observed: Observed, batch: Mapping[str, Tensor]) -> State:
        """States to imagine from [N, ...]."""

    def features(self, model: WorldModel, start: State, dream: Dream) -> Tensor:
        """Features of the scored states [H, N, F]."""

    def decisions(self, steps: Tensor) -> Tensor:
        """Actions or noise of the scored states but the last [H-1, N, ...], from those of every imagined step [K, N, ...]."""

    def discount(self, model: WorldModel, predicted: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The discounts [H, N] for returns and weights, from the predicted ones."""


@dataclass(frozen=True)
class AfterStart:
    """s1 … sH, without the start. Source: Hafner et al. 2020, both programs."""

    def count(self, sizes: Sizes, length: int, sequences: int) -> int:
        return sizes.starts(length, sequences)

    def steps(self, horizon: int) -> int:
        return horizon

    def starts(self, model: WorldModel, observed: Observed, batch: Mapping[str, Tensor]) -> State:
        return model.starts(observed.posterior, batch["is_terminal"])

    def features(self, model: WorldModel, start: State, dream: Dream) -> Tensor:
        return dream.features

    def decisions(self, steps: Tensor) -> Tensor:
        return steps[1:]

    def discount(self, model: WorldModel, predicted: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        return predicted


@dataclass(frozen=True)
class FromStart:
    """s0 … s[H-1]: the start is scored, and the actor learns from its action.

    Source: Hafner et al. 2021, code of the paper's date (danijar/dreamerv2 0216d33). If the model predicts ends, no dream
    starts at the last row of a sequence, because that row may be terminal.
    """

    def count(self, sizes: Sizes, length: int, sequences: int) -> int:
        return sizes.starts(length, sequences)

    def steps(self, horizon: int) -> int:
        return horizon - 1

    def starts(self, model: WorldModel, observed: Observed, batch: Mapping[str, Tensor]) -> State:
        return model.starts(observed.posterior, batch["is_terminal"])

    def features(self, model: WorldModel, start: State, dream: Dream) -> Tensor:
        return torch.cat([model.features(start)[None], dream.features])

    def decisions(self, steps: Tensor) -> Tensor:
        return steps

    def discount(self, model: WorldModel, predicted: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        return predicted


@dataclass(frozen=True)
class FromEveryRow(FromStart):
    """As `FromStart`, but dreams also start at the last rows. If the model predicts ends, a start has its true discount.

    Source: danijar/dreamerv2 07d906e.
    """

    def count(self, sizes: Sizes, length: int, sequences: int) -> int:
        return length * sequences

    def starts(self, model: WorldModel, observed: Observed, batch: Mapping[str, Tensor]) -> State:
        return {name: tensor.flatten(0, 1) for name, tensor in observed.posterior.items()}

    def discount(self, model: WorldModel, predicted: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        if model.discount_head is None:
            return predicted
        known = model.gamma * (1.0 - batch["is_terminal"].flatten())
        return torch.cat([known[None], predicted[1:]])
