"""Layout of samples as feature maps, and stacked convolutions against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offloadopt.errors import InvalidInput
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.maddpg_cgan.convolutions import (
    Convolution,
    FeatureLayout,
    PositionwiseConvolution,
    adain,
    as_maps,
    as_patches,
    as_tokens,
    from_patches,
)
from offloadopt.learners.maddpg_cgan.stylegan import StyleGenerator, StyleSettings

ROWS = 3


CONDITION = 5


def drawn(module: nn.Module, seed: int) -> nn.Module:
    """The module with every weight drawn, also those that begin at zero."""
    generator = seeded_generator(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(0.0, 0.4, generator=generator)
    return module


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded_generator(seed))


@pytest.mark.parametrize("places", [(5,), (4, 3)])
def test_adain_gives_each_channel_the_mean_and_deviation_asked_for(places: tuple[int, ...]) -> None:
    maps, scale, shift = normal(4, 6, *places), normal(4, 6, seed=1), normal(4, 6, seed=2)
    found = adain(maps, scale, shift).numpy()
    for row in range(4):
        for channel in range(6):
            plain = maps[row, channel].numpy().astype(np.float64)
            standard = (plain - plain.mean()) / np.sqrt(plain.var() + 1e-5)
            expected = scale[row, channel].item() * standard + shift[row, channel].item()
            np.testing.assert_allclose(found[row, channel], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(8,), (11,), (2, 8, 12)])
def test_maps_hold_samples_and_give_them_back(shape: tuple[int, ...]) -> None:
    layout, samples = FeatureLayout(shape), normal(3, ROWS, *shape)
    maps = layout.spread(samples)
    assert maps.shape == (ROWS, 3 * layout.channels, *layout.positions)
    assert torch.equal(layout.gather(maps, 3), samples)
    torch.testing.assert_close(maps.sum(), samples.sum())
    assert torch.equal(as_maps(as_tokens(maps, 3), layout.positions), maps)
    patches = as_patches(maps, layout.patch)
    assert patches.shape[2:] == tuple(side // layout.patch for side in layout.positions)
    assert torch.equal(from_patches(patches, layout.patch), maps)
    first = tuple(slice(layout.patch) for _ in layout.positions)
    block = maps.unflatten(1, (3, -1))[1, 2][(slice(None), *first)]  # what the first patch of copy 2 covers
    assert torch.equal(as_tokens(patches, 3)[2, 1, 0].sort().values, block.flatten().sort().values)


def test_convolutions_of_copies_are_those_of_torch() -> None:
    found = drawn(Convolution(3, 2, 4, 2, stride=2), 0)
    maps = normal(ROWS, 6, 8, 8)
    for number in range(3):
        expected = nn.functional.conv2d(
            maps[:, 2 * number : 2 * number + 2], found.weight[number], found.bias[number], stride=2, padding=1
        )
        torch.testing.assert_close(found(maps)[:, 4 * number : 4 * number + 4], expected)


def test_a_kernel_for_each_place_sees_that_place_and_its_neighbours() -> None:
    convolution, maps = drawn(PositionwiseConvolution(2, 3, 4, 8), 0), normal(ROWS, 6, 8)
    found = convolution(maps)
    for number in range(2):
        for place in range(8):
            kernel = convolution.weight[number, place].view(3, 3, 4)  # channel, neighbour, output
            expected = convolution.bias[number, place].expand(ROWS, 4).clone()
            for near in (-1, 0, 1):
                if 0 <= place + near < 8:
                    expected += maps[:, 3 * number : 3 * number + 3, place + near] @ kernel[:, near + 1]
            torch.testing.assert_close(found[:, 4 * number : 4 * number + 4, place], expected)


@pytest.mark.parametrize("shape", [(0,), (1, 10, 8), (3, 8), (0, 8, 8)])
def test_shapes_that_cannot_be_grown_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"shape = .*; allowed: a number of features, or channels, height and width"):
        StyleGenerator(1, shape, CONDITION, StyleSettings())
