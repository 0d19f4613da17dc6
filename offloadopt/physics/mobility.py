"""Mobility: random walks of users around a base station."""

from __future__ import annotations

import numpy as np

from offloadopt.core import FloatArray


def random_walk_distances(
    rng: np.random.Generator, shape: tuple[int, int, int], nearest_m: float, farthest_m: float, stride_m: float
) -> FloatArray:
    """Sample distances ``[count, horizon, users]`` in m from the centre, of users on a random walk in a ring.

    Starts are uniform over the ring's area. Headings change by a normal angle of 0.3 rad a slot; a user that would
    leave the ring turns back.
    """
    count, horizon, users = shape
    first, later = rng.spawn(2)  # so that a longer sample begins with the shorter one
    draws = first.random((count, users, 3))
    turns = 0.3 * later.standard_normal((count, horizon, users)) if stride_m > 0 else None
    radius = np.sqrt(nearest_m**2 + draws[..., 0] * (farthest_m**2 - nearest_m**2))
    place = radius * np.exp(2j * np.pi * draws[..., 1])
    if turns is None:
        return np.broadcast_to(radius[:, None], shape)
    heading = 2.0 * np.pi * draws[..., 2]
    distance = np.empty(shape)
    for slot in range(horizon):
        distance[:, slot] = np.abs(place)
        heading = heading + turns[:, slot]
        stride = stride_m * np.exp(1j * heading)
        following = np.abs(place + stride)
        turned = (following > farthest_m) | (following < nearest_m)
        heading = np.where(turned, heading + np.pi, heading)
        place = place + np.where(turned, -stride, stride)
    return np.clip(distance, nearest_m, farthest_m)
