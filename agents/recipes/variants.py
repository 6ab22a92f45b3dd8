"""Variants of the backbone by name. Only this file turns the name in an option into an object.

Sources: docs/algorithms/ablations.md §3 (representations), docs/algorithms/planet.md §5 (dynamics),
Hafner et al. 2021 (categorical).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from gymnasium import spaces
from torch import Tensor, nn
from torch.nn.functional import elu, relu, softplus

from agents.models.categorical_latent import Categorical
from agents.models.contrastive import Contrastive, RewardOnly, contrast_images, contrast_states
from agents.models.dynamics_variants import MeanOnly, StochasticOnly
from agents.models.latents import Gaussian, Latent, double_sigmoid
from agents.models.networks import GRU, LayerNormGRU
from agents.models.objectives import Reconstruction
from agents.models.rssm import RSSM


class MakeRepresentation(Protocol):
    def __call__(
        self, features: int, embed: int, space: spaces.Dict, *, depth: int, hidden: int, activation: Callable[..., Tensor]
    ) -> nn.Module: ...


def reconstruction(features: int, embed: int, space: spaces.Dict, **sizes: Any) -> nn.Module:
    return Reconstruction(features, space, **sizes)


def contrastive(features: int, embed: int, space: spaces.Dict, **sizes: Any) -> nn.Module:
    return Contrastive(features, embed, space, contrast=contrast_states, decoder_hidden=sizes["hidden"], **sizes)


def contrastive_images(features: int, embed: int, space: spaces.Dict, **sizes: Any) -> nn.Module:
    return Contrastive(features, embed, space, contrast=contrast_images, decoder_hidden=sizes["hidden"], **sizes)


def reward_only(features: int, embed: int, space: spaces.Dict, **sizes: Any) -> nn.Module:
    return RewardOnly(features, space, **sizes)


REPRESENTATIONS: Mapping[str, MakeRepresentation] = {
    "reconstruction": reconstruction,
    "contrastive": contrastive,  # the image is fixed and the states vary: the original code
    "contrastive_images": contrastive_images,  # the state is fixed and the images vary: the paper's formula
    "reward_only": reward_only,
}


class DynamicsVariant(NamedTuple):
    """cls: class of the dynamics; latent: makes it from (width or groups, classes, min_std, deviation); kl: factor on the
    weight of the KL."""

    cls: Callable[..., Any]
    latent: Callable[[int, int, float, Callable[[Tensor], Tensor]], Latent]
    kl: float = 1.0


DYNAMICS: Mapping[str, DynamicsVariant] = {
    "rssm": DynamicsVariant(RSSM, lambda width, classes, *gaussian: Gaussian(width, *gaussian)),
    "deterministic": DynamicsVariant(RSSM, lambda width, classes, min_std, deviation: MeanOnly(width, min_std), kl=0.0),
    "stochastic": DynamicsVariant(StochasticOnly, lambda width, classes, *gaussian: Gaussian(width, *gaussian)),
    "categorical": DynamicsVariant(RSSM, lambda width, classes, *gaussian: Categorical(width, classes)),
}

DEVIATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"softplus": softplus, "double_sigmoid": double_sigmoid}
"""Function from a network's output to the standard deviation of a Gaussian latent: Dreamer's, and that of DreamerV2's code."""

CELLS: Mapping[str, Callable[[int, int], nn.Module]] = {"keras": GRU, "layer_norm": LayerNormGRU}
"""The recurrent unit of the dynamics: Dreamer's, and DreamerV2's."""

ACTIVATIONS: Mapping[str, Callable[..., Tensor]] = {"elu": elu, "relu": relu}
