"""Smaller data sets, their split, their generator and its score."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.errors import InvalidInput
from offloadopt.reproduce.twin_inference import samples

from toys.tiny_papers.twin_inference import (
    needs_sklearn,
)


def test_the_area_under_the_curve_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(3, size=40)
    shares = rng.random((40, 3)).round(1) + 0.5 * np.eye(3)[labels]  # rounded, so that there are ties
    by_hand = []
    for label in range(3):
        ones, others = shares[labels == label, label], shares[labels != label, label]
        by_hand.append(np.mean((ones[:, None] > others) + 0.5 * (ones[:, None] == others)))
    assert samples.area_under_curve(shares, labels) == pytest.approx(np.mean(by_hand))


def test_seventy_percent_of_each_label_are_trained_on() -> None:
    labels = np.array([0] * 10 + [1] * 20)
    train, held = samples.split(labels, 4)
    assert sorted(np.concatenate([train, held])) == list(range(30))
    assert np.bincount(labels[train]).tolist() == [7, 14]
    assert samples.split(labels, 5)[0].tolist() != train.tolist()


@needs_sklearn
def test_a_generator_of_vectors_learns_what_its_labels_are() -> None:
    barely, learned = (samples.make_samples(samples.VECTORS, steps, 1) for steps in (1, 120))
    assert (learned["samples"], learned["labels"]) == (569, 2)
    assert learned["judge"] == barely["judge"] > 0.93
    assert learned["auc"] > 0.97
    assert learned["made"] > max(0.8, barely["made"])
    assert 0.2 < learned["diversity"] < 2.0
    assert samples.make_samples(samples.VECTORS, 1, 1) == barely


@needs_sklearn
def test_unknown_data_are_refused() -> None:
    with pytest.raises(InvalidInput, match="data set 'faces'; allowed: 'scikit-learn digits"):
        samples.load("faces", 1)


def test_a_picture_shows_digits_in_their_places() -> None:
    import base64

    ink = np.zeros((2 * 10, 4, 4), dtype=np.uint8)
    ink[3], ink[10 + 7] = 200, 100
    ink[5, 0, 3] = 9
    found = samples.picture(base64.b64encode(ink.tobytes()).decode())
    assert found.shape == (8, 40)
    assert (found[:4, 12:16] == 200).all()
    assert (found[4:, 28:32] == 100).all()
    assert found[0, 23] == 9
    assert found.astype(int).sum() == 16 * 300 + 9
