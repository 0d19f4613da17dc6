"""Quantised controls: levels within limits, and wrapped controls."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.core import ArrayField, Decisions, Observation
from offloadopt.errors import Unsupported
from offloadopt.structures.actions import DirectControls
from offloadopt.structures.levels import QuantisedControls

FIELDS = {
    "mode": ArrayField((3, 2), low=1, high=3, integer=True),
    "level": ArrayField((3,), low=2.0, high=6.0),
    "share": ArrayField((3, 2), low=0.1, high=0.7),
}


def test_numbers_stand_on_even_levels_and_choices_stay() -> None:
    controls = QuantisedControls(DirectControls(FIELDS, lambda _: {}), 5)
    assert list(controls.fields) == list(FIELDS)
    assert [(field.low, field.high, field.integer) for field in controls.fields.values()] == [
        (1, 3, True),
        (0, 4, True),
        (0, 4, True),
    ]
    mode = np.array([[[1, 2], [3, 1], [2, 2]]])
    level, share = np.array([[0, 3, 4]]), np.array([[[0, 4], [1, 2], [3, 3]]])
    nothing = Observation({"none": np.zeros((1, 3))})
    found = controls.decode(nothing, {"mode": mode, "level": level, "share": share})
    assert found["mode"].tolist() == mode.tolist()
    assert found["level"].tolist() == [[2.0, 5.0, 6.0]]
    np.testing.assert_allclose(found["share"], [[[0.1, 0.7], [0.25, 0.4], [0.55, 0.55]]], rtol=1e-12)
    assert (found["share"].min(), found["share"].max()) == (0.1, 0.7)
    near = Decisions({"mode": mode, "level": found["level"] - 0.4, "share": np.minimum(found["share"] + 0.07, 0.7)})
    back = controls.encode(nothing, near)
    assert back["level"].tolist() == [[0, 3, 4]]
    assert back["share"].tolist() == [[[0, 4], [1, 2], [3, 3]]]


def test_the_menu_holds_all_combinations_of_an_agents_levels_and_options() -> None:
    controls = QuantisedControls(DirectControls({"mode": FIELDS["mode"], "level": FIELDS["level"]}, lambda _: {}), 5)
    assert controls.menu.shape == (3 * 3 * 5, 3)
    assert controls.menu[[0, 1, 5, 15, 44]].tolist() == [[1, 1, 0], [1, 1, 1], [1, 2, 0], [2, 1, 0], [3, 3, 4]]
    found = controls.choose(Observation({"none": np.zeros((1, 3))}), np.array([[1, 15, 44]]))
    assert found["mode"].tolist() == [[[1, 1], [2, 1], [3, 3]]]
    assert found["level"].tolist() == [[3.0, 2.0, 6.0]]
    every = np.arange(45).reshape(15, 3)
    observation = Observation({"none": np.zeros((15, 3))})
    assert controls.entry(controls.encode(observation, controls.choose(observation, every))).tolist() == every.tolist()


def test_what_has_no_levels_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"^10000 combinations of an agent's decisions; allowed: at most 4096$"):
        _ = QuantisedControls(DirectControls({"share": FIELDS["share"]}, lambda _: {}), 100).menu
    with pytest.raises(Unsupported, match=r"^'power' has no finite limits"):
        QuantisedControls(DirectControls({"power": ArrayField((3,), low=0.0)}, lambda _: {}), 5)
