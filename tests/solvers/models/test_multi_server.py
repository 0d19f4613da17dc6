"""The Pyomo model of `multi_server`: both forms of the CPU shares, and tangents of the linear form."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.clock import Deadline
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.solvers.models.multi_server import MultiServerModel
from offloadopt.solvers.models.pyomo_solvers import solver_named
from offloadopt.solvers.models.solver import Minlp, safe_bound

from toys.enumeration import best_by_enumeration


@pytest.mark.parametrize("seed", range(3))
def test_the_papers_own_cpu_variables_give_the_same_optimum_and_the_closed_forms_shares(seed):
    problem = registry.problem("multi_server", "heterogeneous", users=5, servers=2)
    instance = problem.sample(1, seed)
    optimum = best_by_enumeration(problem, instance)

    explicit = MultiServerModel(problem, instance, allocation="explicit")
    result = solver_named("scip")(explicit.pyomo, 0.0, Deadline())
    assert result.found
    assert result.bound * explicit.cost_unit == pytest.approx(optimum, rel=1e-6)
    assert safe_bound(explicit, result) <= optimum

    decisions = explicit.decisions()
    assert problem.evaluate(instance, decisions).cost[0] == pytest.approx(optimum, rel=1e-9)
    away = [(i, j) for i, j in enumerate(decisions["server"][0]) if j > 0]
    assert away
    shares = [explicit.pyomo.f[i, j].value / explicit.pyomo.f[i, j].ub for i, j in away]
    closed_form = [decisions["cpu_hz"][0, i] / problem.scenario.cpu_server_hz for i, _ in away]
    np.testing.assert_allclose(shares, closed_form, rtol=1e-2)


def test_the_linear_model_is_a_lower_bound_that_a_cut_makes_exact():
    problem = registry.problem("multi_server", "heterogeneous", users=8, servers=2)
    instance = problem.sample(1, seed=0)
    model, solve = MultiServerModel(problem, instance, linear=True), solver_named("highs")
    optimum = Minlp().run(problem, instance).objective[0]
    loose = solve(model.pyomo, 0.0, Deadline()).bound * model.cost_unit
    assert loose < optimum * (1 - 1e-7)

    server = Minlp().run(problem, instance).decisions["server"].copy()
    server[0, np.flatnonzero(server[0])[0]] = 0  # any other decision
    decided = problem.allocate(instance, server)
    assert model.add_cuts(decided)
    assert not model.add_cuts(decided)
    for i, j in enumerate(server[0]):
        model.pyomo.a[i, j].fix(1)
    at_decision = solver_named("highs")(model.pyomo, 0.0, Deadline()).bound * model.cost_unit
    assert at_decision == pytest.approx(problem.evaluate(instance, decided).cost[0], rel=1e-9)


def test_a_model_is_of_one_instance_and_linear_only_without_shares():
    problem = registry.problem("multi_server", users=3)
    instances = problem.sample(2, seed=0)
    with pytest.raises(InvalidInput, match="2 instances"):
        MultiServerModel(problem, instances)
    with pytest.raises(Unsupported, match="explicit"):
        MultiServerModel(problem, instances.take([0]), linear=True, allocation="explicit")
    with pytest.raises(InvalidInput, match="'mean'"):
        MultiServerModel(problem, instances.take([0]), allocation="mean")


def test_a_warm_start_is_read_back_as_the_same_decisions():
    problem = registry.problem("multi_server", "heterogeneous", users=5, servers=2)
    instance = problem.sample(1, seed=1)
    model = MultiServerModel(problem, instance)
    np.testing.assert_array_equal(model.decisions()["server"], np.zeros((1, 5)))
    decided = problem.allocate(instance, np.where(model._usable[:, 2], 2, 0)[None])
    model.warm_start(decided)
    for name, array in decided.items():
        np.testing.assert_array_equal(model.decisions()[name], array)
