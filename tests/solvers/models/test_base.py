"""What the models have in common, and every model of the registry against `exact` on small instances."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.errors import InvalidInput
from offloadopt.solvers.models.base import power_of_ten, require_one, zero_decisions

from toys.model_problems import MODELLED, model_problem, optimum
from toys.small_problems import SMALL


def test_the_power_of_ten_is_that_of_the_mean() -> None:
    assert power_of_ten(np.array([0.5e9, 2.5e9])) == 1e9
    assert power_of_ten(np.asarray(3e-7)) == 1e-7


@pytest.mark.parametrize("name", ["carbon_mimo", "battery_d2d", "twin_inference"])
def test_decisions_of_zeros_are_feasible_where_nothing_is_assigned(name: str) -> None:
    problem = registry.problem(name, **SMALL[name])
    outcome = problem.evaluate(problem.sample(3, seed=0), zero_decisions(problem, 3))
    assert outcome.feasible.all()
    assert np.isfinite(outcome.cost).all()


def test_several_instances_are_refused() -> None:
    problem = registry.problem("multi_server", users=3)
    require_one(problem.sample(1, seed=0))
    with pytest.raises(InvalidInput, match="2 instances; a model is built of exactly 1"):
        require_one(problem.sample(2, seed=0))


@pytest.mark.parametrize("name", MODELLED)
@pytest.mark.parametrize("method", ["milp", "minlp"])
def test_every_model_agrees_with_exact(name: str, method: str) -> None:
    problem = model_problem(name)
    instances = problem.sample(2, seed=11)
    best = optimum(problem, instances)
    solutions = registry.solver(method, problem).run(problem, instances)
    np.testing.assert_allclose(solutions.objective, best, rtol=1e-6)
    assert (solutions.bound <= best).all()
    assert (solutions.gap < 2e-6).all()  # the margin for tolerances comes on top of the gap asked for


def test_every_problem_with_a_model_is_tried_here() -> None:
    assert set(MODELLED) == set(registry.BUILT_IN["models"])
