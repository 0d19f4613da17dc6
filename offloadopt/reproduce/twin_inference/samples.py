"""Measurements of generators: digits under four losses, and smaller data sets under the paper's loss.

Generators are conditional StyleGANs (`ConditionalGans`). A step updates generator and critic on 64 samples. The
condition is the label; ``conditional-wgan-gp`` adds, (19), the cross-entropy of an auxiliary classifier that is trained
on the same samples and is not the judge. Samples are drawn with the generator's averaged weights.
"""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.reproduce.training import Json
from offloadopt.reproduce.twin_inference.data_sets import IMAGES, MNIST, Samples, load

if TYPE_CHECKING:
    import torch

    from offloadopt.learners.maddpg_cgan.gan import ConditionalGans

PAPER_LOSS = "conditional-wgan-gp"
BATCH = 64
CLASSIFIER_STEPS = 400
"""Training steps of the auxiliary classifier of digits."""
IMAGE_SETTINGS: Mapping[str, Any] = {
    "width": 32,
    "latent": 32,
    "gradient_weight": 10.0,
    "penalty_share": 0.5,
    "generator_rate": 1e-3,
    "critic_rate": 2e-3,
    "average": 0.99,
}
"""Settings of `GanSettings` that differ from the defaults, which are for vectors."""
SHOWN = 2
"""Digits of each label in the picture."""


def one_hot(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Conditions ``[1, rows, count]`` of labels, for one copy of the networks."""
    import torch

    return torch.nn.functional.one_hot(labels, count).float()[None]


def train_generator(
    train: Samples,
    settings: Mapping[str, Any],
    streams: Iterable[torch.Generator],
    seed: int,
    auxiliary: torch.nn.Module | None,
) -> ConditionalGans:
    """Train a conditional generator, a step with each of the random streams.

    Parameters
    ----------
    train : Samples
    settings : mapping
        Of `GanSettings`.
    streams : iterable of Generator
    seed : int
        Of the initial weights.
    auxiliary : Module, optional
        Classifier whose cross-entropy on generated samples is the consistency loss.
    """
    import torch

    from offloadopt.learners.common.torch_utils import seeded_generator
    from offloadopt.learners.maddpg_cgan.gan import ConditionalGans, GanSettings
    from offloadopt.reproduce.twin_inference.judges import tensors

    values, targets = tensors(train)
    labels = int(targets.max()) + 1
    adversaries = ConditionalGans(GanSettings(**settings), 1, values.shape[1:], labels, seeded_generator(seed))

    def consistency(made: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(auxiliary(made[0]), condition[0].argmax(dim=1))[None]  # type: ignore[misc]

    for generator in streams:
        rows = torch.randint(len(targets), (BATCH,), generator=generator)
        condition = one_hot(targets[rows], labels)
        adversaries.learn(values[rows][None], condition, generator, None if auxiliary is None else consistency)
    return adversaries


def generate_digits(loss: str, steps: int, judge_steps: int, rounds: int, seed: int) -> Json:
    """Train a generator of MNIST digits under a loss, and score its digits by an independent classifier.

    The result has the share of digits with the requested label (``made``), their diversity and share of copies, the
    judge's accuracy and area under the curve on held-out real digits, and some of the digits as bytes from 0 to 255.
    """
    import torch

    from offloadopt.learners.common.torch_utils import one_thread, seeded_generator
    from offloadopt.reproduce.twin_inference import judges

    train, held_out = load(MNIST, seed)
    with one_thread():
        judge = judges.Judge(train, held_out, steps=judge_steps, seed=1_000 + seed)
        begin_cpu = time.process_time()
        auxiliary = None
        if loss == PAPER_LOSS:
            auxiliary = judges.digit_classifier(train, steps=CLASSIFIER_STEPS, seed=seed, channels=8, augment=False)
        streams = (judges.numbered_generator(seed, step) for step in range(steps))
        adversaries = train_generator(train, {**IMAGE_SETTINGS, "loss": loss}, streams, seed, auxiliary)
        spent = time.process_time() - begin_cpu

        def make(labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            pieces = (one_hot(piece, judges.LABELS) for piece in labels.split(500))
            return torch.cat([adversaries.sample(piece, generator)[0] for piece in pieces])

        scores = judge.scores(make, seed=2_000 + seed, rounds=rounds)
        real, labels = judges.tensors(held_out)
        shares = judge.classifier(real).softmax(dim=1).numpy()
        shown = make(torch.arange(judges.LABELS).repeat(SHOWN), seeded_generator(3_000 + seed))[:, 0]
    ink = ((shown.numpy() + 1.0) * 127.5).round().clip(0, 255).astype(np.uint8)
    return {
        **scores,
        "judge": judge.accuracy,
        "auc": judges.area_under_curve(shares, labels.numpy()),
        "samples": len(train.labels) + len(held_out.labels),
        "labels": judges.LABELS,
        "cpu_seconds": spent,
        "picture": base64.b64encode(ink.tobytes()).decode(),
    }


def picture(text: str) -> NDArray[np.uint8]:
    """Decode the digits of `generate_digits` into one image, with a row for each copy."""
    ink = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    side = round((len(ink) / (SHOWN * 10)) ** 0.5)
    return ink.reshape(SHOWN, 10, side, side).transpose(0, 2, 1, 3).reshape(SHOWN * side, 10 * side)


def make_samples(name: str, steps: int, seed: int) -> Json:
    """Train a conditional generator of a data set, and score its samples by an independent classifier.

    As many samples are generated as are held out, with the same labels.
    """
    from offloadopt.learners.common.torch_utils import one_thread, seeded_generator
    from offloadopt.reproduce.twin_inference import judges

    train, held_out = load(name, seed)
    labels = int(train.labels.max()) + 1
    with one_thread():
        judge, auxiliary = (judges.vector_classifier(train, labels, 1_000 * number + seed) for number in (1, 2))
        generator = seeded_generator(3_000 + seed)
        settings = IMAGE_SETTINGS if name == IMAGES else {}
        adversaries = train_generator(train, settings, itertools.repeat(generator, steps), seed, auxiliary)
        real, requested = judges.tensors(held_out)
        made = adversaries.sample(one_hot(requested, labels), generator)[0]
        shares = judge(real).softmax(dim=1).numpy()
        spread = [np.mean(judges.spread(batch.flatten(1), requested).tolist()) for batch in (made, real)]
        recognised = [judges.accuracy(judge, batch, requested) for batch in (real, made)]
    return {
        "judge": recognised[0],
        "auc": judges.area_under_curve(shares, held_out.labels),
        "made": recognised[1],
        "diversity": float(spread[0] / spread[1]),
        "samples": len(train.labels) + len(held_out.labels),
        "labels": labels,
    }
