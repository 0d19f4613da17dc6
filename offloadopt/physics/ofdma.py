"""OFDMA band of a receiver, whose subchannels are shared equally among its transmitters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.channel import shannon_rate


@dataclass(frozen=True)
class Band:
    """Equal subchannels with white noise.

    Attributes
    ----------
    bandwidth_hz : float
        Bandwidth of all subchannels together in Hz.
    subchannels : int
        Number of subchannels.
    noise_w_per_hz : float
        Noise power density in W/Hz.
    """

    bandwidth_hz: float
    subchannels: int
    noise_w_per_hz: float

    def share_hz(self, transmitters: IntArray) -> FloatArray:
        """Compute the band in Hz of each of so many transmitters: whole subchannels, 0 where they are too many."""
        each = self.subchannels // np.maximum(transmitters, 1)
        return np.asarray(each * (self.bandwidth_hz / self.subchannels))

    def rate(self, received_w: FloatArray, share_hz: FloatArray) -> FloatArray:
        """Compute the rate in bit/s of a received power in W over a positive share of the band."""
        return shannon_rate(share_hz, received_w / (self.noise_w_per_hz * share_hz))

    def success(self, received_w: FloatArray, share_hz: FloatArray, threshold: float) -> FloatArray:
        """Compute the probability that the SNR of a Rayleigh-faded signal of this mean power exceeds ``threshold``."""
        return np.asarray(np.exp(-threshold * self.noise_w_per_hz * share_hz / received_w))
