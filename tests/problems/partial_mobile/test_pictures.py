"""Loads are what is asked; shares are what is left of it where a server is overloaded."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import offloadopt
from offloadopt.core import Decisions, Solutions


@pytest.mark.parametrize("horizon", [1, 3])
def test_loads_users_and_shares(horizon: int) -> None:
    problem = offloadopt.problem("partial_mobile", users=2, horizon=horizon)
    instances, full_hz = problem.sample(1, seed=0), problem.scenario.cpu_server_hz
    shape = (1, horizon, 2) if horizon > 1 else (1, 2)
    arrays = {"server": np.ones(shape, dtype=np.int64), "ratio": np.ones(shape), "cpu_hz": np.full(shape, full_hz)}
    solutions = Solutions.scored(problem, instances, Decisions(arrays), seconds=0.0)
    names = [panel.name for panel in solutions.panels()]
    assert names == (["map", "load", "cpu", "users"] if horizon > 1 else ["map", "cpu"])
    cpu = solutions.plot(ax=Figure().add_subplot(), panel="cpu")
    sizes = [bar.get_height() / 0.86 for bar in cpu.patches] if horizon > 1 else [b.get_width() for b in cpu.patches]
    assert np.isclose(sizes, 0.5).sum() == 2 * horizon, "each of the two users gets half of server 1"
    if horizon > 1:
        load = solutions.plot(ax=Figure().add_subplot(), panel="load")
        np.testing.assert_array_equal(load.lines[0].get_ydata(), np.full(horizon + 1, 2.0))
        users = solutions.plot(ax=Figure().add_subplot(), panel="users")
        assert users.collections[0].get_paths()[0].vertices[:, 1].max() == 2.0
