"""Tangents of perspectives: below the function everywhere, exact at their points, each once."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest

from offloadopt.solvers.models.tangents import Tangents


def model_with(points: list[float]) -> tuple[pyo.ConcreteModel, Tangents]:
    """Tangents of ``1 / v``."""
    m = pyo.ConcreteModel()
    m.on, m.v, m.cost, m.rows = pyo.Var(initialize=1), pyo.Var(initialize=0.0), pyo.Var(), pyo.ConstraintList()
    tangents = Tangents(m.rows)
    for at in points:
        assert tangents.add("1/v", at, 1 / at, -1 / at**2, m.cost, m.on, m.v)
    return m, tangents


def bound(m: pyo.ConcreteModel, on: float, v: float) -> float:
    m.on.set_value(on)
    m.v.set_value(v)
    m.cost.set_value(0.0)
    # Rows with cost on one side and the tangent on the other: at cost 0 the slack is the tangent's value.
    return max(float(-row.uslack() if row.has_ub() else -row.lslack()) for row in m.rows.values())


def test_they_are_below_the_perspective_and_meet_it_at_their_points() -> None:
    m, _ = model_with([0.1, 0.4, 1.0])
    for v in np.linspace(0.05, 1.0, 20):
        assert bound(m, 1.0, v) <= 1 / v * (1 + 1e-12)
        assert bound(m, 0.5, 0.5 * v) <= 0.5 / v * (1 + 1e-12)
    for at in (0.1, 0.4, 1.0):
        assert bound(m, 1.0, at) == pytest.approx(1 / at)
    assert bound(m, 0.0, 0.0) == pytest.approx(0.0, abs=1e-12)


def test_each_is_added_once_and_none_where_the_function_is_infinite() -> None:
    m, tangents = model_with([0.1])
    assert not tangents.add("1/v", 0.1 * (1 + 1e-14), 10.0, -100.0, m.cost, m.on, m.v)
    assert not tangents.add("1/v", 0.0, np.inf, -np.inf, m.cost, m.on, m.v)
    assert tangents.add("other", 0.1, 10.0, -100.0, m.cost, m.on, m.v)
    assert len(m.rows) == 2
