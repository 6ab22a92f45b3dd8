"""Latent dynamics: the contract, and the recurrent state space model.

Written for one seed. A state is a dict of tensors with any leading axes: "deter", "stoch" (flat) and the statistics of the latent
("mean", "std" of a Gaussian). Source: Hafner et al. 2019 (PlaNet) fig. 2; danijar/dreamer 56d4d44, spec §3.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

State = dict[str, Tensor]


class Dynamics(Protocol):
    """Every implementation is an nn.Module built as `Variant(action=A, embed=E, latent=Latent, deter=…, hidden=…)`."""

    feature_size: int

    def initial(self, *leading: int, like: Tensor | None = None) -> State: ...

    def filter(self, state: State, action: Tensor, embed: Tensor, is_first: Tensor, noise: Tensor) -> State:
        """One posterior step, leading [E]. State and action are zeroed where is_first (float 0/1 or bool [E])."""

    def step(self, state: State, action: Tensor, noise: Tensor) -> State:
        """One prior step, leading [N]."""

    def observe(self, embed: Tensor, action: Tensor, is_first: Tensor, noise: Tensor) -> tuple[State, State]:
        """(posterior, prior) of a sequence: embed [T, B, E], action [T, B, A], is_first [T, B] float, noise [T, B, ...]."""

    def features(self, state: State) -> Tensor:
        """cat(stoch, deter) [..., F]."""

    def divergence(self, posterior: State, prior: State) -> Tensor:
        """KL(posterior || prior) [...], summed over the latent's dimensions."""
