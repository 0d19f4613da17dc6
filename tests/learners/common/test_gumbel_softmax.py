"""Relaxed actions: conversion to heads, sampling, and gradients through choices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt.core import ArrayField
from offloadopt.learners.common.distributions import Heads, mask_outputs
from offloadopt.learners.common.gumbel_softmax import RelaxedActions
from offloadopt.learners.common.torch_utils import seeded_generator

FIELDS = {
    "mode": ArrayField((3, 2), low=1, high=3, integer=True),
    "level": ArrayField((3,), low=2.0, high=6.0),
    "pair": ArrayField((3, 2), low=-1.0, high=0.5),
    "place": ArrayField((3,), low=0, high=4, integer=True),
}


WIDTH = 3 + 2 * 3 + 5


def test_a_row_means_what_the_heads_read() -> None:
    relaxed, heads = RelaxedActions(FIELDS), Heads(FIELDS, 3)
    assert relaxed.size == heads.outputs == WIDTH
    outputs = torch.randn((50, 3, WIDTH), generator=seeded_generator(0))
    rows = relaxed.harden(torch.cat([outputs[..., :3].tanh(), outputs[..., 3:]], dim=-1))
    found, expected = heads.decode(relaxed.to_head_actions(rows)), heads.decode(heads.mode(outputs))
    for name in FIELDS:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_numbers_reach_their_limits() -> None:
    relaxed, heads = RelaxedActions(FIELDS), Heads(FIELDS, 3)
    rows = torch.zeros((2, 3, WIDTH))
    rows[0, :, :3], rows[1, :, :3] = -1.0, 1.0
    found = heads.decode(relaxed.to_head_actions(rows))
    assert found["level"].tolist() == [[2.0] * 3, [6.0] * 3]
    assert found["pair"].tolist() == [[[-1.0] * 2] * 3, [[0.5] * 2] * 3]


def test_choices_are_drawn_by_the_softmax_and_numbers_spread_by_the_noise() -> None:
    relaxed = RelaxedActions(FIELDS)
    outputs = torch.linspace(-1.0, 1.0, WIDTH)
    rows = relaxed.explore(outputs.repeat(40_000, 1), 0.1, seeded_generator(0))
    for first, last in ((3, 6), (6, 9), (9, 14)):
        assert set(rows[:, first:last].sum(dim=-1).tolist()) == {1.0}
        torch.testing.assert_close(rows[:, first:last].mean(dim=0), outputs[first:last].softmax(-1), atol=0.01, rtol=0)
    torch.testing.assert_close(rows[:, 1:3].mean(dim=0), outputs[1:3].tanh(), atol=3e-3, rtol=0)
    torch.testing.assert_close(rows[:, 1:3].std(dim=0), torch.full((2,), 0.1), atol=2e-3, rtol=0)
    assert rows[:, :3].abs().max() <= 1.0


def test_a_guess_is_any_number_and_any_option_that_is_allowed() -> None:
    relaxed = RelaxedActions(FIELDS)
    allowed = torch.ones(WIDTH, dtype=torch.bool)
    allowed[[4, 10, 11]] = False
    rows = relaxed.random_actions(mask_outputs(torch.zeros((30_000, WIDTH)), allowed), seeded_generator(0))
    expected = [0.5, 0, 0.5, *[1 / 3] * 3, 1 / 3, 0, 0, 1 / 3, 1 / 3]
    np.testing.assert_allclose(rows[:, 3:].mean(dim=0), expected, atol=0.012)
    numbers = np.sort(rows[:, :3].numpy(), axis=0)
    np.testing.assert_allclose(numbers, np.linspace(-1, 1, len(numbers))[:, None].repeat(3, axis=1), atol=0.02)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_gradients_through_choices_are_those_of_the_relaxed_value(temperature: float) -> None:
    """Of a value along a slope, against central differences under the same Gumbel noise."""
    relaxed = RelaxedActions(FIELDS)
    outputs = torch.randn((4, 3, WIDTH), dtype=torch.float64, generator=seeded_generator(1))
    allowed = torch.rand((4, 3, WIDTH), generator=seeded_generator(2)) < 0.7
    allowed[..., [0, 1, 2, 3, 6, 9]] = True
    slope = torch.randn((4, 3, WIDTH), dtype=torch.float64, generator=seeded_generator(3))

    def value(at: Tensor) -> Tensor:
        return (slope * relaxed.sample_soft(mask_outputs(at, allowed), temperature, seeded_generator(4))).sum()

    leaf = outputs.clone().requires_grad_()
    rows = relaxed.straight_through(mask_outputs(leaf, allowed), temperature, seeded_generator(4))
    (rows * slope).sum().backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    step = 1e-6
    for index in np.ndindex(*outputs.shape):
        up, down = outputs.clone(), outputs.clone()
        up[index] += step
        down[index] -= step
        difference = float(value(up) - value(down)) / (2 * step)
        assert float(leaf.grad[index]) == pytest.approx(difference, abs=1e-7)
    assert (leaf.grad[~allowed] == 0).all()
    choices = rows.detach()[..., 3:]
    assert ((choices - choices.round()).abs() < 1e-12).all()
    assert (choices[~allowed[..., 3:]] == 0).all()
