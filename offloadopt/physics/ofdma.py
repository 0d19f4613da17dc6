"""A receiver's band, cut into subchannels that its transmitters share evenly."""

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
        Of all subchannels together.
    subchannels : int
    noise_w_per_hz : float
    """

    bandwidth_hz: float
    subchannels: int
    noise_w_per_hz: float

    def share_hz(self, transmitters: IntArray) -> FloatArray:
        """What each of so many transmitters gets: whole subchannels, 0 where they are too many."""
        each = self.subchannels // np.maximum(transmitters, 1)
        return np.asarray(each * (self.bandwidth_hz / self.subchannels))

    def rate(self, received_w: FloatArray, share_hz: FloatArray) -> FloatArray:
        """Bit/s of a received power over a positive share of the band."""
        return shannon_rate(share_hz, received_w / (self.noise_w_per_hz * share_hz))

    def success(self, received_w: FloatArray, share_hz: FloatArray, threshold: float) -> FloatArray:
        """Probability that the SINR of a Rayleigh-faded signal of this mean power exceeds ``threshold``."""
        return np.asarray(np.exp(-threshold * self.noise_w_per_hz * share_hz / received_w))
