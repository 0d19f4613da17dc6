"""Bars of shares are as long as the shares, next to each other."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from offloadopt.pictures.shares import draw_shares, draw_shares_over_slots
from offloadopt.pictures.style import ZONE, colour


def test_a_servers_bar_is_divided_among_its_tasks() -> None:
    ax = Figure().add_subplot()
    draw_shares(ax, np.array([1, -1, 1, 0]), np.array([0.25, 0.9, 0.5, 0.01]), np.array([3, 4, 5, 6]), ["a", "b"])
    bars = [bar for bar in ax.patches if to_hex(bar.get_facecolor()) != ZONE]
    found = [(bar.get_x(), bar.get_width(), round(bar.get_y() + bar.get_height() / 2)) for bar in bars]
    assert found == [(0.0, 0.01, 0), (0.0, 0.25, 1), (0.25, 0.5, 1)]
    assert [text.get_text() for text in ax.texts] == ["3", "5"], "no number in a part that is too small for it"


def test_users_are_stacked_slot_by_slot() -> None:
    share = np.zeros((2, 2, 2))
    share[0, :, 0] = 0.5, 0.25
    share[1, 1, 1] = 1.0
    ax = Figure().add_subplot()
    draw_shares_over_slots(ax, share, ["a", "b"])
    bars = [bar for bar in ax.patches if round(bar.get_width(), 6) == 0.92]
    found = []
    for bar in bars:
        place = np.round([bar.get_x(), bar.get_y(), bar.get_height()], 6).tolist()
        found.append((*place, to_hex(bar.get_facecolor())))
    assert found == [
        (0, 1.0, 0.43, colour(0)),
        (0, 1.43, 0.215, colour(1)),
        (1, 0.0, 0.86, colour(1)),
    ]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["user 0", "user 1"]
