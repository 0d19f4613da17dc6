"""Shared bands: whole subchannels, the capacity of a link, and the share of faded signals that get through."""

from __future__ import annotations

import math

import numpy as np
import pytest

from offloadopt.physics.ofdma import Band

BAND = Band(20e6, 10, 4e-21)


def test_subchannels_are_shared_evenly_and_rounded_down() -> None:
    share = BAND.share_hz(np.arange(13)) / 2e6
    assert share.tolist() == [10, 10, 5, 3, 2, 2, 1, 1, 1, 1, 1, 0, 0]


def test_the_rate_is_that_of_the_share_s_own_noise() -> None:
    for transmitters in (1, 3, 10):
        hertz = 2e6 * (10 // transmitters)
        rate = BAND.rate(np.array(1e-12), BAND.share_hz(np.array(transmitters)))
        assert rate == pytest.approx(hertz * math.log2(1 + 1e-12 / (4e-21 * hertz)))


def test_success_is_the_share_of_rayleigh_fading_above_the_threshold() -> None:
    rng = np.random.default_rng(0)
    amplitude = rng.standard_normal((200_000, 2)) / math.sqrt(2)
    power = np.sum(amplitude**2, axis=-1)  # of mean 1
    for received, share, threshold in ((1e-12, 20e6, 4.0), (1e-13, 2e6, 10.0), (5e-13, 6e6, 30.0)):
        heard = np.mean(power * received / (4e-21 * share) > threshold)
        chance = BAND.success(np.array(received), np.array(share), threshold)
        assert chance == pytest.approx(heard, abs=0.005)
        assert 0.05 < chance < 0.95
