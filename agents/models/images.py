"""Convolutions from and to 64x64 images, for one seed. Source: docs/algorithms/dreamer.md §2 (danijar/dreamer 56d4d44).

Inside the model an image is a grid of 2x2 blocks, [..., 32, 32, 4 C], float32, x/255 - 0.5 (§4). The first convolution
(kernel 4, stride 2) then becomes one with kernel 2 and stride 1, and the last transposed convolution (kernel 6, stride 2)
becomes an ordinary one with kernel 3. The last convolution and the first transposed one become matrix products. All are the
same sums in a faster layout, and the parameters keep the shapes of the original layers. docs/log.md has the gain.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear, relu

from agents.models.grouped import one_by_one, weights_and_biases

IMAGE_SIZE = 64
ENCODER_SIDES, ENCODER_WIDTHS = (31, 14, 6, 2), (1, 2, 4, 8)
DECODER_SIDES, DECODER_WIDTHS = (5, 13, 30), (4, 2, 1)
"""Side of the feature maps between the layers in pixels, and their channels in units of `depth`."""

FEATURE_MAPS = sum(
    side**2 * width for side, width in zip(ENCODER_SIDES + DECODER_SIDES, ENCODER_WIDTHS + DECODER_WIDTHS, strict=True)
)
"""Numbers in all feature maps of encoder and decoder for one image, in units of `depth`."""


def image_blocks(image: Tensor) -> Tensor:
    """uint8 [..., 64, 64, C] -> float32 [..., 32, 32, 4 C] in [-0.5, 0.5]; within a block: row, column, channel."""
    half = IMAGE_SIZE // 2
    rows = image.flatten(-2).unflatten(-1, (half, -1)).unflatten(-3, (half, 2))  # [..., 32, 2, 32, 2 C]
    # Two rows side by side, because copying a transposed grid takes twice as long on a CPU.
    grid = torch.cat([rows[..., 0, :, :], rows[..., 1, :, :]], -1)
    return (grid * (1.0 / 255.0)).sub_(0.5)


def images_from_blocks(blocks: Tensor) -> Tensor:
    """[..., 32, 32, 4 C] -> [..., 64, 64, C]: undoes the order of `image_blocks` and keeps the values."""
    grid = blocks.unflatten(-1, (2, 2, blocks.shape[-1] // 4)).transpose(-4, -3)
    return grid.flatten(-5, -4).flatten(-3, -2)


class ImageEncoder(nn.Module):
    """Four convolutions, kernel 4, stride 2, each with activation: 64 → 31 → 14 → 6 → 2; embed = 32 · depth."""

    def __init__(self, channels: int, depth: int = 32, activation: Callable[..., Tensor] = relu):
        super().__init__()
        self.activation = activation
        widths = [channels, *(width * depth for width in ENCODER_WIDTHS)]
        self.layers: Any = nn.ModuleList(nn.Conv2d(a, b, 4, 2) for a, b in itertools.pairwise(widths))
        self.size = ENCODER_SIDES[-1] ** 2 * widths[-1]

    def forward(self, image: Tensor) -> Tensor:
        """uint8 [..., 64, 64, C] -> [..., size]."""
        return one_by_one(self._convolve, image, *weights_and_biases(self.layers))

    def _convolve(self, image: Tensor, *parameters: Tensor) -> Tensor:
        (weight, bias), *others, last = zip(parameters[::2], parameters[1::2])
        x = image_blocks(image).flatten(0, -4).permute(0, 3, 1, 2)  # channels-last in memory, where convolutions are fast
        x = self.activation(conv2d(x, _over_blocks(weight), bias), inplace=True)
        for weight, bias in others:
            x = self.activation(conv2d(x, weight, bias, stride=2), inplace=True)
        x = self.activation(_quarters_product(x, *last), inplace=True)
        return x.unflatten(0, (-1, 4)).transpose(1, 2).reshape(*image.shape[:-3], self.size)


class ImageDecoder(nn.Module):
    """Dense to 32 · depth, then four transposed convolutions, stride 2, kernels 5, 5, 6, 6: 1 → 5 → 13 → 30 → 64."""

    def __init__(self, inputs: int, channels: int, depth: int = 32, activation: Callable[..., Tensor] = relu):
        super().__init__()
        self.activation = activation
        widths = [32 * depth, *(width * depth for width in DECODER_WIDTHS), channels]
        self.dense = nn.Linear(inputs, widths[0])
        kernels = (5, 5, 6, 6)
        self.layers: Any = nn.ModuleList(nn.ConvTranspose2d(a, b, k, 2) for a, b, k in zip(widths[:-1], widths[1:], kernels))

    def forward(self, features: Tensor) -> Tensor:
        """[..., F] -> mean image as blocks [..., 32, 32, 4 C], float32."""
        return one_by_one(self._convolve, features, *weights_and_biases([self.dense, *self.layers]))

    def _convolve(self, features: Tensor, *parameters: Tensor) -> Tensor:
        dense, (weight, bias), *others, (last_weight, last_bias) = zip(parameters[::2], parameters[1::2])
        x = linear(features.reshape(-1, features.shape[-1]), *dense)
        # On a 1x1 map, a transposed convolution is a matrix product with its kernel.
        x = torch.addmm(bias.repeat(25), x, weight.permute(0, 2, 3, 1).flatten(1))
        x = self.activation(x.unflatten(1, (5, 5, -1)).permute(0, 3, 1, 2), inplace=True)
        for weight, bias in others:
            x = self.activation(conv_transpose2d(x, weight, bias, stride=2), inplace=True)
        x = conv2d(x, _to_blocks(last_weight), last_bias.repeat(4), padding=2)
        return x.permute(0, 2, 3, 1).unflatten(0, features.shape[:-1]).float()


def _over_blocks(weight: Tensor) -> Tensor:
    """Kernel [O, C, 4, 4] of stride 2 -> kernel [O, 4 C, 2, 2] of stride 1 over 2x2 blocks."""
    outputs, channels = weight.shape[:2]
    return weight.reshape(outputs, channels, 2, 2, 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(outputs, 4 * channels, 2, 2)


def _quarters_product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolution of kernel 4 and stride 2 from [N, C, 6, 6] to [4 N, O], positions of one image in order, as one product.

    Only four windows of the map are read, so copying them costs less than a convolution loses on a map of 2x2 (docs/log.md).
    """
    grid = x.permute(0, 2, 3, 1)
    windows = torch.stack([grid[:, row : row + 4, column : column + 4] for row in (0, 2) for column in (0, 2)], 1)
    return torch.addmm(bias, windows.reshape(4 * len(x), -1), weight.permute(0, 2, 3, 1).flatten(1).t())


def _to_blocks(weight: Tensor) -> Tensor:
    """Transposed kernel [I, C, 6, 6] of stride 2 -> kernel [4 C, I, 3, 3] (padding 2) whose outputs are the 2x2 blocks.

    Output row 2q + r sums input rows q - 2 .. q times kernel rows 4 + r, 2 + r, r: every second row in reverse order.
    """
    inputs, channels = weight.shape[:2]
    taps = weight.flip(2, 3).reshape(inputs, channels, 3, 2, 3, 2).permute(3, 5, 1, 0, 2, 4).flip(0, 1)
    return taps.reshape(4 * channels, inputs, 3, 3)
