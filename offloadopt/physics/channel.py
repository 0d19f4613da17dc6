"""Radio links: path loss, Shannon rate, and the transmit power of least cost per bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import lambertw

from offloadopt.core import FloatArray

WEAK, NEWTON_STEPS = 1e-3, 5
"""Ratios ``r`` of `cheapest_power` below which Newton's method is used, and its steps."""
SERIES_BELOW, SERIES_TERMS = 0.1, 18
"""Signal-to-noise ratios below which the condition of `cheapest_power` is summed as a series of so many terms."""


def from_db(decibel: ArrayLike) -> FloatArray:
    """Convert a value in dB to a linear power ratio."""
    return np.asarray(10.0 ** (np.asarray(decibel, dtype=np.float64) / 10.0))


def path_gain(distance_m: FloatArray, reference_gain_db: float, exponent: float) -> FloatArray:
    """Compute the linear power gain ``beta_0 d^-alpha``; distances below the reference of 1 m count as 1 m."""
    return np.asarray(from_db(reference_gain_db) * np.maximum(distance_m, 1.0) ** -exponent)


def shannon_rate(bandwidth_hz: ArrayLike, snr: FloatArray) -> FloatArray:
    """Compute the Shannon rate ``B log2(1 + snr)`` in bit/s."""
    return np.asarray(np.asarray(bandwidth_hz) * np.log1p(snr) / np.log(2.0))


def cheapest_power(
    snr_per_watt: FloatArray, time_weight: float, energy_weight: float, power_max_w: float
) -> FloatArray:
    """Compute the transmit power in W that minimises ``(w_t + w_e p) / log2(1 + g p)`` over ``0 < p <= p_max``.

    With ``x = g p`` the stationary point solves ``(1 + x) ln(1 + x) - x = r``, ``r = g w_t / w_e``, so that ``ln(1 + x)
    - 1`` is the Lambert W function of ``(r - 1) / e``; near its branch point, where that loses its digits, Newton's
    method finds ``x`` from ``sqrt(2 r)``. The cost is pseudo-convex, so ``p_max`` is optimal where the cost still falls
    there.

    Parameters
    ----------
    snr_per_watt : array
        ``g = h / (N0 B)`` in 1/W, any shape; 0 marks a missing link (its power is ``p_max``).
    time_weight, energy_weight : float
        Cost of a second and of a joule.
    power_max_w : float
    """
    g = np.asarray(snr_per_watt, dtype=np.float64)
    power = np.full(g.shape, power_max_w)
    if energy_weight == 0:
        return power
    ratio = g * time_weight / energy_weight
    inner = _stationarity(g * power_max_w) > ratio
    ratio = ratio[inner]
    snr = np.asarray(np.expm1(1.0 + lambertw((ratio - 1.0) / np.e).real))  # type: ignore[call-overload]
    weak = ratio < WEAK
    if weak.any():
        x = np.sqrt(2.0 * ratio[weak])
        for _ in range(NEWTON_STEPS):
            x -= (_stationarity(x) - ratio[weak]) / np.log1p(x)
        snr[weak] = x
    power[inner] = np.minimum(snr / g[inner], power_max_w)
    return power


def _stationarity(x: FloatArray) -> FloatArray:
    """Compute ``(1 + x) ln(1 + x) - x``, for small ``x`` by its series ``x^2/2 - x^3/6 + x^4/12 - ...``."""
    found = np.asarray((1.0 + x) * np.log1p(x) - x)
    small = x < SERIES_BELOW
    if small.any():
        near = x[small]
        series = np.zeros_like(near)
        for n in range(SERIES_TERMS, 1, -1):
            series = (-1.0) ** n / (n * (n - 1)) + near * series
        found[small] = near * near * series
    return found
