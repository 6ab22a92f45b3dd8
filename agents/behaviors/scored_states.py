"""Which states of a dream are scored, and where dreams begin, as objects handed to an actor-critic.

    replay     s0                      posterior of a batch's row, detached
    imagined        s1   s2   …   sK   K steps of the prior
    action     a0   a1   a2   …        chosen in the state above, led to the next

Written for one seed; time leads.
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
    """A dream's H scored states; the last of them only bootstraps."""

    def count(self, sizes: Sizes, length: int, sequences: int) -> int:
        """Dreams N of a batch [length, sequences]."""

    def steps(self, horizon: int) -> int:
        """Imagined steps K of a dream with `horizon` scored states H."""

    def starts(self, model: WorldModel, observed: Observed, batch: Mapping[str, Tensor]) -> State:
        """States to imagine from [N, ...]."""

    def features(self, model: WorldModel, start: State, dream: Dream) -> Tensor:
        """Of the scored states [H, N, F]."""

    def decisions(self, steps: Tensor) -> Tensor:
        """What was drawn or chosen in the scored states but the last [H-1, N, ...], out of what every step took [K, N, ...]."""

    def discount(self, model: WorldModel, predicted: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The discounts [H, N] that returns and weights use, out of the predicted ones."""


@dataclass(frozen=True)
class AfterStart:
    """s1 … sH: the start is left out. Source: Hafner et al. 2020, both codes."""

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
    """s0 … s[H-1]: the start is scored, and its action learned from.

    Source: Hafner et al. 2021, code of the paper's date (danijar/dreamerv2 0216d33): the last row of a batch starts no dream
    where the model predicts ends, since it may be one.
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
    """As `FromStart`, from the last rows too; a start's discount is what replay knows of it, where the model predicts ends.

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
