"""Linear detection against plain linear algebra, user by user."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.physics.mimo import Uplink, detected_sinr, fill_rayleigh_fading, zero_forcing_gain

NOISE_W = 1e-9


def rayleigh(shape: tuple[int, ...], seed: int = 0, scale: float = 1e-9) -> np.ndarray:
    """Channels of mean power ``scale``."""
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, *shape)) * np.sqrt(scale / 2)
    return np.asarray(parts[0] + 1j * parts[1])


@pytest.mark.parametrize(("users", "antennas"), [(1, 1), (1, 4), (3, 4), (5, 8), (8, 8)])
def test_the_zero_forcing_gain_is_the_pseudo_inverse_s(users: int, antennas: int) -> None:
    channel = rayleigh((6, 2, users, antennas), seed=users)
    channel *= np.logspace(-4, 2, users)[:, None]  # near and far
    gain = zero_forcing_gain(channel, NOISE_W)
    for index in np.ndindex(6, 2):
        columns = channel[index].T
        rows = np.linalg.pinv(columns, rcond=1e-14)
        np.testing.assert_allclose(gain[index], 1 / (NOISE_W * np.sum(np.abs(rows) ** 2, axis=1)), rtol=1e-7)
        if users <= 3:
            inverse = np.linalg.inv(columns.conj().T @ columns)
            np.testing.assert_allclose(gain[index], 1 / (NOISE_W * np.diag(inverse).real), rtol=1e-6)


def test_one_user_alone_gets_all_its_antennas_power() -> None:
    channel = rayleigh((10, 1, 4))
    np.testing.assert_allclose(
        zero_forcing_gain(channel, NOISE_W)[:, 0], np.sum(np.abs(channel[:, 0]) ** 2, axis=-1) / NOISE_W, rtol=1e-12
    )


def test_users_that_nothing_tells_apart_get_nothing_and_the_others_what_is_theirs() -> None:
    channel = rayleigh((4, 6))
    channel[3] = (2 - 1j) * channel[1]  # in the same direction
    gain = zero_forcing_gain(channel, NOISE_W)
    assert gain[[1, 3]].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(gain[[0, 2]], zero_forcing_gain(channel[:3], NOISE_W)[[0, 2]], rtol=1e-12)

    channel = rayleigh((3, 4))
    channel[1] = 0.0  # a user that is not there disturbs nobody
    gain = zero_forcing_gain(channel, NOISE_W)
    np.testing.assert_allclose(gain[[0, 2]], zero_forcing_gain(channel[[0, 2]], NOISE_W), rtol=1e-12)
    assert gain[1] == 0.0

    assert zero_forcing_gain(rayleigh((3, 2)), NOISE_W).tolist() == [0.0, 0.0, 0.0]  # more users than antennas


@pytest.mark.parametrize("detector", ["zero-forcing", "mmse", "mrc"])
def test_the_sinr_is_that_of_the_detector_s_weights(detector: str) -> None:
    channel, error = rayleigh((5, 3, 4)), rayleigh((5, 3, 4), seed=1, scale=1e-10)
    estimate, power_w = channel + error, np.random.default_rng(2).uniform(0, 2, (5, 3))
    sinr = detected_sinr(detector, channel, estimate, power_w, NOISE_W)
    for row in range(5):
        h, known, p = channel[row], estimate[row], power_w[row]
        received = NOISE_W * np.eye(4) + sum(p[j] * np.outer(known[j], known[j].conj()) for j in range(3))
        for u in range(3):
            if detector == "mrc":
                weights = known[u]
            elif detector == "mmse":
                weights = np.linalg.inv(received) @ known[u]
            else:
                weights = np.linalg.pinv(known.T)[u].conj()
            signal = p[u] * abs(np.vdot(weights, h[u])) ** 2
            others = sum(p[j] * abs(np.vdot(weights, h[j])) ** 2 for j in range(3) if j != u)
            assert sinr[row, u] == pytest.approx(signal / (others + NOISE_W * np.vdot(weights, weights).real), rel=1e-9)


def test_two_users_and_two_antennas_by_hand() -> None:
    # h_1 = (1, 0), h_2 = (1, 1): maximum ratio combining hears the other through the common antenna.
    channel = np.array([[1.0, 0.0], [1.0, 1.0]], dtype=complex)
    power_w, noise_w = np.array([2.0, 3.0]), 0.5
    mrc = detected_sinr("mrc", channel, channel, power_w, noise_w)
    assert mrc == pytest.approx([2 / (3 + 0.5), 3 * 4 / (2 * 1 + 0.5 * 2)])
    # Zero forcing: weights (1, -1) and (0, 1).
    assert zero_forcing_gain(channel, noise_w) == pytest.approx([1 / (0.5 * 2), 1 / 0.5])


def test_zero_forcing_of_channels_that_depend_on_each_other_uses_the_pseudo_inverse_of_their_directions() -> None:
    channel, power_w = rayleigh((3, 5), seed=7), np.array([1.0, 0.5, 2.0])
    channel[2] = (1 + 2j) * channel[0]
    weights = np.linalg.pinv((channel / np.linalg.norm(channel, axis=1)[:, None]).T).conj()
    heard = np.abs(weights.conj() @ channel.T) ** 2 * power_w
    noise = NOISE_W * np.sum(np.abs(weights) ** 2, axis=1)
    expected = heard.diagonal() / (heard.sum(axis=1) - heard.diagonal() + noise)
    np.testing.assert_allclose(detected_sinr("zero-forcing", channel, channel, power_w, NOISE_W), expected, rtol=1e-6)


def test_some_slots_of_an_uplink_are_those_slots() -> None:
    channel, power_w = rayleigh((4, 3, 5), seed=8), np.full((2, 3), 0.7)
    uplink = Uplink("mmse", channel, channel, NOISE_W)
    np.testing.assert_array_equal(uplink.take([3, 1]).sinr(power_w), uplink.sinr(np.full((4, 3), 0.7))[[3, 1]])


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_fading_is_an_autoregressive_series_of_the_generator_s_numbers(correlation: float) -> None:
    shape, amplitude = (2, 5, 3, 4), np.random.default_rng(1).uniform(0.5, 2.0, (2, 5, 3))
    values = np.empty(shape)
    fill_rayleigh_fading(np.random.default_rng(6), values, correlation, amplitude)
    expected = np.random.default_rng(6).standard_normal(shape)
    for slot in range(1, 5):
        expected[:, slot] = correlation * expected[:, slot - 1] + np.sqrt(1 - correlation**2) * expected[:, slot]
    np.testing.assert_allclose(values, expected * amplitude[..., None], rtol=1e-12)


def test_mmse_is_the_best_linear_detector() -> None:
    """Its SINR is ``p h^H (sum of the others + noise)^-1 h``, at least that of any other weights."""
    channel, power_w = rayleigh((50, 4, 5)), np.random.default_rng(3).uniform(0.01, 2, (50, 4))
    mmse, zero_forcing, mrc = (
        detected_sinr(name, channel, channel, power_w, NOISE_W) for name in ("mmse", "zero-forcing", "mrc")
    )
    assert (mmse >= zero_forcing * (1 - 1e-9)).all()
    assert (mmse >= mrc * (1 - 1e-9)).all()
    for u in range(4):
        rest = NOISE_W * np.eye(5) + sum(
            power_w[0, j] * np.outer(channel[0, j], channel[0, j].conj()) for j in range(4) if j != u
        )
        h = channel[0, u]
        assert mmse[0, u] == pytest.approx(power_w[0, u] * np.vdot(h, np.linalg.solve(rest, h)).real, rel=1e-9)


def test_zero_forcing_with_a_perfect_estimate_hears_nobody_else() -> None:
    channel, power_w = rayleigh((50, 5, 8)), np.random.default_rng(4).uniform(0, 2, (50, 5))
    sinr = detected_sinr("zero-forcing", channel, channel, power_w, NOISE_W)
    np.testing.assert_allclose(sinr, power_w * zero_forcing_gain(channel, NOISE_W), rtol=1e-8)


@pytest.mark.parametrize("detector", ["zero-forcing", "mmse", "mrc"])
def test_a_wrong_estimate_costs_sinr(detector: str) -> None:
    channel, power_w = rayleigh((400, 3, 4), scale=1e-8), np.full((400, 3), 2.0)
    worse = [
        detected_sinr(detector, channel, channel + rayleigh((400, 3, 4), seed=9, scale=scale), power_w, NOISE_W).mean()
        for scale in (0.0, 1e-9, 1e-8)
    ]
    assert worse == sorted(worse, reverse=True)
    assert worse[-1] < 0.7 * worse[0]


@pytest.mark.parametrize("detector", ["zero-forcing", "mmse", "mrc"])
def test_only_the_ratio_of_channel_and_noise_counts(detector: str) -> None:
    channel, power_w = rayleigh((20, 3, 4)), np.random.default_rng(5).uniform(0, 2, (20, 3))
    estimate = channel + rayleigh((20, 3, 4), seed=6, scale=1e-10)
    sinr = detected_sinr(detector, channel, estimate, power_w, NOISE_W)
    for factor in (1e-3, 1e5):
        scaled = detected_sinr(detector, factor * channel, factor * estimate, power_w, factor**2 * NOISE_W)
        np.testing.assert_allclose(scaled, sinr, rtol=1e-8)
        np.testing.assert_allclose(
            zero_forcing_gain(factor * channel, factor**2 * NOISE_W), zero_forcing_gain(channel, NOISE_W), rtol=1e-9
        )


@pytest.mark.parametrize("detector", ["zero-forcing", "mmse", "mrc"])
def test_who_is_silent_is_not_heard(detector: str) -> None:
    channel = rayleigh((20, 3, 4))
    sinr = detected_sinr(detector, channel, channel, np.array([1.0, 0.0, 1.0]) * np.ones((20, 1)), NOISE_W)
    assert (sinr[:, 1] == 0).all()
    assert (sinr[:, [0, 2]] > 0).all()
    silent = detected_sinr(detector, channel, channel, np.zeros((20, 3)), NOISE_W)
    np.testing.assert_array_equal(silent, 0.0)


@pytest.mark.parametrize("detector", ["mmse", "mrc", "zero-forcing"])
def test_a_users_sinr_is_proportional_to_its_own_power(detector: str) -> None:
    channel, error = rayleigh((5, 3, 4), seed=10), rayleigh((5, 3, 4), seed=11, scale=0.1)
    uplink = Uplink(detector, channel, channel + error, NOISE_W)
    power_w = np.random.default_rng(12).uniform(0.1, 2.0, (5, 3))
    np.testing.assert_allclose(uplink.gain_per_w(power_w) * power_w, uplink.sinr(power_w), rtol=1e-9)
    slopes = uplink.rate_slopes(power_w)
    own = np.diagonal(slopes, axis1=-2, axis2=-1)
    np.testing.assert_allclose(own, uplink.gain_per_w(power_w) / (1.0 + uplink.sinr(power_w)), rtol=1e-3)
    more = power_w + np.array([1e-4, 0.0, 0.0])
    others = np.log1p(uplink.sinr(more)) - np.log1p(uplink.sinr(power_w))
    np.testing.assert_allclose(slopes[:, 0, 1:], others[:, 1:] / 1e-4, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("detector", ["mmse", "mrc", "zero-forcing"])
def test_no_detector_hears_more_than_the_channel_in_the_span_of_the_estimates(detector: str) -> None:
    channel, error = rayleigh((50, 3, 6), seed=13), rayleigh((50, 3, 6), seed=14, scale=0.3)
    uplink = Uplink(detector, channel, channel + error, NOISE_W)
    most = np.sum(np.abs(uplink.seen_channel) ** 2, axis=-1) / NOISE_W
    assert (uplink.gain_per_w(np.zeros((50, 3))) <= most * (1.0 + 1e-9)).all()
    assert (most <= np.sum(np.abs(channel) ** 2, axis=-1) / NOISE_W).all()
