"""Arrays of any shape are drawn: bars of one number per slot, heat maps of more."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from offloadopt.pictures.arrays import draw_array


@pytest.mark.parametrize(("values", "horizon", "label"), [([1, 2, 3], 1, "entry"), ([[1], [2], [3]], 3, "slot")])
def test_one_number_per_place_is_a_bar(values: list[float], horizon: int, label: str) -> None:
    ax = Figure().add_subplot()
    draw_array(ax, np.array(values), "W", horizon)
    assert [bar.get_height() for bar in ax.patches] == [1, 2, 3]
    assert (ax.get_xlabel(), ax.get_ylabel()) == (label, "W")


def test_more_numbers_are_a_heat_map_with_every_value_once() -> None:
    figure = Figure()
    ax = figure.add_subplot()
    draw_array(ax, np.arange(24.0).reshape(2, 3, 4), "1", 2)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), np.arange(24.0).reshape(2, 12).T)
    assert len(figure.axes) == 2, "the colours have a scale"
