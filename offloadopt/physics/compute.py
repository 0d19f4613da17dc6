"""Processors: power at a clock frequency, and optimal CPU shares of tasks on one server."""

from __future__ import annotations

import numpy as np

from offloadopt.core import FloatArray


def cpu_power(cpu_hz: FloatArray | float, kappa: float, exponent: float) -> FloatArray:
    """Compute the power in W of a CPU at ``f`` cycles/s: ``kappa f^v`` (kappa in W s^v)."""
    return np.asarray(kappa * np.asarray(cpu_hz, dtype=np.float64) ** exponent)


def root_share(load: FloatArray, total_load: FloatArray, capacity_hz: FloatArray) -> FloatArray:
    """Compute shares ``F s_i / sum_k s_k`` in cycles/s, the KKT point of ``min sum s_i^2 / f_i``, ``sum f_i <= F``."""
    return np.asarray(np.divide(capacity_hz * load, total_load, out=np.zeros_like(load), where=total_load > 0))
