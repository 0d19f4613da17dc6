"""Processors whose frequency and voltage are scaled together, and what a deadline makes of a chosen mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit

from offloadopt.core import FloatArray


@dataclass(frozen=True)
class Processor:
    """What each mode of a processor does, the fastest first.

    Attributes
    ----------
    speed_hz : array [modes]
        Cycles per second of all cores together.
    power_w : array [modes]
        Of the whole package, static part included.
    """

    speed_hz: FloatArray
    power_w: FloatArray

    @classmethod
    def scaled(cls, frequency_hz: Sequence[float], voltage_v: Sequence[float], cores: int, full_w: float) -> Self:
        """Modes whose power is proportional to ``V^2 f``, with ``full_w`` in the first.

        A static part that is proportional to the dynamic one, ``(1 + a_s) a_d V^2 f``, is in there whatever its share
        ``a_s``: only the product of the two factors counts, and ``full_w`` sets it.
        """
        frequency, voltage = np.asarray(frequency_hz, dtype=np.float64), np.asarray(voltage_v, dtype=np.float64)
        scale = voltage**2 * frequency
        return cls(cores * frequency, full_w * scale / scale[0])

    @property
    def fastest(self) -> Processor:
        """The same processor without a choice."""
        return Processor(self.speed_hz[:1], self.power_w[:1])


@njit(cache=True)
def hurry(cycles: float, speed_hz: float, full_hz: float, slack_s: float) -> tuple[float, float]:
    """Seconds at the chosen and at full speed of a task that is hurried once its deadline has passed.

    Parameters
    ----------
    cycles : float
    speed_hz, full_hz : float
        Cycles per second in the chosen and in the fastest mode.
    slack_s : float
        From the start of the execution to the deadline, negative where it has passed.
    """
    if speed_hz >= full_hz or cycles <= speed_hz * slack_s:
        return cycles / speed_hz, 0.0
    chosen_s = max(slack_s, 0.0)
    return chosen_s, (cycles - speed_hz * chosen_s) / full_hz
