"""Helpers for torch: seeded generators, thread limits, losses, target networks, gradient clipping, named arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as safetensors_bytes
from torch import Tensor, nn

from offloadopt.errors import DamagedFile
from offloadopt.formats.reading import digest, read_bytes

Arrays = dict[str, NDArray[Any]]
"""Named arrays: weights, optimiser moments, replay contents."""


def seeded_generator(seed: int) -> torch.Generator:
    """Create a torch generator from a seed of any size."""
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread: networks this small gain nothing from two, and lose much where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def polyak_update(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Soft target update of all parameters: ``target <- target + rate (source - target)``."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)


def squared_or_huber(error: Tensor, huber_delta: float | None) -> Tensor:
    """Huber loss of each error; without ``huber_delta`` half its square."""
    if huber_delta is None:
        return 0.5 * error.square()
    return nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=huber_delta)


def with_prefix(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    """Select the arrays whose names begin with ``prefix.`` and remove it from their names."""
    return {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}


def encode_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Encode arrays as safetensors, in the order of their names."""
    return safetensors_bytes({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)})


def read_arrays(path: Path, sha256: str, index: str) -> Arrays:
    """Read a safetensors file; raise `DamagedFile` if it does not match the SHA-256 that the file ``index`` holds."""
    data = read_bytes(path)
    if digest(data) != sha256:
        raise DamagedFile(f"{path} is damaged: its SHA-256 is not the one in {index}")
    try:
        arrays: Arrays = parse_safetensors(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise DamagedFile(f"{path} cannot be read as safetensors: {error}") from None
    return arrays


def clip_gradients_per_copy(gradients: Sequence[Tensor], max_norm: float) -> None:
    """Scale each copy's gradient, given as arrays ``[copies, ...]``, to a Euclidean norm of at most ``max_norm``."""
    squares = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in gradients])
    factor = max_norm / squares.sum(dim=0).sqrt().clamp(min=max_norm)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
