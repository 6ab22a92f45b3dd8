"""Layers and networks with the sizes and initial values of the original, for one seed.

Source: docs/algorithms/dreamer.md §2 (danijar/dreamer 56d4d44).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn.functional import elu, layer_norm, linear, relu

from agents.models.grouped import layers, over_groups, usable, weights_and_biases
from agents.models.images import IMAGE_SIZE, ImageDecoder, ImageEncoder
from dreamer_bench_base import UserError


def initialize(module: nn.Module, generator: torch.Generator) -> None:
    """Gives every parameter Keras' default initial value: Glorot-uniform kernels, biases of 0, layer-norm scales of 1.

    Recurrent kernels are orthogonal. Keras stores a GRU's kernel as one [units, 3 units] matrix, so the rows are orthogonal
    over the three gates together.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            kind = name.rsplit(".", 1)[-1]
            if kind.startswith("bias"):
                parameter.zero_()
            elif kind == "weight_recurrent":
                nn.init.orthogonal_(parameter, generator=generator)
            elif kind.startswith("weight"):
                nn.init.xavier_uniform_(parameter, generator=generator)
            elif kind.startswith("scale"):
                parameter.fill_(1.0)
            else:
                raise UserError(f"parameter {name!r} has no initial value; end its name in weight…, bias… or scale…")


class GRU(nn.Module):
    """Keras' reset-after GRU cell: the equations of `torch.nn.GRUCell` in operations that vmap can lift over seeds."""

    def __init__(self, inputs: int, units: int):
        super().__init__()
        self.weight_input = nn.Parameter(torch.empty(3 * units, inputs))
        self.weight_recurrent = nn.Parameter(torch.empty(3 * units, units))
        self.bias_input = nn.Parameter(torch.empty(3 * units))
        self.bias_recurrent = nn.Parameter(torch.empty(3 * units))
        self.units = units

    def forward(self, inputs: Tensor, deter: Tensor) -> Tensor:
        """inputs [B, I], deter [B, U] -> deter [B, U]; gates in the order reset, update, candidate."""
        fresh = linear(inputs, self.weight_input, self.bias_input)
        kept = linear(deter, self.weight_recurrent, self.bias_recurrent)
        sizes = [2 * self.units, self.units]
        fresh_gates, fresh_candidate = fresh.split(sizes, -1)
        kept_gates, kept_candidate = kept.split(sizes, -1)
        reset, update = torch.sigmoid(fresh_gates + kept_gates).chunk(2, -1)
        candidate = torch.tanh(fresh_candidate + reset * kept_candidate)
        return candidate + update * (deter - candidate)


class LayerNormGRU(nn.Module):
    """DreamerV2's cell: one product with [inputs, deter], and a layer norm over the pre-activations of all gates together.

        reset, candidate, update = chunks of LayerNorm(W [x, h] + b)
        h' = u · tanh(σ(reset) · candidate) + (1 - u) · h,     u = σ(update - 1)

    Unlike in the Keras cell, the reset gate multiplies the whole candidate, and u is the weight of the candidate.
    Source: Hafner et al. 2021, code (danijar/dreamerv2 0216d33, common/nets.py): epsilon 1e-3, update bias -1; float32 inside.
    """

    EPSILON = 1e-3
    UPDATE_BIAS = -1.0

    def __init__(self, inputs: int, units: int):
        super().__init__()
        self.joint = nn.Linear(inputs + units, 3 * units)
        self.scale = nn.Parameter(torch.empty(3 * units))
        self.bias = nn.Parameter(torch.empty(3 * units))

    def forward(self, inputs: Tensor, deter: Tensor) -> Tensor:
        """inputs [B, I], deter [B, U] -> deter [B, U]."""
        gates = self.joint(torch.cat([inputs, deter], -1)).float()
        gates = layer_norm(gates, gates.shape[-1:], self.scale, self.bias, self.EPSILON)
        reset, candidate, update = gates.chunk(3, -1)
        candidate = torch.tanh(torch.sigmoid(reset) * candidate)
        return deter + torch.sigmoid(update + self.UPDATE_BIAS) * (candidate - deter)


class MLP(nn.Module):
    """`layers` hidden layers (ELU by default) and a linear output in float32: [..., inputs] -> [..., outputs]."""

    def __init__(self, inputs: int, outputs: int, *, layers: int, hidden: int, activation: Callable[..., Tensor] = elu):
        super().__init__()
        self.activation = activation
        widths = [inputs, *[hidden] * layers, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        # As a matrix, because a linear layer would otherwise return a view, which cannot be changed in place without a copy.
        leading, x = x.shape[:-1], x.reshape(-1, x.shape[-1])
        if usable(x):
            parameters = weights_and_biases(self.layers)
            return over_groups(partial(layers, self.activation), x, *parameters).float().unflatten(0, leading)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x), inplace=True)
        return self.layers[-1](x).float().unflatten(0, leading)


class Scalar(nn.Module):
    """One number per position: [..., inputs] -> [...], float32."""

    def __init__(self, inputs: int, *, layers: int, hidden: int, activation: Callable[..., Tensor] = elu):
        super().__init__()
        self.mlp = MLP(inputs, 1, layers=layers, hidden=hidden, activation=activation)

    def forward(self, features: Tensor) -> Tensor:
        return self.mlp(features).squeeze(-1)


class Encoder(nn.Module):
    """Embeds every key of an observation: "image" with convolutions, all vectors together with two dense layers.

    The part for vectors is ours, because the paper uses pixels only. activation: the one of the convolutions.
    """

    def __init__(self, space: spaces.Dict, *, depth: int = 32, hidden: int = 400, activation: Callable[..., Tensor] = relu):
        super().__init__()
        self.vectors = vector_keys(space)
        if "image" in space.spaces:
            self.image = ImageEncoder(image_channels(space), depth, activation)
        if self.vectors:
            width = sum(math.prod(shape(space[key])) for key in self.vectors)
            self.vector = MLP(width, hidden, layers=1, hidden=hidden)
        self.has_image = "image" in space.spaces
        self.size = (self.image.size if self.has_image else 0) + (hidden if self.vectors else 0)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """[..., *] by key -> [..., size]."""
        embeds = []
        if self.has_image:
            embeds.append(self.image(observation["image"]))
        if self.vectors:
            embeds.append(elu(self.vector(torch.cat([observation[key] for key in self.vectors], -1))))
        return embeds[0] if len(embeds) == 1 else torch.cat(embeds, -1)


class Decoder(nn.Module):
    """Predicts the mean of every key of an observation from features: the counterpart of `Encoder`."""

    def __init__(
        self, inputs: int, space: spaces.Dict, *, depth: int = 32, hidden: int = 400, activation: Callable[..., Tensor] = relu
    ):
        super().__init__()
        self.widths = {key: math.prod(shape(space[key])) for key in vector_keys(space)}
        self.has_image = "image" in space.spaces
        if self.has_image:
            self.image = ImageDecoder(inputs, image_channels(space), depth, activation)
        if self.widths:
            self.vector = MLP(inputs, sum(self.widths.values()), layers=2, hidden=hidden)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """[..., F] -> {"image": blocks [..., 32, 32, 4 C] (agents.models.images), vectors: [..., width]}."""
        means: dict[str, Tensor] = {}
        if self.has_image:
            means["image"] = self.image(features)
        if self.widths:
            means |= dict(zip(self.widths, self.vector(features).split(list(self.widths.values()), -1)))
        return means


def shape(space: spaces.Space) -> tuple[int, ...]:
    """The shape of a space that has one, such as Box."""
    if space.shape is None:
        raise UserError(f"this space has no shape: {space}; use a Box")
    return space.shape


def image_channels(space: spaces.Dict) -> int:
    return shape(space["image"])[-1]


def vector_keys(space: spaces.Dict) -> tuple[str, ...]:
    """Keys of the float observations with one axis, sorted."""
    return tuple(sorted(key for key in space.spaces if key != "image"))


def refuses_observation(space: spaces.Space) -> str | None:
    """Why these networks cannot read such observations, in one line; None if they can."""
    if not isinstance(space, spaces.Dict) or not space.spaces:
        return f'observations must be a gymnasium Dict with "image" or vectors; this one is {space}'
    for key, part in space.spaces.items():
        if key == "image":
            if part.dtype != "uint8" or shape(part)[:2] != (IMAGE_SIZE, IMAGE_SIZE) or len(shape(part)) != 3:
                return f'"image" must be uint8 {IMAGE_SIZE}x{IMAGE_SIZE}xC; this one is {part.dtype} {part.shape}'
        elif not isinstance(part, spaces.Box) or len(part.shape) != 1:
            return f"observation {key!r} must be a Box of one axis; this one is {part}"
    return None
