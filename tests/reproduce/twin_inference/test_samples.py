"""Generators of smaller data sets and of digits, and their scores."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from offloadopt.reproduce.twin_inference import samples
from offloadopt.reproduce.twin_inference.data_sets import VECTORS

from toys.tiny_papers.twin_inference import needs_sklearn


@needs_sklearn
def test_a_generator_of_vectors_learns_what_its_labels_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offloadopt.reproduce.twin_inference.judges.VECTOR_STEPS", 150)
    barely, learned = (samples.make_samples(VECTORS, steps, 1) for steps in (1, 80))
    assert (learned["samples"], learned["labels"]) == (569, 2)
    assert learned["judge"] == barely["judge"] > 0.93
    assert learned["auc"] > 0.97
    assert learned["made"] > max(0.8, barely["made"])
    assert 0.2 < learned["diversity"] < 2.0
    assert samples.make_samples(VECTORS, 1, 1) == barely


def test_a_picture_shows_digits_in_their_places() -> None:
    ink = np.zeros((2 * 10, 4, 4), dtype=np.uint8)
    ink[3], ink[10 + 7] = 200, 100
    ink[5, 0, 3] = 9
    found = samples.picture(base64.b64encode(ink.tobytes()).decode())
    assert found.shape == (8, 40)
    assert (found[:4, 12:16] == 200).all()
    assert (found[4:, 28:32] == 100).all()
    assert found[0, 23] == 9
    assert found.astype(int).sum() == 16 * 300 + 9
