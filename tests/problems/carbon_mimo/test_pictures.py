"""Carbon and lost bits add up to the problem's metrics."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import offloadopt
from offloadopt.core import Decisions, Solutions


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_sums_end_at_the_metrics(power: float) -> None:
    problem = offloadopt.problem("carbon_mimo", horizon=60)
    instances = problem.sample(1, seed=0)
    arrays = {name: np.full((1, 60, problem.num_agents), power * spec.high) for name, spec in
              problem.decision_fields.items()}  # fmt: skip
    solutions = Solutions.scored(problem, instances, Decisions(arrays), seconds=0.0)
    carbon = solutions.plot(ax=Figure().add_subplot(), panel="carbon").lines[0].get_ydata()
    assert carbon[-1] == pytest.approx(1e6 * solutions.metrics["carbon_g"][0])
    assert (np.diff(carbon) >= 0).all()
    lost_bits = solutions.metrics["overflow_bits"][0]
    names = [panel.name for panel in solutions.panels()]
    assert names[:3] == ["buffers", "energy", "carbon"]
    assert (names[3:] == ["overflow"]) == (lost_bits > 0) == (power == 0.0)
    if lost_bits > 0:
        lost = solutions.plot(ax=Figure().add_subplot(), panel="overflow").lines[0].get_ydata()
        assert lost[-1] == pytest.approx(1e-3 * lost_bits)
