"""Small helpers around torch: one thread, seeded generators, losses and target updates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


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
