"""Classifiers of samples, and an independent judge of generated digits.

The judge is trained on rotated, shifted and scaled copies of the training digits; generators use neither it nor the
held-out digits. Section 6.1 of the paper has 100 digits of each label generated in 20 rounds and prints a total of
2,000; that is 20,000, or 1,000 a round.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from offloadopt.core import FloatArray, IntArray
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.reproduce.twin_inference.data_sets import MNIST, SIDES, Samples

LABELS, SIDE = 10, SIDES[MNIST]
OF_EACH_LABEL = 100
"""Digits of each label that are generated in a round, as in the paper."""
COPY_CHECKS = 1000
"""Number of generated digits that are compared with the training digits."""
BATCH, WIDTH = 64, 64
VECTOR_STEPS = 600

ImageSampler = Callable[[Tensor, torch.Generator], Tensor]
"""Digits ``[rows, 1, 28, 28]`` in [-1, 1] for labels ``[rows]``."""


def tensors(samples: Samples) -> tuple[Tensor, Tensor]:
    """Values and labels of samples."""
    return torch.from_numpy(samples.values), torch.from_numpy(samples.labels)


def numbered_generator(seed: int, number: int) -> torch.Generator:
    """A random stream of its own for each number, so fewer of them are the first of many."""
    stream = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(stream[0]))


def convolutions(channels: int, features: int = 64) -> nn.Sequential:
    """Two convolutions and two linear layers; all but the last layer give the features of an image."""
    layers: list[nn.Module] = []
    for conv in (nn.Conv2d(1, channels, 5, padding=2), nn.Conv2d(channels, 2 * channels, 3, padding=1)):
        layers += [conv, nn.ReLU(), nn.MaxPool2d(2)]
    wide = nn.Linear(2 * channels * (SIDE // 4) ** 2, features)
    return nn.Sequential(*layers, nn.Flatten(), wide, nn.ReLU(), nn.Linear(features, LABELS))


def fit(
    network: nn.Sequential,
    train: Samples,
    optimizer: Callable[..., torch.optim.Optimizer],
    rates: FloatArray,
    change: Callable[[Tensor, torch.Generator], Tensor],
    generator: torch.Generator,
) -> None:
    """Train a classifier from random weights by cross-entropy, a step of 64 changed samples for each learning rate.

    Weights are drawn so that they keep the variance of rectified signals; biases are zero.
    """
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    values, targets = tensors(train)
    stepper = optimizer(network.parameters())
    for rate in rates.tolist():
        stepper.param_groups[0]["lr"] = rate
        rows = torch.randint(len(targets), (BATCH,), generator=generator)
        changed = change(values[rows], generator)
        stepper.zero_grad()
        nn.functional.cross_entropy(network(changed), targets[rows]).backward()
        stepper.step()
    network.requires_grad_(False)


def digit_classifier(
    train: Samples, *, steps: int, seed: int, channels: int = 16, augment: bool = True
) -> nn.Sequential:
    """Train a classifier of digits; the learning rate falls along a cosine.

    Parameters
    ----------
    train : Samples
    steps, seed : int
    channels : int
        Of the first convolution; the second has twice as many.
    augment : bool
        Whether batches are `augmented`.
    """
    network = convolutions(channels)
    rates = np.array([1e-3 * (1.0 + math.cos(math.pi * step / steps)) for step in range(steps)])
    change = augmented if augment else lambda images, generator: images
    fit(network, train, lambda weights: torch.optim.Adam(weights, fused=True), rates, change, seeded_generator(seed))
    return network


def vector_classifier(train: Samples, labels: int, seed: int) -> nn.Sequential:
    """Train a classifier of two linear layers on samples with a little noise."""
    numbers = int(np.prod(train.values.shape[1:]))
    network = nn.Sequential(nn.Flatten(), nn.Linear(numbers, WIDTH), nn.ReLU(), nn.Linear(WIDTH, labels))

    def noisy(values: Tensor, generator: torch.Generator) -> Tensor:
        return values.flatten(1) + 0.1 * torch.randn(len(values), numbers, generator=generator)

    rates = np.full(VECTOR_STEPS, 3e-3)
    fit(network, train, lambda w: torch.optim.Adam(w, weight_decay=1e-4), rates, noisy, seeded_generator(seed))
    return network


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate images by up to 12 degrees, shift them by up to 2 pixels and scale them by up to 10 %."""
    drawn = 2.0 * torch.rand(4, len(images), generator=generator) - 1.0
    angle, scale = math.radians(12.0) * drawn[0], 1.0 + 0.1 * drawn[1]
    shift = 2.0 * 2.0 / SIDE * drawn[2:]
    rows = [scale * angle.cos(), -scale * angle.sin(), shift[0], scale * angle.sin(), scale * angle.cos(), shift[1]]
    grid = nn.functional.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images + 1.0, grid, align_corners=False) - 1.0  # paper beyond the edges


@torch.no_grad()
def accuracy(network: nn.Module, values: Tensor, labels: Tensor) -> float:
    """Share of samples that are classified as their label."""
    return float((network(values).argmax(dim=1) == labels).float().mean())


def spread(features: Tensor, labels: Tensor) -> Tensor:
    """Mean distance between the samples of each label ``[labels]``."""
    return torch.stack([nn.functional.pdist(features[labels == label]).mean() for label in labels.unique()])


def area_under_curve(shares: FloatArray, labels: IntArray) -> float:
    """Mean one-against-all area under the ROC curve over labels; ties count half.

    Parameters
    ----------
    shares : array [samples, labels]
        The classifier's probability of each label.
    labels : array [samples]
    """
    from scipy.stats import rankdata

    found = []
    for label in range(shares.shape[1]):
        of_label = labels == label
        ones, others = int(of_label.sum()), int((~of_label).sum())
        if ones and others:
            rank = rankdata(shares[:, label])[of_label].sum()
            found.append((rank - ones * (ones + 1) / 2) / (ones * others))
    return float(np.mean(found))


def nearest_distances(images: Tensor, others: Tensor) -> Tensor:
    """Euclidean pixel distance ``[rows]`` of images to the nearest of ``others``."""
    return torch.cdist(images.flatten(1), others.flatten(1)).amin(dim=1)


class Judge:
    """Independent classifier that scores generated digits.

    Parameters
    ----------
    train, held_out : Samples
        Digits that generators may be trained on, and digits that they may not.
    steps, seed : int
        Of its training.

    Attributes
    ----------
    accuracy : float
        Share of the held-out digits that it classifies correctly.
    """

    def __init__(self, train: Samples, held_out: Samples, *, steps: int, seed: int) -> None:
        self.classifier = digit_classifier(train, steps=steps, seed=seed)
        self._train, _ = tensors(train)
        self._held_out, self._held_out_labels = tensors(held_out)
        self.accuracy = accuracy(self.classifier, self._held_out, self._held_out_labels)
        self._median_distance = float(nearest_distances(self._held_out, self._train).median())

    @torch.no_grad()
    def scores(self, make: ImageSampler, *, seed: int, rounds: int) -> dict[str, float]:
        """Generate rounds of 100 digits of each label, and score them; diversity and copies are those of the first.

        The scores are ``made``, the share that the judge classifies as the requested label; ``diversity``, the mean
        distance of its features within a label relative to held-out digits; and ``copied``, the share whose nearest
        training digit is closer than the median of held-out digits: 0.5 is no copying.
        """
        labels = torch.arange(LABELS).repeat_interleave(OF_EACH_LABEL)
        made = [make(labels, numbered_generator(seed, number)) for number in range(rounds)]
        right = torch.stack([(self.classifier(images).argmax(dim=1) == labels).float() for images in made])
        some = made[0][:: max(1, len(labels) // COPY_CHECKS)]
        copied = nearest_distances(some, self._train) < self._median_distance
        ours, real = (
            spread(self.classifier[:-1](images), of)
            for images, of in ((made[0], labels), (self._held_out, self._held_out_labels))
        )
        return {
            # The mean of the means of rounds and labels, as in the tables.
            "made": float(right.view(rounds, LABELS, OF_EACH_LABEL).mean(dim=2).mean()),
            "diversity": float(np.mean((ours / real).tolist())),
            "copied": float(copied.float().mean()),
        }
