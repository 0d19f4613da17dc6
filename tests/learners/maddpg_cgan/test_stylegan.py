"""Stacked StyleGANs: copies are independent, and outputs depend on latents and conditions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.maddpg_cgan.stylegan import MappingNetwork, StyleDiscriminator, StyleGenerator, StyleSettings

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


def test_style_is_the_blend_of_both_styles() -> None:
    latent, condition = normal(2, ROWS, 4), normal(2, ROWS, CONDITION, seed=1)
    mapping = drawn(MappingNetwork(2, CONDITION, StyleSettings(latent=4, width=8, tokens=3, blend=0.3)), 0)
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


def networks(copies: int, shape: tuple[int, ...]) -> tuple[StyleGenerator, StyleDiscriminator]:
    settings = StyleSettings(latent=4, width=8, tokens=3)
    return StyleGenerator(copies, shape, CONDITION, settings), StyleDiscriminator(copies, shape, CONDITION, settings)


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
