"""Algorithm 2: numbers in [0, 1] as levels, for an actor whose outputs are continuous and whose decisions are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, IntArray

Encoding = Literal["floor", "round", "none"]
ROUNDING = 1e-12


def levels_of(shares: NDArray[Any], levels: int, encoding: Literal["floor", "round"]) -> IntArray:
    """The levels 0 to ``levels - 1`` of shares in [0, 1], of the same shape.

    ``floor`` is Algorithm 2 to the letter, ``a' = floor(a / D)`` with ``D = 1 / (K - 1)``: its last level is reached
    at 1 alone, and a server's whole CPU, the whole task and the last server with it.
    """
    steps = np.asarray(shares, dtype=np.float64) * (levels - 1)
    # A level itself, computed as i / (K - 1), must not fall below its step by rounding.
    level = np.floor(steps + ROUNDING) if encoding == "floor" else np.rint(steps)
    return np.clip(level, 0, levels - 1).astype(np.int64)


class Quantiser:
    """Quantise an agent's numbers: each to its own number of levels, or not at all.

    Parameters
    ----------
    encoding : {"floor", "round", "none"}
        ``none`` leaves quantities as they are; a choice is then one of equally wide parts of [0, 1].
    levels : int
        Of a quantity, K.
    choices : sequence of int or None
        For each number how many options it chooses from; ``None`` for a quantity.
    """

    def __init__(self, encoding: Encoding, levels: int, choices: Sequence[int | None]) -> None:
        self.encoding: Encoding = encoding
        self.levels = [options or levels for options in choices]
        self._choices = list(choices)

    def quantise(self, shares: NDArray[Any]) -> FloatArray:
        """Quantise shares ``[..., numbers]`` to their levels, as shares of the same shape."""
        quantised = np.array(shares, dtype=np.float64)
        for number, (levels, options) in enumerate(zip(self.levels, self._choices, strict=True)):
            share = quantised[..., number]
            if self.encoding != "none":
                quantised[..., number] = levels_of(share, levels, self.encoding) / max(levels - 1, 1)
            elif options is not None:
                quantised[..., number] = np.minimum(np.floor(share * options), options - 1) / max(options - 1, 1)
        return quantised

    def imitation_targets(self, wanted: FloatArray) -> FloatArray:
        """Shares ``[..., numbers]`` in the middle of those that are quantised to the level nearest to ``wanted``.

        NaN stays NaN.
        """
        shares = np.array(wanted, dtype=np.float64)
        for number, (levels, options) in enumerate(zip(self.levels, self._choices, strict=True)):
            steps = np.rint(shares[..., number] * (levels - 1))
            if options is None:  # a small share is not none
                steps = np.where(shares[..., number] > 0, np.maximum(steps, 1), steps)
            if self.encoding == "round":
                shares[..., number] = steps / max(levels - 1, 1)
            elif self.encoding == "floor":
                shares[..., number] = np.minimum((steps + 0.5) / max(levels - 1, 1), 1.0)
            elif options is not None:
                shares[..., number] = (steps + 0.5) / options
        return shares
