"""Quantised controls: levels within limits, and wrapped controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from offloadopt import registry
from offloadopt.core import ArrayField, Decisions, Observation, Problem
from offloadopt.learners.vdn.quantised_controls import QuantisedControls, QuantisedInterface
from offloadopt.structures.actions import DirectControls


def mimo(**changes: Any) -> Problem[Any]:
    return registry.problem("carbon_mimo", **{"horizon": 8, "users": 2, "antennas": 4, **changes})


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


def test_levels_stand_before_other_controls() -> None:
    """Agents that set their energy balance: the middle one of three levels draws exactly the green power."""
    problem: Any = mimo()
    interface = QuantisedInterface(problem, None, "energy", 3)
    observation = problem.observe(problem.sample(5, 0), problem.reset(problem.sample(5, 0)))
    middle = interface.decode(observation, torch.ones((5, 2, 2)))
    own = problem.controls["energy"]
    expected = own.decode(observation, {"balance": np.zeros((5, 2)), "local_share": np.full((5, 2), 0.5)})
    for name, values in expected.items():
        np.testing.assert_allclose(middle[name], values)
    assert interface.for_problem(mimo(users=4)).heads.outputs == interface.heads.outputs == 6  # type: ignore[arg-type]
