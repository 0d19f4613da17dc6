"""Maps and grids show every user at its server."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from offloadopt.pictures.places import draw_choices, draw_map
from offloadopt.pictures.style import LOCAL, colour

USERS, SITES = np.array([[0.0, 0.0], [10.0, 0.0], [5.0, 8.0]]), np.array([[1.0, 1.0], [9.0, 1.0]])


def test_a_map_has_a_line_from_each_served_user_to_its_server() -> None:
    ax = Figure().add_subplot()
    draw_map(ax, USERS, SITES, np.array([1, 2, 0]))
    ends = [(line.get_xydata().tolist(), to_hex(str(line.get_color()))) for line in ax.lines]
    assert ends == [([[0, 0], [1, 1]], colour(0)), ([[10, 0], [9, 1]], colour(1))]
    texts = [text.get_text() for text in ax.texts]
    assert {"server 1: 1", "server 2: 1", "0", "1", "2"} <= set(texts)
    assert "local (1)" in ax.get_xlabel()


def test_a_map_shows_paths() -> None:
    ax = Figure().add_subplot()
    paths = np.stack([USERS, USERS + 1.0])
    draw_map(ax, USERS, SITES, np.zeros(3, dtype=np.int64), paths)
    assert [line.get_xydata().tolist() for line in ax.lines] == [paths[:, user].tolist() for user in range(3)]


def test_a_grid_marks_the_option_of_each_task() -> None:
    ax = Figure().add_subplot()
    draw_choices(ax, np.array([0, 2, 2]), ("local", "server 1", "server 2"), np.ones((3, 3)))
    marks = [(points.get_offsets().tolist(), to_hex(points.get_facecolor()[0])) for points in ax.collections]
    assert marks == [([[0, 0]], LOCAL), ([], colour(0)), ([[1, 2], [2, 2]], colour(1))]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["local (1)", "server 1 (0)", "server 2 (2)"]
