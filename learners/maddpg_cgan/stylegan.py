"""Stacked conditional StyleGANs for vectors and images.

Section 5.1 of Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), whose equation numbers stand below:

* the generator maps a latent ``z`` to a style ``w``, and with it to a style ``w^c`` that after each layer attends to
  the embedded condition; ``(1 - lambda) w + lambda w^c`` (13) scales and shifts the channels of every convolution
  (14); positions are doubled between convolutions; a Transformer encoder follows the stack, and a convolution ends it;
* the discriminator's convolutions have the sample alone as input, their positions attend to the embedded condition, and
  a Transformer encoder and a linear layer score them.

A vector is arranged on 8 positions, with as many channels as it needs, and grows from 4 positions; an image grows from
a quarter of its height and width. Tokens of the generator's Transformer are patches, pairs of positions or 4 x 4 of an
image (49 tokens for 28 x 28 instead of 784, to be fast on a CPU), and its output is added to that of the stack.

Not in the paper: the first feature maps are linear in the style, not constant, since a vector's entries differ by
position; and the last convolution of a vector has separate weights at each position, since a vector's entries are
different quantities.

Copies share nothing: all weights have shape ``[copies, ...]``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from offloadopt.learners.common.networks import HIDDEN_GAIN, StackedLinear
from offloadopt.learners.maddpg_cgan.attention import (
    Attention,
    ConditionEmbedding,
    LayerNorm,
    TransformerEncoder,
    leaky_relu,
)
from offloadopt.learners.maddpg_cgan.convolutions import (
    Convolution,
    FeatureLayout,
    PositionwiseConvolution,
    StyledConvolution,
    as_maps,
    as_patches,
    as_tokens,
    from_patches,
)
from offloadopt.quantities import Width
from offloadopt.settings import Settings


class StyleSettings(Settings):
    """Sizes of generators and discriminators."""

    latent: Width = Field(16, ge=1, description="size of a latent vector")
    width: Width = Field(32, ge=4, multiple_of=4, description="size of a style and a token, channels of feature maps")
    heads: Width = Field(2, ge=1, description="of attention; they share the width")
    tokens: Width = Field(4, ge=1, description="of an embedded condition")
    layers: Width = Field(2, ge=1, description="of the mapping network after its first")
    blend: float = Field(0.5, gt=0, lt=1, description="lambda of (13), weight of the style that the condition guides")

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads = {self.heads}; allowed: a divisor of width = {self.width}")
        return self


class MappingNetwork(nn.Module):
    """Network from a latent vector and a condition to a style ``[copies, rows, width]``, equation (13)."""

    def __init__(self, copies: int, condition: int, settings: StyleSettings) -> None:
        super().__init__()
        s, width = settings, settings.width
        self.embedding = ConditionEmbedding(copies, condition, s.tokens, width)
        self.first = StackedLinear(copies, s.latent, width)
        self.unconditional = nn.ModuleList(StackedLinear(copies, width, width) for _ in range(s.layers))
        self.conditional = nn.ModuleList(StackedLinear(copies, width, width) for _ in range(s.layers))
        self.attention = nn.ModuleList(Attention(copies, width, s.heads) for _ in range(s.layers))
        self._blend = s.blend

    def initialise(self, generator: torch.Generator) -> None:
        """Draw orthogonal weights."""
        for part in (self.embedding, *self.attention):
            part.initialise(generator)
        for layer in (self.first, *self.unconditional, *self.conditional):
            layer.initialise(HIDDEN_GAIN, generator)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Map latents and conditions ``[copies, rows, ...]`` to styles."""
        embedded = self.embedding(condition)
        style = conditional_style = leaky_relu(self.first(latent[:, None])).transpose(1, 2)  # one token for each row
        for unconditional, conditional, attention in zip(
            self.unconditional, self.conditional, self.attention, strict=True
        ):
            style = leaky_relu(unconditional(style))
            conditional_style = leaky_relu(conditional(conditional_style) + attention(conditional_style, embedded))
        return torch.lerp(style, conditional_style, self._blend)[:, :, 0]


class StyleGenerator(nn.Module):
    """Stacked generators of samples from latent vectors and conditions.

    Parameters
    ----------
    copies : int
        Number of generators.
    shape : (features,) or (channels, height, width)
        Shape of a sample. Entries of vectors are unbounded, those of images lie in (-1, 1).
    condition : int
        Size of a condition.
    settings : StyleSettings
    """

    def __init__(self, copies: int, shape: Sequence[int], condition: int, settings: StyleSettings) -> None:
        super().__init__()
        self.copies, self.layout = copies, FeatureLayout(shape)
        layout, dimensions, width = self.layout, len(self.layout.positions), settings.width
        channels = [width, width] if layout.is_vector else [width, width // 2, width // 4]
        self.mapping = MappingNetwork(copies, condition, settings)
        self.start = StackedLinear(copies, width, width * math.prod(layout.first))
        inputs = [width, *channels[:-1]]
        self.stack = nn.ModuleList(
            StyledConvolution(copies, *sizes, dimensions, width) for sizes in zip(inputs, channels, strict=True)
        )
        patch = channels[-1] * layout.patch**dimensions
        patches = math.prod(layout.positions) // layout.patch**dimensions
        self.to_tokens = StackedLinear(copies, patch, width)
        self.encoder = TransformerEncoder(copies, patches, width, settings.heads, 1)
        self.from_tokens = StackedLinear(copies, width, patch)
        self.last: Convolution | PositionwiseConvolution
        if layout.is_vector:
            self.last = PositionwiseConvolution(copies, channels[-1], layout.channels, layout.positions[0])
        else:
            self.last = Convolution(copies, channels[-1], layout.channels, dimensions)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial weights."""
        with torch.no_grad():
            self.mapping.initialise(generator)
            for styled in cast(list[StyledConvolution], self.stack):
                styled.initialise(generator)
            self.encoder.initialise(generator)
            self.start.initialise(HIDDEN_GAIN, generator)
            self.to_tokens.initialise(1.0, generator)
            self.from_tokens.initialise(0.5, generator)
            self.last.initialise(0.5, generator)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Generate samples ``[copies, rows, *shape]`` for latents and conditions ``[copies, rows, ...]``."""
        style = self.mapping(latent, condition)
        start = self.start(style[:, None])[:, 0].transpose(0, 1).flatten(1)
        maps = start.unflatten(1, (-1, *self.layout.first))
        for number, styled in enumerate(self.stack):
            grown = nn.functional.interpolate(maps, scale_factor=2.0) if number else maps
            maps = styled(grown, style)
        samples = self.layout.gather(self.last(maps + self._global_part(maps)), self.copies)
        return samples if self.layout.is_vector else torch.tanh(samples)

    def _global_part(self, maps: Tensor) -> Tensor:
        """Compute the Transformer's addition to the maps, which depends on all of their positions."""
        patches = as_patches(maps, self.layout.patch)
        tokens = self.from_tokens(self.encoder(self.to_tokens(as_tokens(patches, self.copies))))
        return from_patches(as_maps(tokens, patches.shape[2:]), self.layout.patch)


class StyleDiscriminator(nn.Module):
    """Stacked discriminators, with the parameters of `StyleGenerator`."""

    def __init__(self, copies: int, shape: Sequence[int], condition: int, settings: StyleSettings) -> None:
        super().__init__()
        self.copies, self.layout = copies, FeatureLayout(shape)
        layout, dimensions, width = self.layout, len(self.layout.positions), settings.width
        # Halved once or twice, to as many positions as the generator's Transformer has tokens.
        stride, channels = (1, width) if layout.is_vector else (2, width // 2)
        positions = [side // layout.patch for side in layout.positions]
        self.stack = nn.ModuleList(
            [
                Convolution(copies, layout.channels, channels, dimensions, stride),
                Convolution(copies, channels, width, dimensions, 2),
            ]
        )
        self.embedding = ConditionEmbedding(copies, condition, settings.tokens, width)
        self.before_condition = LayerNorm(copies, width)
        self.attention = Attention(copies, width, settings.heads)
        self.encoder = TransformerEncoder(copies, math.prod(positions), width, settings.heads, 1)
        self.wide = StackedLinear(copies, width * math.prod(positions), 2 * width)
        self.last = StackedLinear(copies, 2 * width, 1)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial weights."""
        with torch.no_grad():
            for convolution in cast(list[Convolution], self.stack):
                convolution.initialise(HIDDEN_GAIN, generator)
            for part in (self.embedding, self.attention, self.encoder):
                part.initialise(generator)
            self.wide.initialise(HIDDEN_GAIN, generator)
            self.last.initialise(1.0, generator)

    def forward(self, samples: Tensor, condition: Tensor) -> Tensor:
        """Compute scores ``[copies, rows]`` of samples ``[copies, rows, *shape]`` given conditions."""
        maps = self.layout.spread(samples)
        for convolution in self.stack:
            maps = leaky_relu(convolution(maps))
        tokens = as_tokens(maps, self.copies)
        tokens = tokens + self.attention(self.before_condition(tokens), self.embedding(condition))
        encoded = self.encoder(tokens).flatten(2)
        return self.last(leaky_relu(self.wide(encoded[:, None])))[:, 0, :, 0]
