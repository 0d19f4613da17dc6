"""Measurements are the problem's own numbers on the same instances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt.problems.carbon_mimo import CarbonMimo, CarbonMimoScenario
from offloadopt.reproduce.carbon_mimo import measurements

from toys.tiny_papers.carbon_mimo import STUDY


def test_averages_are_the_problems_own_on_the_same_instances() -> None:
    scenario = STUDY.scenario(arrival_quanta=6.0)
    found = measurements.MEASURE.apply_solvers(scenario, {"all": {"name": "full-power", "options": {}}}, 4, 7)["all"]
    problem = CarbonMimo(CarbonMimoScenario(**scenario))
    instances = problem.sample(4, 7)
    powers = np.full((4, 10, 2), 2.0)
    outcome = problem.evaluate(instances, {"local_w": powers, "offload_w": powers})
    joule = 4 * 10 * 2 * 4e-3
    assert found["cost"] == pytest.approx(outcome.cost.sum() / (4 * 10 * 2))
    assert found["power_w"] == pytest.approx(4.0)
    green = np.minimum(instances["harvest_j"], 4e-3).sum()
    assert found["carbon_g_per_j"] == pytest.approx(700 / 3.6e6 * (joule - green) / joule)
    assert found["wasted"] == pytest.approx(1 - green / instances["harvest_j"].sum())
    served = instances["arrival_bits"].sum() - outcome.metrics["overflow_bits"].sum()
    served -= problem_left(problem, instances, powers).sum()
    assert found["served"] == pytest.approx(served / instances["arrival_bits"].sum())


def problem_left(problem: CarbonMimo, instances: Any, powers: Any) -> Any:
    from offloadopt.core import Decisions

    state = problem.reset(instances)
    for slot in range(problem.horizon):
        state, _ = problem.step(instances, state, Decisions({"local_w": powers[:, slot], "offload_w": powers[:, slot]}))
    return state.values["buffer_bits"]
