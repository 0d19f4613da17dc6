"""Generators and discriminators in copies, for vectors and for images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offloadopt.errors import InvalidInput
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.maddpg_cgan.attention import Attention, TransformerEncoder
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
from offloadopt.learners.maddpg_cgan.stylegan import MappingNetwork, StyleDiscriminator, StyleGenerator

SHAPES = ((11,), (2, 8, 12))
ROWS = 3
CONDITION = 5


def drawn(module: nn.Module, seed: int) -> nn.Module:
    """The module with every weight drawn, also those that begin at zero."""
    generator = seeded_generator(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(0.0, 0.4, generator=generator)
    return module


def alone(module: nn.Module, single: nn.Module, number: int) -> nn.Module:
    """One copy of the module by itself."""
    single.load_state_dict({name: weight[number : number + 1] for name, weight in module.state_dict().items()})
    return single


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


def test_attention_is_that_of_torch() -> None:
    found = drawn(Attention(1, 8, 2), 0)
    plain = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        plain.in_proj_weight.copy_(torch.cat([part.weight[0].T for part in (found.query, found.key, found.value)]))
        plain.in_proj_bias.copy_(torch.cat([part.bias[0, 0] for part in (found.query, found.key, found.value)]))
        plain.out_proj.weight.copy_(found.last.weight[0].T)
        plain.out_proj.bias.copy_(found.last.bias[0, 0])
    signal, others = normal(1, ROWS, 4, 8), normal(1, ROWS, 6, 8, seed=1)
    expected, _ = plain(signal[0], others[0], others[0])
    torch.testing.assert_close(found(signal, others)[0], expected)


def test_only_positions_tell_an_encoder_its_tokens_apart() -> None:
    encoder, signal, turned = (
        drawn(TransformerEncoder(1, 4, 8, 2, 2), 0),
        normal(1, ROWS, 4, 8),
        torch.tensor([2, 0, 3, 1]),
    )
    assert not torch.allclose(encoder(signal[:, :, turned]), encoder(signal)[:, :, turned], atol=1e-3)
    with torch.no_grad():
        encoder.position.zero_()
    torch.testing.assert_close(encoder(signal[:, :, turned]), encoder(signal)[:, :, turned])


def test_style_is_the_blend_of_both_styles() -> None:
    latent, condition = normal(2, ROWS, 4), normal(2, ROWS, CONDITION, seed=1)
    mapping = drawn(MappingNetwork(2, 4, CONDITION, 8, 2, 3, 2, blend=0.3), 0)
    styles = []
    for blend in (0.0, 1.0):
        mapping._blend = blend
        styles.append(mapping(latent, condition))
    mapping._blend = 0.3
    torch.testing.assert_close(mapping(latent, condition), 0.7 * styles[0] + 0.3 * styles[1])
    other = normal(2, ROWS, CONDITION, seed=2)
    mapping._blend = 0.0
    assert torch.equal(mapping(latent, other), styles[0])  # the plain style knows no condition
    mapping._blend = 1.0
    assert not torch.allclose(mapping(latent, other), styles[1], atol=1e-3)


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


def networks(copies: int, shape: tuple[int, ...]) -> tuple[StyleGenerator, StyleDiscriminator]:
    sizes = {"width": 8, "heads": 2, "tokens": 3}
    return StyleGenerator(copies, shape, CONDITION, latent=4, **sizes), StyleDiscriminator(
        copies, shape, CONDITION, **sizes
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_copy_alone_does_what_it_does_in_company(shape: tuple[int, ...]) -> None:
    latent, condition = normal(3, ROWS, 4), normal(3, ROWS, CONDITION, seed=1)
    generator, discriminator = (drawn(network, 0) for network in networks(3, shape))
    samples = generator(latent, condition)
    scores = discriminator(samples, condition)
    assert (samples.shape, scores.shape) == ((3, ROWS, *shape), (3, ROWS))
    for number in range(3):
        single, judge = (
            alone(network, one, number)
            for network, one in zip((generator, discriminator), networks(1, shape), strict=True)
        )
        own = slice(number, number + 1)
        torch.testing.assert_close(single(latent[own], condition[own]), samples[own], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(judge(samples[own], condition[own]), scores[own], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_copy_depends_on_anothers_weights_and_every_weight_counts(shape: tuple[int, ...]) -> None:
    latent, condition = normal(3, ROWS, 4), normal(3, ROWS, CONDITION, seed=1)
    generator, discriminator = (drawn(network, 0) for network in networks(3, shape))
    made = generator(latent, condition)
    discriminator(made, condition)[1].sum().backward()
    for network in (generator, discriminator):
        for name, weight in network.named_parameters():
            assert weight.grad is not None, name
            own, others = weight.grad[1].abs().max(), weight.grad[[0, 2]].abs().max()
            assert others == 0.0, name
            if not name.endswith(("key.bias", "convolution.bias")):  # softmax and (14) take these away
                assert own > 0.0, name


@pytest.mark.parametrize("shape", SHAPES)
def test_samples_and_scores_depend_on_the_condition_row_by_row(shape: tuple[int, ...]) -> None:
    latent, condition = normal(1, ROWS, 4), normal(1, ROWS, CONDITION, seed=1)
    generator, discriminator = (drawn(network, 0) for network in networks(1, shape))
    samples, scores = generator(latent, condition), discriminator(normal(1, ROWS, *shape), condition)
    condition[0, 1] += 1.0
    changed = (generator(latent, condition) - samples).flatten(2).abs().amax(dim=2)[0]
    judged = (discriminator(normal(1, ROWS, *shape), condition) - scores).abs()[0]
    for difference in (changed, judged):
        assert difference[1] > 1e-3
        assert difference[[0, 2]].max() < 1e-5


def test_images_are_bounded_and_vectors_are_not() -> None:
    for shape in SHAPES:
        generator, _ = networks(1, shape)
        with torch.no_grad():
            drawn(generator, 0).last.bias.fill_(5.0)
        largest = generator(normal(1, 50, 4), normal(1, 50, CONDITION)).abs().max()
        assert (largest <= 1.0) == (len(shape) == 3)


@pytest.mark.parametrize("shape", [(0,), (1, 10, 8), (3, 8), (0, 8, 8)])
def test_shapes_that_cannot_be_grown_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"shape = .*; allowed: a number of features, or channels, height and width"):
        StyleGenerator(1, shape, CONDITION)
