"""Layout of vectors and images as feature maps, and stacked convolutions.

Feature maps are ``[rows, copies * channels, *positions]``: convolutions are grouped by copy, which on one CPU thread is
faster than an unfolded product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offloadopt.errors import InvalidInput
from offloadopt.learners.common.networks import StackedLinear
from offloadopt.learners.maddpg_cgan.attention import leaky_relu

VECTOR_POSITIONS = 8
VECTOR_PATCH = 2
IMAGE_FACTOR = 4
"""Ratio of an image's side to that of the first feature maps; also the side of a generator's patches."""
LEAST_VARIANCE = 1e-5
"""Added to a channel's variance before division."""


class FeatureLayout:
    """Arrangement of samples of a shape on the positions of feature maps.

    Parameters
    ----------
    shape : (features,) or (channels, height, width)

    Attributes
    ----------
    channels : int
    positions, first : tuple of int
        Sizes of a sample's feature maps, and of the first maps of a generator.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        match self.shape:
            case (features,) if features > 0:
                self.channels = math.ceil(features / VECTOR_POSITIONS)
                self.positions: tuple[int, ...] = (VECTOR_POSITIONS,)
                self.first: tuple[int, ...] = (VECTOR_POSITIONS // 2,)
            case (channels, height, width) if channels > 0 and all(
                side > 0 and side % IMAGE_FACTOR == 0 for side in (height, width)
            ):
                self.channels, self.positions = channels, (height, width)
                self.first = (height // IMAGE_FACTOR, width // IMAGE_FACTOR)
            case _:
                sides = f"channels, height and width, both multiples of {IMAGE_FACTOR}"
                raise InvalidInput(f"shape = {self.shape}; allowed: a number of features, or {sides}")

    @property
    def is_vector(self) -> bool:
        """Whether samples are vectors."""
        return len(self.shape) == 1

    @property
    def patch(self) -> int:
        """Side of the generator's patches."""
        return VECTOR_PATCH if self.is_vector else IMAGE_FACTOR

    def spread(self, samples: Tensor) -> Tensor:
        """Arrange samples ``[copies, rows, *shape]`` as maps ``[rows, copies * channels, *positions]``, zero-padded."""
        if not self.is_vector:
            return samples.transpose(0, 1).flatten(1, 2)
        missing = self.channels * VECTOR_POSITIONS - self.shape[0]
        padded = nn.functional.pad(samples, (0, missing)) if missing else samples
        return padded.unflatten(-1, (VECTOR_POSITIONS, self.channels)).permute(1, 0, 3, 2).flatten(1, 2)

    def gather(self, maps: Tensor, copies: int) -> Tensor:
        """Invert `spread`."""
        samples = maps.unflatten(1, (copies, self.channels)).transpose(0, 1)
        if not self.is_vector:
            return samples
        return samples.transpose(-1, -2).flatten(2)[..., : self.shape[0]]


def as_tokens(maps: Tensor, copies: int) -> Tensor:
    """Reshape maps ``[rows, copies * channels, *positions]`` to tokens ``[copies, rows, tokens, channels]``."""
    return maps.unflatten(1, (copies, -1)).flatten(3).permute(1, 0, 3, 2)


def as_maps(tokens: Tensor, positions: Sequence[int]) -> Tensor:
    """Invert `as_tokens`."""
    return tokens.permute(1, 0, 3, 2).flatten(1, 2).unflatten(-1, tuple(positions))


def as_patches(maps: Tensor, side: int) -> Tensor:
    """Reshape maps so that each position is a patch, whose entries are channels."""
    if maps.dim() == 4:
        return nn.functional.pixel_unshuffle(maps, side)
    return maps.unflatten(-1, (-1, side)).transpose(2, 3).flatten(1, 2)


def from_patches(maps: Tensor, side: int) -> Tensor:
    """Invert `as_patches`."""
    if maps.dim() == 4:
        return nn.functional.pixel_shuffle(maps, side)
    return maps.unflatten(1, (-1, side)).transpose(2, 3).flatten(2)


class Convolution(nn.Module):
    """Stacked convolutions with kernels of 3, on maps ``[rows, copies * channels, *positions]``."""

    def __init__(self, copies: int, inputs: int, outputs: int, dimensions: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(copies, outputs, inputs, *(3,) * dimensions))
        self.bias = nn.Parameter(torch.zeros(copies, outputs))
        self._convolve = nn.functional.conv1d if dimensions == 1 else nn.functional.conv2d
        self._stride = stride

    def initialise(self, gain: float, generator: torch.Generator) -> None:
        """Draw normal weights that scale a signal's standard deviation by ``gain``; the bias stays zero."""
        with torch.no_grad():
            self.weight.normal_(0.0, gain / self.weight[0, 0].numel() ** 0.5, generator=generator)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute maps ``[rows, copies * outputs, *positions]``, with positions reduced by the stride."""
        weight, bias = self.weight.flatten(0, 1), self.bias.flatten()
        return self._convolve(maps, weight, bias, self._stride, padding=1, groups=len(self.weight))


def adain(maps: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Adaptive instance normalisation ``scale (F - mu(F)) / sigma(F) + shift`` (14), over a channel's positions.

    Parameters
    ----------
    maps : Tensor [rows, channels, *positions]
    scale, shift : Tensors [rows, channels]
    """
    flat = maps.flatten(2)
    weights = flat.new_full(
        (flat.shape[-1], 1), 1.0 / flat.shape[-1]
    )  # over few positions a product is faster than a mean
    centred = flat - flat @ weights
    factor = scale[..., None] * torch.rsqrt(centred.square() @ weights + LEAST_VARIANCE)
    return torch.addcmul(shift[..., None], centred, factor).view_as(maps)


class StyledConvolution(nn.Module):
    """Convolution whose channels are scaled and shifted by a style (14), and a leaky ReLU."""

    def __init__(self, copies: int, inputs: int, outputs: int, dimensions: int, style: int) -> None:
        super().__init__()
        self.convolution = Convolution(copies, inputs, outputs, dimensions)
        self.affine = StackedLinear(copies, style, 2 * outputs)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights, with scales near 1 and shifts near 0."""
        self.convolution.initialise(1.0, generator)
        self.affine.initialise(0.5, generator)

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        """Compute maps of the same positions."""
        scale, shift = self.affine(style[:, None])[:, 0].transpose(0, 1).chunk(2, dim=-1)
        return leaky_relu(adain(self.convolution(maps), 1.0 + scale.flatten(1), shift.flatten(1)))


class PositionwiseConvolution(nn.Module):
    """Convolution with a kernel of 3 for each position of a vector: ``[copies, positions, 3 * inputs, outputs]``."""

    def __init__(self, copies: int, inputs: int, outputs: int, positions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(copies, positions, 3 * inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(copies, positions, 1, outputs))

    def initialise(self, gain: float, generator: torch.Generator) -> None:
        """Draw orthogonal weights; the bias stays zero."""
        with torch.no_grad():
            for weight in self.weight.flatten(0, 1):
                nn.init.orthogonal_(weight, gain, generator)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute maps ``[rows, copies * outputs, positions]``."""
        windows = nn.functional.pad(maps, (1, 1)).unflatten(1, (len(self.weight), -1)).unfold(3, 3, 1)
        patches = windows.permute(1, 3, 0, 2, 4).flatten(3).flatten(0, 1)
        found = torch.baddbmm(self.bias.flatten(0, 1), patches, self.weight.flatten(0, 1))
        return found.unflatten(0, self.weight.shape[:2]).permute(2, 0, 3, 1).flatten(1, 2)
