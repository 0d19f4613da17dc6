"""Positions: tables of latitude and longitude, projected to metres on a local plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from offloadopt.core import FloatArray
from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.formats.csv_tables import read_columns
from offloadopt.formats.reading import refuse_damage

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius (IUGG)."""


def read_coordinates(path: Path) -> FloatArray:
    """Read rows ``(latitude, longitude)`` in degrees of a CSV file with these columns, in any case and order.

    Raises
    ------
    DamagedFile
        If the file is missing, lacks a column, has no rows or a row that is not a place on Earth.
    """
    rows = read_columns(path, ("latitude", "longitude"))
    with refuse_damage(path, "is not a table of latitudes and longitudes in degrees"):
        places = np.array(rows, dtype=np.float64)
    wrong = ~(np.abs(places[:, 0]) <= 90) | ~(np.abs(places[:, 1]) <= 180)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DamagedFile(f"{path}, data row {row + 1}: {places[row].tolist()} is not a place in degrees")
    return places


def to_metres(places: Sequence[FloatArray]) -> list[FloatArray]:
    """Project tables of degrees to metres (east, north) from the mean position of all tables.

    The projection is equirectangular, exact enough for a city.
    """
    centre = np.concatenate(places).mean(axis=0)
    metres_per_radian = EARTH_RADIUS_M * np.array([np.cos(np.radians(centre[0])), 1.0])
    return [np.radians((table - centre)[:, ::-1]) * metres_per_radian for table in places]


def complete_distances(arrays: Mapping[str, ArrayLike]) -> dict[str, ArrayLike]:
    """Replace a user's positions ``user_m``, ``server_m [count, n, 2]`` by ``distance_m [count, users, servers]``.

    Raises
    ------
    InvalidInput
        If one is given without the other or together with distances, or is no array of positions.
    """
    found = dict(arrays)
    if "user_m" not in found and "server_m" not in found:
        return found
    if "distance_m" in found:
        raise InvalidInput("distance_m is given together with positions; allowed: one of the two")
    places = []
    for name in ("user_m", "server_m"):
        if name not in found:
            raise InvalidInput(f"array {name!r} is missing; user_m and server_m are given together or not at all")
        try:
            place = np.asarray(found.pop(name), dtype=np.float64)
        except (TypeError, ValueError):
            raise InvalidInput(f"{name} is not an array of numbers with one shape") from None
        if place.ndim != 3 or place.shape[-1] != 2:
            raise InvalidInput(f"{name} has shape {list(place.shape)}; allowed: [count, number, 2]")
        places.append(place)
    if len({len(place) for place in places}) > 1:
        raise InvalidInput(f"user_m has {len(places[0])} instances, server_m {len(places[1])}; allowed: one number")
    found["distance_m"] = distances(*places)
    return found


def distances(users_m: FloatArray, servers_m: FloatArray) -> FloatArray:
    """Compute distances ``[count, users, servers]`` in m of positions ``[count, n, 2]``."""
    offset = users_m[:, :, None] - servers_m[:, None]
    return np.asarray(np.hypot(offset[..., 0], offset[..., 1]))


def read_map(users_file: Path | None, sites_file: Path | None) -> tuple[FloatArray, FloatArray] | None:
    """Read users ``[n, 2]`` and sites ``[m, 2]`` of two files, in metres on one plane; ``None`` without files."""
    if users_file is None or sites_file is None:
        return None
    users, sites = to_metres([read_coordinates(users_file), read_coordinates(sites_file)])
    return users, sites


def require_both(users_file: Path | None, sites_file: Path | None) -> None:
    """Raise `InvalidInput` if one of the two files is given without the other."""
    if (users_file is None) != (sites_file is None):
        missing = "users_file" if users_file is None else "sites_file"
        raise InvalidInput(f"{missing} is missing; users_file and sites_file are given together or not at all")
