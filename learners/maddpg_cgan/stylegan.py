"""A conditional StyleGAN in copies, for vectors and for images.

Section 5.1 of Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), whose equation numbers stand below:

* the generator maps a latent ``z`` to a style ``w``, and with it to a style ``w^c`` that after each layer attends to
  the embedded condition; ``(1 - lambda) w + lambda w^c`` (13) scales and shifts the channels of every convolution
  (14); places are doubled along the way; a Transformer encoder follows the stack, and a convolution ends it;
* the discriminator's convolutions see the sample alone, their places attend to the embedded condition, and a
  Transformer encoder and a linear layer score them.

A vector is laid out on 8 places, so many numbers on each, and grows from 4 places; an image grows from a quarter of
its height and width. The generator's Transformer sees patches, pairs of places or 4 x 4 of an image (49 tokens for
28 x 28, not 784: what a CPU bears), and adds to what the stack made.

What is not in the paper: the stack starts from maps that are linear in the style, not constant ones, since the
numbers of a vector differ place by place; and the last convolution of a vector has weights of its own at each place,
since numbers at two places are different quantities.

Copies share nothing: all weights lead with ``[copies, ...]``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from offloadopt.learners.common.networks import HIDDEN_GAIN, StackedLinear
from offloadopt.learners.maddpg_cgan.attention import Attention, Embedding, Encoder, Norm, rectified
from offloadopt.learners.maddpg_cgan.convolutions import (
    Convolution,
    Layout,
    PlacedConvolution,
    Styled,
    as_maps,
    as_patches,
    as_tokens,
    from_patches,
)


class Mapping(nn.Module):
    """From a latent and a condition to a style ``[copies, rows, width]``, equation (13)."""

    def __init__(
        self, copies: int, latent: int, condition: int, width: int, heads: int, tokens: int, layers: int, blend: float
    ) -> None:
        super().__init__()
        self.embedding = Embedding(copies, condition, tokens, width)
        self.first = StackedLinear(copies, latent, width)
        self.plain = nn.ModuleList(StackedLinear(copies, width, width) for _ in range(layers))
        self.guided = nn.ModuleList(StackedLinear(copies, width, width) for _ in range(layers))
        self.attention = nn.ModuleList(Attention(copies, width, heads) for _ in range(layers))
        self._blend = blend

    def initialise(self, generator: torch.Generator) -> None:
        """Orthogonal weights."""
        for part in (self.embedding, *self.attention):
            part.initialise(generator)
        for layer in (self.first, *self.plain, *self.guided):
            layer.initialise(HIDDEN_GAIN, generator)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Styles of latents and conditions ``[copies, rows, ...]``."""
        embedded = self.embedding(condition)
        style = guided_style = rectified(self.first(latent[:, None])).transpose(1, 2)  # one token for each row
        for plain, guided, attention in zip(self.plain, self.guided, self.attention, strict=True):
            style = rectified(plain(style))
            guided_style = rectified(guided(guided_style) + attention(guided_style, embedded))
        return torch.lerp(style, guided_style, self._blend)[:, :, 0]


class StyleGenerator(nn.Module):
    """Samples from latents and conditions.

    Parameters
    ----------
    copies : int
        Generators side by side.
    shape : (features,) or (channels, height, width)
        Of a sample. Numbers of vectors are unbounded, those of images lie in (-1, 1).
    condition : int
        Numbers in a condition.
    latent, width, heads, tokens, layers : int
        Numbers in a latent, in a style and a Transformer's token; heads of attention, tokens of an embedded
        condition, layers of the mapping network.
    blend : float
        ``lambda`` of (13), in (0, 1).
    """

    def __init__(
        self,
        copies: int,
        shape: Sequence[int],
        condition: int,
        *,
        latent: int = 16,
        width: int = 32,
        heads: int = 2,
        tokens: int = 4,
        layers: int = 2,
        blend: float = 0.5,
    ) -> None:
        super().__init__()
        self.layout = layout = Layout(shape)
        self.copies, self.latent = copies, latent
        dimensions = len(layout.places)
        channels = [width, width] if layout.is_vector else [width, width // 2, width // 4]
        self.mapping = Mapping(copies, latent, condition, width, heads, tokens, layers, blend)
        self.start = StackedLinear(copies, width, width * math.prod(layout.first))
        inputs = [width, *channels[:-1]]
        self.stack = nn.ModuleList(
            Styled(copies, *sizes, dimensions, width) for sizes in zip(inputs, channels, strict=True)
        )
        patch = channels[-1] * layout.patch**dimensions
        tokens_seen = math.prod(layout.places) // layout.patch**dimensions
        self.into = StackedLinear(copies, patch, width)
        self.encoder = Encoder(copies, tokens_seen, width, heads, 1)
        self.out_of = StackedLinear(copies, width, patch)
        self.last: Convolution | PlacedConvolution
        if layout.is_vector:
            self.last = PlacedConvolution(copies, channels[-1], layout.channels, layout.places[0])
        else:
            self.last = Convolution(copies, channels[-1], layout.channels, dimensions)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights."""
        with torch.no_grad():
            self.mapping.initialise(generator)
            for styled in cast(list[Styled], self.stack):
                styled.initialise(generator)
            self.encoder.initialise(generator)
            self.start.initialise(HIDDEN_GAIN, generator)
            self.into.initialise(1.0, generator)
            self.out_of.initialise(0.5, generator)
            self.last.initialise(0.5, generator)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Samples ``[copies, rows, *shape]`` for latents and conditions ``[copies, rows, ...]``."""
        style = self.mapping(latent, condition)
        start = self.start(style[:, None])[:, 0].transpose(0, 1).flatten(1)
        maps = start.unflatten(1, (-1, *self.layout.first))
        for number, styled in enumerate(self.stack):
            grown = nn.functional.interpolate(maps, scale_factor=2.0) if number else maps
            maps = styled(grown, style)
        samples = self.layout.gather(self.last(maps + self._whole(maps)), self.copies)
        return samples if self.layout.is_vector else torch.tanh(samples)

    def _whole(self, maps: Tensor) -> Tensor:
        """What the Transformer adds to the maps, from all of their places."""
        patches = as_patches(maps, self.layout.patch)
        tokens = self.out_of(self.encoder(self.into(as_tokens(patches, self.copies))))
        return from_patches(as_maps(tokens, patches.shape[2:]), self.layout.patch)


class StyleDiscriminator(nn.Module):
    """Scores ``[copies, rows]`` of samples under conditions; parameters as of `StyleGenerator`."""

    def __init__(
        self,
        copies: int,
        shape: Sequence[int],
        condition: int,
        *,
        width: int = 32,
        heads: int = 2,
        tokens: int = 4,
    ) -> None:
        super().__init__()
        self.layout = layout = Layout(shape)
        self.copies = copies
        dimensions = len(layout.places)
        # Halved once or twice: as many places are left as the generator's Transformer sees.
        stride, channels = (1, width) if layout.is_vector else (2, width // 2)
        places = [side // layout.patch for side in layout.places]
        self.stack = nn.ModuleList(
            [
                Convolution(copies, layout.channels, channels, dimensions, stride),
                Convolution(copies, channels, width, dimensions, 2),
            ]
        )
        self.embedding = Embedding(copies, condition, tokens, width)
        self.before_condition = Norm(copies, width)
        self.attention = Attention(copies, width, heads)
        self.encoder = Encoder(copies, math.prod(places), width, heads, 1)
        self.wide = StackedLinear(copies, width * math.prod(places), 2 * width)
        self.last = StackedLinear(copies, 2 * width, 1)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights."""
        with torch.no_grad():
            for convolution in cast(list[Convolution], self.stack):
                convolution.initialise(HIDDEN_GAIN, generator)
            for part in (self.embedding, self.attention, self.encoder):
                part.initialise(generator)
            self.wide.initialise(HIDDEN_GAIN, generator)
            self.last.initialise(1.0, generator)

    def forward(self, samples: Tensor, condition: Tensor) -> Tensor:
        """Scores ``[copies, rows]`` of samples ``[copies, rows, *shape]``."""
        maps = self.layout.spread(samples)
        for convolution in self.stack:
            maps = rectified(convolution(maps))
        tokens = as_tokens(maps, self.copies)
        tokens = tokens + self.attention(self.before_condition(tokens), self.embedding(condition))
        whole = self.encoder(tokens).flatten(2)
        return self.last(rectified(self.wide(whole[:, None])))[:, 0, :, 0]
