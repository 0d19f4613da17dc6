"""Radio links: path loss, Shannon rate, and the transmit power of least cost per bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import lambertw

from offloadopt.core import FloatArray


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

    With ``u = 1 + g p`` the stationary point solves ``u (ln u - 1) = g w_t / w_e - 1``, so ``ln u - 1`` is the Lambert
    W function of ``(g w_t / w_e - 1) / e``. The cost is pseudo-convex, so ``p_max`` is optimal
    where the cost still falls there; testing this first also keeps the closed form from weak links, on which it loses
    precision.

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
    snr = g * power_max_w
    inner = energy_weight * (1.0 + snr) * np.log1p(snr) > g * (time_weight + energy_weight * power_max_w)
    ratio = g[inner] * time_weight / energy_weight if energy_weight > 0 else g[inner]
    log_u = 1.0 + lambertw((ratio - 1.0) / np.e).real  # type: ignore[call-overload]
    power[inner] = np.minimum(np.expm1(log_u) / g[inner], power_max_w)
    return power
