"""Losses, penalties and steps of both players of a conditional GAN."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt.errors import InvalidInput
from offloadopt.learners.common.torch_utils import one_thread, seeded_generator
from offloadopt.learners.maddpg_cgan.gan import (
    ConditionalGans,
    GanSettings,
    Loss,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)

SMALL = {"width": 8, "latent": 4, "tokens": 2, "layers": 1}
LOSSES: tuple[Loss, ...] = get_args(Loss)


def adversaries(copies: int = 2, shape: tuple[int, ...] = (5,), seed: int = 0, **changes: Any) -> ConditionalGans:
    return ConditionalGans(GanSettings(**{**SMALL, **changes}), copies, shape, 3, seeded_generator(seed))


def batch(copies: int = 2, shape: tuple[int, ...] = (5,), rows: int = 6) -> tuple[Tensor, Tensor]:
    generator = seeded_generator(7)
    return torch.randn(copies, rows, *shape, generator=generator), torch.randn(copies, rows, 3, generator=generator)


def test_losses_are_those_of_the_equations() -> None:
    generator = seeded_generator(0)
    real, made = torch.randn(2, 5, generator=generator), torch.randn(2, 5, generator=generator)
    for number in range(2):
        of_real, of_made = real[number].tolist(), made[number].tolist()
        # (15) with D as a probability; the generator raises log D
        right = [math.log(1 / (1 + math.exp(-score))) for score in of_real]
        caught = [math.log(1 - 1 / (1 + math.exp(-score))) for score in of_made]
        fooled = [math.log(1 / (1 + math.exp(-score))) for score in of_made]
        expected = -np.mean(right) - np.mean(caught)
        assert discriminator_loss("minimax", real, made)[number].item() == pytest.approx(expected, rel=1e-5)
        assert generator_loss("minimax", made)[number].item() == pytest.approx(-np.mean(fooled), rel=1e-5)
        # (16), (17), and (19) with minus
        for loss in LOSSES[1:]:
            expected = np.mean(of_made) - np.mean(of_real)
            assert discriminator_loss(loss, real, made)[number].item() == pytest.approx(expected, rel=1e-5)
            assert generator_loss(loss, made)[number].item() == pytest.approx(-np.mean(of_made), rel=1e-5)


def test_the_penalty_is_how_far_slopes_are_from_one() -> None:
    at = torch.randn(2, 4, 3, generator=seeded_generator(0), dtype=torch.float64)

    def score(samples: Tensor) -> Tensor:
        return (samples.square() * samples.roll(1, dims=-1)).sum(dim=-1).sin()

    found = gradient_penalty(score, at)
    step = 1e-6
    for number in range(2):
        terms = []
        for row in range(4):
            slopes = []
            for entry in range(3):
                moved = at.clone()
                moved[number, row, entry] += step
                above = score(moved)[number, row]
                moved[number, row, entry] -= 2 * step
                slopes.append((above - score(moved)[number, row]).item() / (2 * step))
            terms.append((np.linalg.norm(slopes) - 1.0) ** 2)
        assert found[number].item() == pytest.approx(np.mean(terms), rel=1e-6)


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8)])
def test_the_penalty_passes_its_own_slope_to_every_part_of_a_discriminator(shape: tuple[int, ...]) -> None:
    network = adversaries(1, shape).discriminator.double()
    with torch.no_grad():  # at zero, what lies under padding would sit on the corner of a rectifier
        for weight in network.parameters():
            weight.normal_(0.0, 0.4, generator=seeded_generator(weight.numel()))
    at, condition = (part.double() for part in batch(1, shape, rows=3))

    def penalty() -> Tensor:
        return gradient_penalty(lambda samples: network(samples, condition), at).sum()

    weights = dict(network.named_parameters())
    slopes = torch.autograd.grad(penalty(), list(weights.values()), materialize_grads=True)
    step = 1e-6
    for (name, weight), slope in zip(weights.items(), slopes, strict=True):
        place = int(slope.abs().argmax())
        flat = weight.detach().view(-1)
        flat[place] += step
        above = penalty().item()
        flat[place] -= 2 * step
        below = penalty().item()
        flat[place] += step
        expected = (above - below) / (2 * step)
        assert slope.reshape(-1)[place].item() == pytest.approx(expected, rel=1e-4, abs=1e-7), name


@pytest.mark.parametrize("loss", LOSSES)
def test_what_a_step_reports_is_what_the_equations_say(loss: Loss) -> None:
    players, (real, condition), chance = (
        adversaries(loss=loss, gradient_weight=3.0, penalty_share=0.6),
        batch(),
        seeded_generator(1),
    )
    same = seeded_generator(1)  # draws what the step draws, in its order
    with torch.no_grad():
        made = players.generator(torch.randn(2, 6, 4, generator=same), condition)
        scores = players.discriminator(real, condition), players.discriminator(made, condition)
    expected = discriminator_loss(loss, *scores)
    if "gp" in loss:
        share = torch.rand(2, 4, 1, generator=same)
        between = share * real[:, :4] + (1 - share) * made[:, :4]
        expected = expected + 3.0 * gradient_penalty(lambda at: players.discriminator(at, condition[:, :4]), between)
    found = players.learn(real, condition, chance, lambda samples, _: samples.square().mean(dim=(1, 2)))
    torch.testing.assert_close(found["discriminator"], expected.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["distance"], (scores[0] - scores[1]).mean(dim=1), rtol=1e-4, atol=1e-5)
    assert ("penalty" in found) == ("gp" in loss)
    assert ("consistency" in found) == (loss == "conditional-wgan-gp")


def test_steps_lower_what_each_player_bears() -> None:
    real, condition = batch(rows=32)
    for loss in LOSSES:
        players = adversaries(loss=loss, generator_rate=1e-9, critic_rate=3e-3, clip=10.0)
        losses = [players.learn(real, condition, seeded_generator(1))["discriminator"] for _ in range(4)]
        assert (losses[-1] < losses[0]).all(), loss
        players = adversaries(loss=loss, generator_rate=3e-3, critic_rate=1e-9, clip=10.0)
        losses = [players.learn(real, condition, seeded_generator(1))["generator"] for _ in range(4)]
        assert (losses[-1] < losses[0]).all(), loss


def test_a_wgans_weights_are_clipped_and_no_others() -> None:
    for loss in LOSSES:
        players = adversaries(loss=loss, clip=0.01)
        players.learn(*batch(), seeded_generator(1))
        largest = max(weight.abs().max().item() for weight in players.discriminator.parameters())
        assert (largest <= 0.01 + 1e-7) == (loss == "wgan")


def test_generators_wait_for_their_critics() -> None:
    players, (real, condition), chance = adversaries(critic_steps=3), batch(), seeded_generator(1)
    before = [weight.detach().clone() for weight in players.generator.parameters()]
    for number in range(1, 7):
        found = players.learn(real, condition, chance)
        assert ("generator" in found) == (number % 3 == 0)
        if number == 2:
            assert all(map(torch.equal, before, players.generator.parameters()))
    assert not any(map(torch.equal, before, players.generator.parameters()))


def test_no_copys_step_depends_on_anothers_samples() -> None:
    chances = seeded_generator(1), seeded_generator(1)
    first, second = adversaries(), adversaries()
    real, condition = batch()
    other = real.clone()
    other[1] *= 3.0
    for samples, players, chance in zip((real, other), (first, second), chances, strict=True):
        for _ in range(3):
            players.learn(samples, condition, chance, lambda made, _: made.square().mean(dim=(1, 2)))
    for name, array in first.arrays().items():
        if name.startswith(("generator.networks", "discriminator.networks", "averaged")):
            np.testing.assert_array_equal(array[0], second.arrays()[name][0], err_msg=name)
    assert not torch.equal(first.sample(condition, chances[0])[1], second.sample(condition, chances[1])[1])


def test_sampled_weights_are_the_mean_of_what_was_learned() -> None:
    players, (real, condition), chance = adversaries(average=0.5), batch(), seeded_generator(1)
    name = "start.weight"
    expected = players.generator.state_dict()[name].clone()
    for number in range(1, 21):
        players.learn(real, condition, chance)
        share = min(0.5, number / (number + 10.0))
        expected = share * expected + (1 - share) * players.generator.state_dict()[name]
    torch.testing.assert_close(players.averaged.state_dict()[name], expected)
    same = adversaries(average=0.0)
    same.learn(real, condition, chance)
    found = same.sample(condition, seeded_generator(3))
    latent = torch.randn(2, 6, 4, generator=seeded_generator(3))
    torch.testing.assert_close(found, same.generator(latent, condition).detach())
    assert not found.requires_grad


def test_bytes_are_those_of_one_copys_generator() -> None:
    one, three = adversaries(1), adversaries(3)
    assert one.bytes == three.bytes == sum(weight.numel() for weight in one.generator.parameters()) * 4


@pytest.mark.parametrize("loss", LOSSES)
def test_a_restored_training_goes_on_as_if_it_had_never_stopped(loss: Loss) -> None:
    real, condition = batch()

    def go_on(players: ConditionalGans, seeds: range) -> ConditionalGans:
        for seed in seeds:
            players.learn(real, condition, seeded_generator(seed), lambda made, _: made.square().mean(dim=(1, 2)))
        return players

    with one_thread():
        whole = go_on(adversaries(loss=loss, critic_steps=2), range(5))
        again = adversaries(loss=loss, critic_steps=2, seed=1)
        again.restore(go_on(adversaries(loss=loss, critic_steps=2), range(3)).arrays())
        expected, found = whole.arrays(), go_on(again, range(3, 5)).arrays()
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        assert array.tobytes() == found[name].tobytes(), name


def test_heads_must_share_the_width() -> None:
    with pytest.raises(InvalidInput, match="heads = 3; allowed: a divisor of width = 8"):
        adversaries(heads=3)


def test_conditioned_mixtures_are_learned_by_each_copy() -> None:
    """Copy 0 learns a Gaussian around its condition, copy 1 one of two, by chance, with the sign of its condition."""
    chance = seeded_generator(0)

    def draw(rows: int) -> tuple[Tensor, Tensor]:
        condition = torch.randint(0, 2, (2, rows, 1), generator=chance) * 2.0 - 1.0
        noise = 0.2 * torch.randn(2, rows, 2, generator=chance)
        side = torch.randint(0, 2, (rows, 1), generator=chance) * 2.0 - 1.0
        centre = torch.stack([condition[0].expand(-1, 2), torch.cat([condition[1], side], dim=1)])
        return centre + noise, condition

    with one_thread():
        settings = GanSettings(loss="wgan-gp", width=16, latent=4, layers=1)
        players = ConditionalGans(settings, 2, (2,), 1, chance)
        for _ in range(120):
            players.learn(*draw(64), chance)
        for sign in (-1.0, 1.0):
            gaussian, mixture = players.sample(torch.full((2, 2000, 1), sign), chance).numpy()
            np.testing.assert_allclose(gaussian.mean(axis=0), [sign, sign], atol=0.3)
            assert (gaussian.std(axis=0) < 0.5).all()
            assert mixture[:, 0].mean() == pytest.approx(sign, abs=0.3)
            assert 0.25 < (mixture[:, 1] > 0).mean() < 0.75
            assert np.abs(mixture[:, 1]).mean() == pytest.approx(1.0, abs=0.35)
