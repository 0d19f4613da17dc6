"""Dynamic voltage and frequency scaling: speed and power of CPU modes, and execution times under a deadline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.kernels import njit


@dataclass(frozen=True)
class Processor:
    """Speed and power of a processor's modes, the fastest first.

    Attributes
    ----------
    speed_hz : array [modes]
        Cycles per second of all cores together.
    power_w : array [modes]
        Power of the whole package in W, static part included.
    """

    speed_hz: FloatArray
    power_w: FloatArray

    @classmethod
    def scaled(cls, frequency_hz: Sequence[float], voltage_v: Sequence[float], cores: int, full_w: float) -> Self:
        """Build modes whose power is proportional to ``V^2 f``, with ``full_w`` in the first.

        A static part proportional to the dynamic one, ``(1 + a_s) a_d V^2 f``, is included for any share ``a_s``: only
        the product of the two factors matters, and ``full_w`` determines it.
        """
        frequency, voltage = np.asarray(frequency_hz, dtype=np.float64), np.asarray(voltage_v, dtype=np.float64)
        scale = voltage**2 * frequency
        return cls(cores * frequency, full_w * scale / scale[0])

    @property
    def fastest(self) -> Processor:
        """Processor with the fastest mode alone."""
        return Processor(self.speed_hz[:1], self.power_w[:1])


@njit(cache=True)
def execution_times(cycles: float, speed_hz: float, full_hz: float, slack_s: float) -> tuple[float, float]:
    """Compute the seconds in the chosen and in the fastest mode of a task that switches modes at its deadline.

    Parameters
    ----------
    cycles : float
        CPU cycles of the task.
    speed_hz, full_hz : float
        Cycles per second in the chosen and in the fastest mode.
    slack_s : float
        Time from the start of the execution to the deadline in s, negative where it has passed.
    """
    if speed_hz >= full_hz or cycles <= speed_hz * slack_s:
        return cycles / speed_hz, 0.0
    chosen_s = max(slack_s, 0.0)
    return chosen_s, (cycles - speed_hz * chosen_s) / full_hz
