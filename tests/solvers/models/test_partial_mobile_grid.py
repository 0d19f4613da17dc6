"""The grid model of `partial_mobile`: its variables and decisions at a small size."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.errors import InvalidInput
from offloadopt.solvers.models.partial_mobile_grid import GridModel
from offloadopt.solvers.models.pyomo_solvers import solver_named

from toys.shared_slots import one_slot


def test_its_objective_is_the_cost_of_its_decisions() -> None:
    problem = one_slot(4, 2, time_weight=0.5)
    instance = problem.sample(1, seed=3)
    model = GridModel(problem, instance, levels=4)
    result = solver_named("highs")(model.pyomo, 0.0, Deadline())
    assert result.found
    outcome = problem.evaluate(instance, model.decisions())
    assert outcome.feasible.all()
    assert outcome.cost[0] == pytest.approx(result.bound, rel=1e-6)


def test_it_has_no_options_that_cost_more_than_computing_locally() -> None:
    problem = one_slot(3, 2)
    model = GridModel(problem, problem.sample(1, seed=0), levels=3)
    assert len(model.pyomo.options) > 0
    assert all(model._cost[option] < 1.0 for option in model.pyomo.options)
    assert len(model.pyomo.y) == 0
    overload = GridModel(problem, problem.sample(1, seed=0), levels=2, overload=True)
    assert len(overload.pyomo.y) > 0
    assert overload.magnitude > 0.0


def test_without_a_solution_all_tasks_are_local() -> None:
    problem = one_slot(3, 2)
    decisions = GridModel(problem, problem.sample(1, seed=0)).decisions()
    assert not any(np.any(array) for array in decisions.values())


def test_several_instances_and_a_single_level_are_refused() -> None:
    problem = one_slot(3, 2)
    with pytest.raises(InvalidInput, match="2 instances of 1 slots"):
        GridModel(problem, problem.sample(2, seed=0))
    with pytest.raises(InvalidInput, match="levels = 1"):
        GridModel(problem, problem.sample(1, seed=0), levels=1)
