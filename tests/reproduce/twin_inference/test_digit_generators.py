"""Trainings of generators of digits: interrupted ones, conditional ones, and what they show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from offloadopt.errors import OutputExists
from offloadopt.learners.common import training as course
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.maddpg_cgan.gan import GanSettings, Loss
from offloadopt.reproduce.twin_inference import digit_generators
from offloadopt.reproduce.twin_inference.digit_classifiers import (
    Digits,
)
from offloadopt.reproduce.twin_inference.digit_generators import DigitGenerator, image_grid, train_digits

SMALL = GanSettings(width=8, latent=4, layers=1)


def arrays_of(digit_generator: DigitGenerator) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in digit_generator.adversaries.arrays().items()}


@pytest.mark.parametrize("loss", get_args(Loss))
def test_an_interrupted_training_ends_as_if_it_had_never_stopped(
    loss: Loss, digits: tuple[Digits, Digits], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(digit_generators, "CLASSIFIER_STEPS", 10)
    whole = train_digits(loss, digits[0], steps=14, seed=4, settings=SMALL)
    assert whole.steps == 14
    made = whole(torch.arange(10), seeded_generator(0))
    assert made.shape == (10, 1, 28, 28)
    assert made.abs().max() <= 1.0

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_digits(loss, digits[0], steps=14, seed=4, settings=SMALL, checkpoint=tmp_path, progress=stop)
    assert "state" in json.loads((tmp_path / "checkpoint.json").read_text())
    told: list[int] = []
    again = train_digits(loss, digits[0], steps=14, seed=4, settings=SMALL, checkpoint=tmp_path, progress=told.append)
    assert 0 < sum(told[1:]) < 14
    assert arrays_of(again) == arrays_of(whole)
    with pytest.raises(OutputExists, match="its seed is 4, not 5"):
        train_digits(loss, digits[0], steps=14, seed=5, settings=SMALL, checkpoint=tmp_path)


def test_digits_come_to_fit_their_labels(digits: tuple[Digits, Digits], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digit_generators, "CLASSIFIER_STEPS", 100)
    measured: dict[int, Mapping[str, float]] = {}
    train_digits(
        "conditional-wgan-gp",
        digits[0],
        steps=60,
        settings=GanSettings(width=16, latent=4, generator_rate=3e-3),
        record=measured.__setitem__,
    )
    assert measured[60]["consistency"] < 0.85 * measured[10]["consistency"]


def test_the_grid_shows_what_is_made(digits: tuple[Digits, Digits]) -> None:
    generators = {loss: train_digits(loss, digits[0], steps=1, settings=SMALL) for loss in ("wgan", "minimax")}
    figure = image_grid(generators, of_each_label=2, seed=3)
    assert [axes.get_title() for axes in figure.axes] == ["wgan", "minimax"]
    shown = figure.axes[1].get_images()[0].get_array()
    assert shown.shape == (2 * 28, 10 * 28)
    made = generators["minimax"](torch.arange(10).repeat(2), seeded_generator(3))
    np.testing.assert_array_equal(shown[28:, 56:84], made[12, 0])
