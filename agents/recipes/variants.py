"""Variants of the backbone by name: the one place that turns the name in an option into an object.

Sources: Hafner et al. 2020 §4 (representations), Hafner et al. 2019 figure 4 (dynamics), Hafner et al. 2021 (categorical).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from gymnasium import spaces
from torch import Tensor, nn
from torch.nn.functional import elu, relu

from agents.models.categorical_latent import Categorical
from agents.models.contrastive import Contrastive, RewardOnly, contrast_images, contrast_states
from agents.models.dynamics_variants import MeanOnly, StochasticOnly
from agents.models.latents import Gaussian, Latent
from agents.models.objectives import Reconstruction
from agents.models.rssm import RSSM
from dreamer_bench_base import UserError


class MakeRepresentation(Protocol):
    def __call__(self, features: int, embed: int, space: spaces.Dict, *, depth: int, hidden: int) -> nn.Module: ...


def reconstruction(features: int, embed: int, space: spaces.Dict, *, depth: int, hidden: int) -> nn.Module:
    return Reconstruction(features, space, depth=depth, hidden=hidden)


def contrastive(features: int, embed: int, space: spaces.Dict, *, depth: int, hidden: int) -> nn.Module:
    return Contrastive(features, embed, space, contrast=contrast_states, hidden=hidden, depth=depth, decoder_hidden=hidden)


def contrastive_images(features: int, embed: int, space: spaces.Dict, *, depth: int, hidden: int) -> nn.Module:
    return Contrastive(features, embed, space, contrast=contrast_images, hidden=hidden, depth=depth, decoder_hidden=hidden)


def reward_only(features: int, embed: int, space: spaces.Dict, *, depth: int, hidden: int) -> nn.Module:
    return RewardOnly(features, space, depth=depth, hidden=hidden)


REPRESENTATIONS: Mapping[str, MakeRepresentation] = {
    "reconstruction": reconstruction,
    "contrastive": contrastive,  # the image fixed, the states vary: the original code
    "contrastive_images": contrastive_images,  # the state fixed, the images vary: the paper's formula
    "reward_only": reward_only,
}


class DynamicsVariant(NamedTuple):
    """cls of the dynamics; latent from (width or groups, classes, min_std); kl: factor on the divergence's weight."""

    cls: Callable[..., Any]
    latent: Callable[[int, int, float], Latent]
    kl: float = 1.0


DYNAMICS: Mapping[str, DynamicsVariant] = {
    "rssm": DynamicsVariant(RSSM, lambda width, classes, min_std: Gaussian(width, min_std)),
    "deterministic": DynamicsVariant(RSSM, lambda width, classes, min_std: MeanOnly(width, min_std), kl=0.0),
    "stochastic": DynamicsVariant(StochasticOnly, lambda width, classes, min_std: Gaussian(width, min_std)),
    "categorical": DynamicsVariant(RSSM, lambda width, classes, min_std: Categorical(width, classes)),
}

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"elu": elu, "relu": relu}


def check(option: str, name: str, known: Mapping[str, object]) -> None:
    """Raises ValueError, in one line, if an option names nothing."""
    if name not in known:
        raise UserError(f"option {option} is one of {', '.join(known)}, not {name!r}")
