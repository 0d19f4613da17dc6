"""Users that walk in a ring: where they start, how far they move, where they turn back."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.physics.mobility import random_walk_distances


def test_users_stay_in_the_ring_and_move_a_stride_at_most() -> None:
    distance = random_walk_distances(np.random.default_rng(1), (20, 300, 3), 30.0, 40.0, 2.0)
    assert distance.shape == (20, 300, 3)
    assert 30.0 <= distance.min() < 31.0
    assert 39.0 < distance.max() <= 40.0
    moves = np.abs(np.diff(distance, axis=1))
    assert moves.max() <= 2.0 + 1e-12
    assert moves.max() > 1.9


def test_starts_are_uniform_over_the_ring_s_area() -> None:
    start = random_walk_distances(np.random.default_rng(1), (20_000, 1, 1), 10.0, 100.0, 0.0).ravel()
    # The squared distance is uniform.
    assert np.mean(start**2) == pytest.approx((10.0**2 + 100.0**2) / 2, rel=0.02)
    assert np.mean(start < 50.0) == pytest.approx((50.0**2 - 10.0**2) / (100.0**2 - 10.0**2), abs=0.012)


def test_without_a_stride_users_stand_still() -> None:
    distance = random_walk_distances(np.random.default_rng(2), (4, 5, 3), 10.0, 100.0, 0.0)
    np.testing.assert_array_equal(distance, np.broadcast_to(distance[:, :1], distance.shape))


def test_a_longer_sample_begins_with_the_shorter_one() -> None:
    few, many = (random_walk_distances(np.random.default_rng(3), (count, 6, 2), 10.0, 100.0, 1.0) for count in (2, 5))
    np.testing.assert_array_equal(many[:2], few)
