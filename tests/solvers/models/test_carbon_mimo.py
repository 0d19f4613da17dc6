"""The model of `carbon_mimo` against `exact`: overflow, batteries, other charges, missing links."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

import offloadopt
from offloadopt.clock import Deadline
from offloadopt.core import Instances
from offloadopt.errors import Unsupported
from offloadopt.solvers.models.carbon_mimo import CarbonMimoModel
from offloadopt.solvers.models.pyomo_solvers import solver_named
from offloadopt.solvers.models.solver import MilpInHindsight, MinlpInHindsight

from toys.model_problems import optimum

CASES: dict[str, dict[str, Any]] = {
    "small buffers overflow": {"users": 1, "horizon": 4, "buffer_bits": 4e3, "arrival_quanta": 4.0},
    "with a battery": {"users": 1, "horizon": 4, "battery_j": 2e-3, "harvest_w": 1.5},
    "the ancestor's charge, unlimited buffers": {
        "users": 2, "horizon": 3, "charge": "ancestor", "buffer_bits": None, "start_bits": 5e3, "harvest_w": 0.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", [MilpInHindsight(), MinlpInHindsight()], ids=["milp", "minlp"])
def test_it_agrees_with_exact(case: str, method: Any) -> None:
    problem = offloadopt.problem("carbon_mimo", **CASES[case])
    instances = problem.sample(2, seed=7)
    best = optimum(problem, instances)
    solutions = method.run(problem, instances)
    np.testing.assert_allclose(solutions.objective, best, rtol=1e-6)
    assert (solutions.bound <= best).all()
    assert (solutions.gap < 2e-5).all()


def test_bits_are_lost_only_from_a_full_buffer() -> None:
    """A lost bit costs nothing here, a bit that waits much: without the gate the model drops all of them."""
    problem = offloadopt.problem(
        "carbon_mimo", users=1, horizon=3, buffer_bits=6e3, arrival_quanta=4.0, loss_weight=0.0, buffer_weight=50.0
    )
    instances = problem.sample(1, seed=2)
    gated = MilpInHindsight().run(problem, instances)
    assert gated.gap[0] < 1e-5
    model = CarbonMimoModel(problem, instances, linear=True)
    assert len(model.pyomo.overflows) > 0
    model.pyomo.is_full.deactivate()
    ungated = solver_named("highs")(model.pyomo, 0.0, Deadline()).bound * model.cost_unit
    assert ungated < 0.9 * gated.bound[0]


def test_without_a_link_nothing_is_sent() -> None:
    problem = offloadopt.problem("carbon_mimo", users=1, horizon=3, antennas=2)
    sampled = problem.sample(1, seed=3)
    channel = sampled["channel"].copy()
    channel[:, 1] *= 1e-12
    instances = Instances({**sampled, "channel": channel})
    solutions = MinlpInHindsight().run(problem, instances)
    assert solutions.gap[0] < 1e-5
    model = CarbonMimoModel(problem, instances)
    assert model.pyomo.sent[1, 0].ub == 0.0
    np.testing.assert_allclose(solutions.objective, optimum(problem, instances), rtol=1e-6)


def test_a_variable_has_two_bounds_and_tangents_are_added_once() -> None:
    problem = offloadopt.problem("carbon_mimo", users=2, horizon=3, battery_j=1e-3)
    model = CarbonMimoModel(problem, problem.sample(1, seed=0), linear=True)
    assert np.isfinite(model.magnitude)
    for variable in model.pyomo.component_data_objects(pyo.Var):
        variable.set_value(0.3 * variable.ub)
    assert model.add_cuts(model.initial_decisions())
    assert not model.add_cuts(model.initial_decisions())


def test_users_that_disturb_each_other_are_refused() -> None:
    problem = offloadopt.problem("carbon_mimo", users=2, horizon=3, detector="mmse")
    with pytest.raises(Unsupported, match="detector mmse"):
        MinlpInHindsight().run(problem, problem.sample(1, seed=0))
