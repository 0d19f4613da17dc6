"""Multi-user MIMO uplink: SINR of single-antenna users after linear detection at an antenna array.

Channels are complex arrays ``[..., users, antennas]`` of amplitude gains: row u is the transpose of ``h_u``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray
from offloadopt.kernels import njit

Channel = NDArray[np.complex128]

LARGEST_AMPLITUDE = 1e6
"""Largest amplitude of noise relative to that received from a user: weaker users disturb nobody."""
LEAST_RESIDUAL = 1e-13
"""Part of a channel outside the span of others', relative to its norm, below which it counts as linearly dependent."""
ACCURATE_RESIDUAL = 1e-6
"""The same part of the squared norm below which factors of the Gram matrix have lost too many digits."""


SLOPE_STEP = 1e-5
"""Step of difference quotients, relative to the largest power."""


@dataclass(frozen=True)
class Uplink:
    """Channels of users that disturb each other, and their linear detector, in one or many slots.

    Attributes
    ----------
    detector : {"zero-forcing", "mmse", "mrc"}
    channel, estimate : arrays [..., users, antennas]
        The true channel, and the receiver's estimate of it.
    noise_w : float
        Noise power at each antenna in W.
    """

    detector: str
    channel: Channel
    estimate: Channel
    noise_w: float

    def take(self, index: Any) -> Self:
        """Select slots by an index into the arrays."""
        return type(self)(self.detector, self.channel[index], self.estimate[index], self.noise_w)

    def sinr(self, power_w: FloatArray) -> FloatArray:
        """Compute every user's SINR at powers in W ``[..., users]``; see `detected_sinr`."""
        return detected_sinr(self.detector, self.channel, self.estimate, power_w, self.noise_w)

    def gain_per_w(self, power_w: FloatArray) -> FloatArray:
        """Compute every user's SINR per watt of its own power while the others send at ``power_w [..., users]``.

        The SINR is proportional to the own power: it does not change the direction of the user's own weights.
        """
        users = np.shape(power_w)[-1]
        own = np.where(np.eye(users, dtype=np.bool_), 1.0, np.asarray(power_w)[..., None, :])
        return np.diagonal(self._for_each_user.sinr(own), axis1=-2, axis2=-1).copy()

    def rate_slopes(self, power_w: FloatArray) -> FloatArray:
        """Compute ``d ln(1 + SINR_j) / d p_u`` in 1/W at powers ``[..., users]``; array ``[..., users u, users j]``.

        By difference quotients, as the powers change the weights too.
        """
        step = SLOPE_STEP * np.max(power_w, initial=1e-6)
        more = np.asarray(power_w)[..., None, :] + step * np.eye(np.shape(power_w)[-1])
        before = np.log1p(self.sinr(power_w))[..., None, :]
        return np.asarray((np.log1p(self._for_each_user.sinr(more)) - before) / step)

    @property
    def _for_each_user(self) -> Self:
        """The same channels with an axis of users before the last two, for powers ``[..., users, users]``."""
        users = self.channel.shape[-2]
        shape = (*self.channel.shape[:-2], users, *self.channel.shape[-2:])
        channel, estimate = (np.broadcast_to(a[..., None, :, :], shape) for a in (self.channel, self.estimate))
        return type(self)(self.detector, channel, estimate, self.noise_w)

    @property
    def seen_channel(self) -> Channel:
        """The true channel in the span of the estimates, which holds all detectors' weights.

        Array ``[..., users, dimensions]``, with as many dimensions as users or antennas, whichever are fewer.
        """
        basis, _ = np.linalg.qr(np.swapaxes(self.estimate, -1, -2))
        return np.asarray(self.channel @ basis.conj())


def zero_forcing_gain(channel: Channel, noise_w: float) -> FloatArray:
    """Compute the SINR per watt after zero forcing, ``1 / (noise [(H^H H)^-1]_uu)`` in 1/W.

    Parameters
    ----------
    channel : array [..., users, antennas]
        Channel, known to the receiver without error.
    noise_w : float
        Noise power at each antenna in W.

    Returns
    -------
    array [..., users]
        0 for users whose channels are linearly dependent on others', which cannot be separated.
    """
    users, antennas = channel.shape[-2:]
    flat = np.ascontiguousarray(channel).reshape(-1, users, antennas)
    gain = np.empty(flat.shape[:2])
    _zero_forcing(flat, gain)
    return np.asarray(gain.reshape(channel.shape[:-1]) / noise_w)


def detected_sinr(
    detector: str, channel: Channel, estimate: Channel, power_w: FloatArray, noise_w: float
) -> FloatArray:
    """Compute every user's SINR after linear detection with weights ``w_u`` from the channel estimate.

    ``psi_u = p_u |w_u^H h_u|^2 / (sum_{j != u} p_j |w_u^H h_j|^2 + noise |w_u|^2)``; the weights are ``h_u`` (maximum
    ratio combining, ``mrc``), the rows of the pseudo-inverse (``zero-forcing``), or ``(sum_j p_j h_j h_j^H + noise
    I)^-1 h_u`` (``mmse``, which knows the powers).

    Parameters
    ----------
    detector : {"zero-forcing", "mmse", "mrc"}
    channel, estimate : arrays [..., users, antennas]
        The true channel, and the receiver's estimate of it.
    power_w : array [..., users]
    noise_w : float

    Returns
    -------
    array [..., users]
    """
    if detector == "mrc":
        weights = estimate
    else:
        weights = _linear_weights(estimate, power_w, noise_w if detector == "mmse" else 0.0)
    heard = np.abs(weights.conj() @ np.swapaxes(channel, -1, -2)) ** 2 * power_w[..., None, :]
    wanted = np.diagonal(heard, axis1=-2, axis2=-1)
    others = np.sum(heard * ~np.eye(heard.shape[-1], dtype=np.bool_), axis=-1)
    noise = noise_w * np.sum(np.abs(weights) ** 2, axis=-1)
    return np.asarray(wanted / np.maximum(others + noise, np.finfo(float).tiny))


def _linear_weights(estimate: Channel, power_w: FloatArray, noise_w: float) -> Channel:
    """Compute the weights ``[..., users, antennas]`` of MMSE, or of zero forcing where ``noise_w`` is 0.

    With the channels' unit vectors as the columns of ``U``, the weights are ``U (U^H U + D)^-1`` with ``D_uu = noise /
    (p_u |h_u|^2)``, up to a factor for each user, which no SINR depends on. The inverse follows from the QR
    factorisation of ``U`` above ``sqrt(D)``: in this form the Gram matrix, which squares the condition number, and the
    users' different powers cost no digits.
    """
    norm = np.sqrt(np.sum(np.abs(estimate) ** 2, axis=-1))
    with np.errstate(divide="ignore"):
        amplitude = np.sqrt(noise_w) / (np.sqrt(power_w) * norm) if noise_w > 0 else np.zeros(norm.shape)
    columns = np.swapaxes(estimate / np.maximum(norm, np.finfo(float).tiny)[..., None], -1, -2)
    users, antennas = columns.shape[-1], columns.shape[-2]
    below = np.minimum(amplitude, LARGEST_AMPLITUDE)[..., None] * np.eye(users)
    orthogonal, upper = np.linalg.qr(np.concatenate([columns, below], axis=-2))
    diagonal = np.abs(np.diagonal(upper, axis1=-2, axis2=-1))
    if (diagonal <= LEAST_RESIDUAL).any():  # linearly dependent channels without noise in the way
        return np.asarray(np.linalg.pinv(columns).conj(), dtype=np.complex128)
    inverse = np.linalg.solve(np.swapaxes(upper, -1, -2).conj(), np.broadcast_to(np.eye(users), upper.shape))
    return np.asarray(np.swapaxes(orthogonal[..., :antennas, :] @ inverse, -1, -2), dtype=np.complex128)


@njit(cache=True)
def _zero_forcing(channel: Any, gain: Any) -> None:
    """Compute diagonals of the inverse Gram matrices by Cholesky factorisation: ``[G^-1]_uu = sum_i |[L^-1]_iu|^2``."""
    count, users, antennas = channel.shape
    lower = np.zeros((users, users), dtype=np.complex128)
    inverse = np.zeros((users, users), dtype=np.complex128)
    for row in range(count):
        inaccurate = False
        for i in range(users):
            for j in range(i + 1):
                dot = 0.0j
                for n in range(antennas):
                    dot += channel[row, i, n] * channel[row, j, n].conjugate()
                whole = dot.real
                for k in range(j):
                    dot -= lower[i, k] * lower[j, k].conjugate()
                if i > j:
                    lower[i, j] = dot / lower[j, j] if lower[j, j] != 0 else 0.0
                else:
                    # Part of the channel outside the span of those before.
                    inaccurate = inaccurate or dot.real <= ACCURATE_RESIDUAL * whole
                    lower[i, i] = np.sqrt(max(dot.real, 0.0))
        for u in range(users):
            if inaccurate:
                gain[row, u] = _residual_power(channel[row], u)
                continue
            total = 0.0
            for i in range(u, users):
                if i == u:
                    inverse[u, u] = 1.0 / lower[u, u]
                else:
                    dot = 0.0j
                    for k in range(u, i):
                        dot -= lower[i, k] * inverse[k, u]
                    inverse[i, u] = dot / lower[i, i]
                total += inverse[i, u].real ** 2 + inverse[i, u].imag ** 2
            gain[row, u] = 1.0 / total


@njit(cache=True)
def _residual_power(channel: Any, user: int) -> float:
    """Compute the squared norm of a user's channel outside the others' span, by Gram-Schmidt orthogonalisation.

    This is ``1 / [G^-1]_uu`` where the inverse exists, and remains valid where other users are linearly dependent.
    """
    users, antennas = channel.shape
    basis = np.zeros((users, antennas), dtype=np.complex128)
    kept, left = 0, 0.0
    for turn in range(users):
        last = turn == users - 1
        rest = channel[user if last else users - 1 if turn == user else turn].copy()
        whole = np.sum(np.abs(rest) ** 2)
        for _ in range(2):  # twice, as the first pass loses precision
            for k in range(kept):
                rest -= basis[k] * np.sum(basis[k].conjugate() * rest)
        left = np.sum(np.abs(rest) ** 2)
        if left <= 1e-13 * whole:
            left = 0.0
        if last:
            break
        if left > 0.0:
            basis[kept] = rest / np.sqrt(left)
            kept += 1
    return left


@njit(cache=True)
def fill_rayleigh_fading(rng: Any, values: Any, correlation: float, amplitude: Any) -> None:
    """Fill ``values [count, horizon, users, numbers]`` with real parts of Rayleigh fading: normal AR(1) series.

    ``h(t) = rho h(t-1) + sqrt(1 - rho^2) e(t)`` on the unit scale, times ``amplitude [count, horizon, users]``. The
    random numbers are those of ``rng.standard_normal(values.shape)``.
    """
    count, horizon, users, numbers = values.shape
    fresh = np.sqrt(1.0 - correlation**2)
    for row in range(count):
        for slot in range(horizon):
            for user in range(users):
                for n in range(numbers):
                    drawn = rng.standard_normal()
                    if slot > 0:
                        drawn = fresh * drawn + correlation * values[row, slot - 1, user, n]
                    values[row, slot, user, n] = drawn
        for slot in range(horizon):
            for user in range(users):
                for n in range(numbers):
                    values[row, slot, user, n] *= amplitude[row, slot, user]
