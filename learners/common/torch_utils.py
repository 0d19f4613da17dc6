"""Small helpers around torch: one thread, seeded generators, losses and target updates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offloadopt.core import (
    Outcome,
)

Arrays = dict[str, NDArray[Any]]
"""Named arrays: weights, optimiser moments, replay contents."""


def seeded_generator(seed: int) -> torch.Generator:
    """Torch's source of randomness for a seed."""
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch on one thread: networks this small gain nothing from two, and lose much where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Move all weights of ``target`` a share ``rate`` of the way to those of ``source``."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)


def loss_of(error: Tensor, huber_delta: float | None) -> Tensor:
    """[agents] mean of half the squared errors ``[rows, agents]``, linear beyond ``huber_delta``."""
    if huber_delta is None:
        return 0.5 * error.square().mean(dim=0)
    return nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=huber_delta).mean(dim=0)


def episode_means(
    outcomes: Sequence[Outcome], measured: Mapping[str, Tensor], told: Mapping[str, float]
) -> dict[str, float]:
    """What is recorded at episodes' ends: mean cost and metrics, what was measured in learning, what passed."""
    total = Outcome.total(outcomes)
    means = {name: float(values.mean()) for name, values in {"cost": total.cost, **total.metrics}.items()}
    return {**means, **{name: float(value) for name, value in measured.items()}, **told}


def below(arrays: Mapping[str, NDArray[Any]], kind: str) -> Arrays:
    """The arrays whose names begin with ``kind.``, without that beginning."""
    return {name.removeprefix(f"{kind}."): array for name, array in arrays.items() if name.startswith(f"{kind}.")}


def clip_by_copy(gradients: Sequence[Tensor], longest: float) -> None:
    """Shorten each copy's gradient, spread over arrays ``[copies, ...]``, to at most this length."""
    squares = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in gradients])
    factor = (longest / squares.sum(dim=0).sqrt().clamp(min=longest)).view(-1, 1, 1)
    for gradient in gradients:
        gradient.mul_(factor)
