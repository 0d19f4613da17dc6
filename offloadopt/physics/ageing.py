"""Cycle ageing of a lithium-ion battery: share of its life consumed by a sequence of discharges.

Millner: "Modeling lithium ion battery degradation in electric vehicles", IEEE CITRES 2010, in the form that Valentini,
Dang, Levorato, Bozorgzadeh: "Modeling and control battery aging in energy harvesting systems", IEEE SmartGridComm 2015,
give it: at the reference temperature and without calendar ageing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offloadopt.core import FloatArray


@dataclass(frozen=True)
class Ageing:
    """Ageing model of a battery: Millner's stress factors and their constants.

    Attributes
    ----------
    per_cycle : float
        ``K_co``, the share of the battery's life consumed by one effective full cycle.
    deviation : float
        ``K_ex``, the scale of the normalised deviation of the state of charge.
    level : float
        ``K_soc``, the exponent by which ageing grows with the mean state of charge.
    """

    per_cycle: float
    deviation: float
    level: float

    def damage(self, start: FloatArray, used: FloatArray, seconds: FloatArray) -> FloatArray:
        """Compute the share of the battery's life ``[...]`` consumed by a sequence of discharges.

        Between two changes of power the state of charge falls linearly, and its mean over that piece is used. An
        effective cycle moves the whole capacity twice: ``I tau / (2 Q)`` is half the share of the capacity that is
        used.

        Parameters
        ----------
        start : array [...]
            State of charge at the beginning, as a share of the capacity.
        used : array [..., pieces]
            Share of the capacity drawn in each piece, 0 while the battery is idle.
        seconds : array [..., pieces]
            Durations of the pieces in s.
        """
        level = start[..., None] - np.cumsum(used, axis=-1) + used / 2.0
        total = seconds.sum(axis=-1)
        share = seconds / np.where(total > 0, total, 1.0)[..., None]
        mean = np.sum(level * share, axis=-1)  # (12)
        deviation = 2.0 * np.sqrt(3.0 * np.sum((level - mean[..., None]) ** 2 * share, axis=-1))  # (13)
        cycles = used.sum(axis=-1) / 2.0  # (14)
        stress = np.exp((deviation - 1.0) / self.deviation) * np.exp(4.0 * self.level * (mean - 0.5))
        return np.asarray(self.per_cycle * cycles * stress)  # (15)
