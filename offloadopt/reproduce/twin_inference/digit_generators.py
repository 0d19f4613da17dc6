"""Training of conditional StyleGANs on handwritten digits under four losses, and images of their digits.

One step updates generator and critic on 64 digits. The condition is the label; ``conditional-wgan-gp`` adds the
cross-entropy of an auxiliary classifier that is trained on the same digits and is not the judge. Digits are sampled
with the generator's averaged weights. Measured accuracies: docs/results/twin_inference.md.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from offloadopt.core import Budget, Progress, Record
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.torch_utils import one_thread, seeded_generator
from offloadopt.learners.common.training import TrainingProgress
from offloadopt.learners.maddpg_cgan.gan import ConditionalGans, Consistency, GanSettings, Loss
from offloadopt.reproduce.twin_inference.digit_classifiers import BATCH, LABELS, SIDE, Digits, one_hot, train_classifier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 3000
"""Steps of a training without a budget."""
CLASSIFIER_STEPS = 400
"""Training steps of the auxiliary classifier."""
DIGIT_SETTINGS: Mapping[str, Any] = {
    "width": 32,
    "latent": 32,
    "gradient_weight": 10.0,
    "penalty_share": 0.5,
    "generator_rate": 1e-3,
    "critic_rate": 2e-3,
    "average": 0.99,
}
"""Settings that differ from the defaults, which are for vectors."""


@dataclass(frozen=True)
class DigitGenerator:
    """A trained generator of digits.

    Attributes
    ----------
    loss : str
    seed, steps : int
    cpu_seconds : float
        Processor time of the training in this process; an interrupted run before it is not counted.
    adversaries : ConditionalGans
    """

    loss: Loss
    seed: int
    steps: int
    cpu_seconds: float
    adversaries: ConditionalGans

    def __call__(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Sample digits ``[rows, 1, 28, 28]`` in (-1, 1) of labels ``[rows]``."""
        with one_thread():
            pieces = [self.adversaries.sample(one_hot(piece)[None], generator)[0] for piece in labels.split(500)]
        return torch.cat(pieces)


def train_digits(
    loss: Loss,
    digits: Digits,
    *,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    record: Record | None = None,
    settings: GanSettings | None = None,
) -> DigitGenerator:
    """Train a generator of digits.

    Parameters
    ----------
    loss : {"minimax", "wgan", "wgan-gp", "conditional-wgan-gp"}
    digits : Digits
        Training digits.
    steps : int, optional
        3,000 by default.
    seconds : float, optional
        Limit after which the training ends early; the result then depends on the clock.
    seed : int
        Seed of initial weights, batches, latents and the auxiliary classifier.
    checkpoint : Path, optional
        Folder from which an interrupted training continues.
    progress : callable, optional
        Called with the number of steps done since the last call.
    record : callable, optional
        Called regularly with the losses of `ConditionalGans.learn`.
    settings : GanSettings, optional
        Settings, whose loss is replaced; by default `DIGIT_SETTINGS`.
    """
    begin, begin_cpu = time.monotonic(), time.process_time()
    settings = (settings or GanSettings(**DIGIT_SETTINGS)).replace(loss=loss)
    budget = Budget(steps=steps, seconds=seconds)
    store = None
    if checkpoint is not None:
        training = {"digits": settings.model_dump(mode="json"), "steps": steps, "seconds": seconds, "seed": seed}
        store = Checkpoint.open(checkpoint, training)
    tracker = TrainingProgress(begin, STEPS, budget, progress, record, store)
    with one_thread():
        adversaries = ConditionalGans(settings, 1, (1, SIDE, SIDE), LABELS, seeded_generator(seed))
        if store is not None and (state := store.read()):
            adversaries.restore(state)
        consistency = _consistency(digits, seed) if loss == "conditional-wgan-gp" else None
        while tracker.spent < 1.0:
            # Every step has a stream of its own, so a training continues without any generator's state.
            stream = np.random.SeedSequence(seed, spawn_key=(tracker.step,)).generate_state(1, np.uint64)
            generator = torch.Generator().manual_seed(int(stream[0]))
            rows = digits.rows(torch.randint(len(digits.labels), (BATCH,), generator=generator))
            found = adversaries.learn(rows.images[None], one_hot(rows.labels)[None], generator, consistency)
            tracker.advance(1, partial(_measure, found))
            tracker.keep(adversaries.arrays)
        tracker.finish(adversaries.arrays)
    return DigitGenerator(loss, seed, tracker.step, time.process_time() - begin_cpu, adversaries)


def _measure(found: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}


def _consistency(digits: Digits, seed: int) -> Consistency:
    """Consistency loss of (19): cross-entropy of an auxiliary classifier on generated digits."""
    classifier = train_classifier(digits, steps=CLASSIFIER_STEPS, seed=seed, channels=8, augment=False)

    def consistency(made: Tensor, condition: Tensor) -> Tensor:
        return nn.functional.cross_entropy(classifier(made[0]), condition[0].argmax(dim=1))[None]

    return consistency


def image_grid(generators: Mapping[str, DigitGenerator], *, of_each_label: int = 2, seed: int = 3) -> Figure:
    """Draw digits of several generators: under the name of each, rows of the ten labels."""
    from matplotlib.figure import Figure

    labels = torch.arange(LABELS).repeat(of_each_label)
    figure = Figure(figsize=(6.4, 0.62 * len(generators) * of_each_label + 0.3), layout="constrained")
    axes = figure.subplots(len(generators), 1, squeeze=False)[:, 0]
    for place, (name, digit_generator) in zip(axes, generators.items(), strict=True):
        images = digit_generator(labels, seeded_generator(seed))[:, 0].view(of_each_label, LABELS, SIDE, SIDE)
        sheet = images.permute(0, 2, 1, 3).flatten(2).flatten(0, 1).numpy()
        place.imshow(sheet, cmap="gray_r", vmin=-1.0, vmax=1.0)
        place.set(xticks=[], yticks=[])
        place.set_title(name, fontsize=9)
    return figure
