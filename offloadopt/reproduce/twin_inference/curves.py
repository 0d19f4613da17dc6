"""Values read off training curves: settling step, roughness, and bytes per slot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from offloadopt.core import FloatArray
from offloadopt.reproduce.training import Json

WINDOW = 0.1
"""Share of a curve over which it is averaged."""
CLOSE = 0.05
"""Relative distance at which a running mean has settled."""


def running_mean(values: ArrayLike) -> FloatArray:
    """Moving mean over the last tenth of the curve up to each point; over fewer points at the beginning."""
    found = np.asarray(values, dtype=np.float64)
    width = max(1, round(WINDOW * len(found)))
    total = np.concatenate([[0.0], np.cumsum(found)])
    end = np.arange(1, len(found) + 1)
    begin = np.maximum(end - width, 0)
    return np.asarray((total[end] - total[begin]) / (end - begin))


def settling_step(steps: ArrayLike, values: ArrayLike) -> float:
    """First step from which the running mean stays within 5 % of its last value."""
    mean = running_mean(values)
    away = np.flatnonzero(np.abs(mean - mean[-1]) > CLOSE * abs(mean[-1]))
    first = int(away[-1]) + 1 if len(away) else 0
    return float(np.asarray(steps, dtype=np.float64)[first])


def first_near(steps: ArrayLike, costs: ArrayLike, level: float) -> float:
    """First step at which costs are at most 5 % above a level; one point past the end if they never are."""
    at = np.asarray(steps, dtype=np.float64)
    near = np.flatnonzero(np.asarray(costs, dtype=np.float64) <= level + CLOSE * abs(level))
    return float(at[near[0]] if len(near) else at[-1] + np.diff(at, prepend=0.0)[-1])


def roughness(values: ArrayLike) -> float:
    """Mean absolute change between neighbouring points over the mean level; 0 for a constant curve."""
    found = np.asarray(values, dtype=np.float64)
    level = float(np.abs(found).mean())
    return float(np.abs(np.diff(found)).mean()) / level if len(found) > 1 and level > 0 else 0.0


def bytes_per_slot(curve: Sequence[Json], users: int) -> dict[str, float]:
    """Bytes ``sent`` by and ``delivered`` to all agents per slot, over the second half of a training.

    This averages transmissions that are rare or absent at the beginning. A slot has a step of each user.
    """
    begin, end = curve[len(curve) // 2 - 1], curve[-1]
    slots = (end["step"] - begin["step"]) / users
    return {name: (end[name] - begin[name]) / slots for name in ("sent", "delivered")}


def exponent(sizes: ArrayLike, amounts: ArrayLike) -> float:
    """Fit the exponent ``p`` of ``amounts ~ sizes ** p`` by least squares on logarithms."""
    return float(np.polyfit(np.log(np.asarray(sizes, dtype=np.float64)), np.log(amounts), 1)[0])
