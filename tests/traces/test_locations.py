"""Tables of places on Earth: what is read, what is refused, and how far apart they are."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.traces import locations
from offloadopt.traces.locations import read_coordinates, to_metres


def haversine(first: np.ndarray, second: np.ndarray) -> float:
    """Great-circle distance in m on a sphere of the mean radius."""
    (lat_1, lon_1), (lat_2, lon_2) = np.radians(first), np.radians(second)
    half = math.sin((lat_2 - lat_1) / 2) ** 2 + math.cos(lat_1) * math.cos(lat_2) * math.sin((lon_2 - lon_1) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(half))


@pytest.mark.parametrize("centre", [(-37.81, 144.96), (0.0, 0.0), (60.17, 24.94), (-54.8, -68.3)])
def test_distances_within_a_city_are_great_circle_distances(centre: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    spread = np.array([0.03, 0.03 / math.cos(math.radians(centre[0]))])  # about 3 km each way
    users, sites = np.array(centre) + spread * rng.uniform(-1, 1, (2, 15, 2))
    users_m, sites_m = to_metres([users, sites])
    for user, user_m in zip(users, users_m, strict=True):
        for site, site_m in zip(sites, sites_m, strict=True):
            assert math.dist(user_m, site_m) == pytest.approx(haversine(user, site), rel=1e-3)


def test_metres_are_east_and_north() -> None:
    ((origin, east, north),) = to_metres([np.array([[10.0, 20.0], [10.0, 20.01], [10.01, 20.0]])])
    assert east[0] > origin[0]
    assert east[1] == pytest.approx(origin[1])
    assert north[1] > origin[1]
    assert north[0] == pytest.approx(origin[0])


@pytest.mark.parametrize(
    "text",
    [
        "Latitude,Longitude\n-37.5,144.25\n10,20\n",
        "ID, LONGITUDE ,name,latitude\n1,144.25,here,-37.5\n2,20,there,10\n",
        "\ufefflatitude,longitude\r\n-37.5,144.25\r\n10,20\r\n",
    ],
)
def test_columns_are_found_in_any_case_and_order(tmp_path: Path, text: str) -> None:
    path = tmp_path / "places.csv"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(read_coordinates(path), [[-37.5, 144.25], [10.0, 20.0]])


BAD = {
    "no longitude": (b"latitude,lon\n1,2\n", "no column 'longitude'"),
    "no header": (b"1,2\n3,4\n", "no column"),
    "empty file": (b"", "no column 'latitude'"),
    "no rows": (b"latitude,longitude\n", "has no rows"),
    "not a number": (b"latitude,longitude\nnorth,2\n", "not a table"),
    "NaN": (b"latitude,longitude\n1,2\nnan,2\n", "data row 2"),
    "infinite": (b"latitude,longitude\n1,inf\n", "data row 1"),
    "latitude 200": (b"latitude,longitude\n1,2\n200,2\n", r"data row 2: \[200\.0, 2\.0\] is not a place"),
    "longitude 181": (b"latitude,longitude\n1,181\n", "data row 1"),
    "short row": (b"latitude,longitude\n1\n", "line 2: 1 cells; allowed: 2"),
    "cut short": (b"latitude,longitude\n1,2\n1,\n", "not a table"),
    "binary": (bytes(range(256)) * 8, "no text in UTF-8"),
    "zeros": (bytes(4096), "no column|is no CSV"),
    "two of a name": (b"latitude,longitude,Latitude\n1,2,3\n", "2 columns 'latitude'"),
    "one endless field": (b"latitude,longitude\n" + b"1" * 200_000 + b",2\n", "line 2 is no CSV: field larger than"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_refused_with_one_line_that_names_it(tmp_path: Path, fault: str) -> None:
    content, message = BAD[fault]
    path = tmp_path / "places.csv"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=message) as caught:
        read_coordinates(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()  # one line, and nothing that would garble a terminal
    assert len(str(caught.value)) <= 300


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DamagedFile, match="cannot read"):
            read_coordinates(path)


def test_the_real_files_are_read(real_places: tuple[Path, Path]) -> None:
    users, sites = (read_coordinates(path) for path in real_places)
    assert (users.shape, sites.shape) == ((816, 2), (125, 2))
    # Melbourne's central business district: a few kilometres across.
    metres = np.concatenate(to_metres([users, sites]))
    assert np.ptp(metres, axis=0).max() < 4000


def test_positions_of_users_and_servers_become_distances() -> None:
    users, servers = np.array([[[0.0, 0.0], [3.0, 4.0]]]), np.array([[[0.0, 4.0]]])
    found = locations.complete_distances({"user_m": users, "server_m": servers, "task_bits": 1})
    assert found.keys() == {"task_bits", "distance_m"}
    np.testing.assert_array_equal(found["distance_m"], [[[4.0], [3.0]]])
    assert locations.complete_distances({"gain": 1}) == {"gain": 1}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"user_m": [[[0, 0]]]}, "'server_m' is missing"),
        ({"user_m": [[[0, 0]]], "server_m": [[[0, 0]]], "distance_m": 1}, "allowed: one of the two"),
        ({"user_m": [[0, 0]], "server_m": [[[0, 0]]]}, r"user_m has shape \[1, 2\]"),
        ({"user_m": [["a"]], "server_m": [[[0, 0]]]}, "user_m is not an array of numbers"),
        ({"user_m": [[[0, 0]]] * 2, "server_m": [[[0, 0]]]}, "user_m has 2 instances, server_m 1"),
    ],
)
def test_positions_that_give_no_distances_are_one_line(arrays: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        locations.complete_distances(arrays)  # type: ignore[arg-type]
