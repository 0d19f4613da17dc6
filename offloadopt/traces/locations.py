"""Positions: tables of latitude and longitude, projected to metres on a local plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

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
