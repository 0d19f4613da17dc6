"""HiGHS, SCIP and other solvers on Pyomo models: bounds, deadlines, warm starts, refusals."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.opt import SolverFactory

from offloadopt import registry
from offloadopt.clock import Deadline
from offloadopt.errors import UnknownName, Unsupported
from offloadopt.solvers.models.pyomo_solvers import NOTHING, solver_named
from offloadopt.solvers.models.solver import Milp, Minlp


def knapsack(*, integer: bool = True, offset: float = 5.0) -> pyo.ConcreteModel:
    """Least cost 5 - 7 = -2 with integers (x = 1, 0, 1), 5 - 7.25 without."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(3), domain=pyo.Binary if integer else pyo.UnitInterval)
    m.room = pyo.Constraint(expr=3 * m.x[0] + 4 * m.x[1] + 2 * m.x[2] <= 6)
    m.cost = pyo.Objective(expr=offset - 4 * m.x[0] - 1 * m.x[1] - 3 * m.x[2])
    return m


@pytest.mark.parametrize("name", ["highs", "scip"])
@pytest.mark.parametrize(("integer", "least"), [(True, -2.0), (False, -2.25)])
def test_both_solve_and_bound_linear_models_with_a_constant(name: str, integer: bool, least: float) -> None:
    model = knapsack(integer=integer)
    result = solver_named(name)(model, 0.0, Deadline())
    assert result.found
    assert result.bound == pytest.approx(least, abs=1e-7)
    assert pyo.value(model.cost) == pytest.approx(least, abs=1e-7)


def test_scip_solves_what_is_neither_convex_nor_linear() -> None:
    model = pyo.ConcreteModel()
    model.x, model.n = pyo.Var(bounds=(0.0, 4.0)), pyo.Var(domain=pyo.Integers, bounds=(0, 3))
    model.cost = pyo.Objective(expr=pyo.exp(-model.x) * model.n + (2 - model.n) ** 2 + pyo.log(1 + model.x) / 4)
    grid = np.linspace(0.0, 4.0, 400_001)
    best = min(np.min(np.exp(-grid) * n + (2 - n) ** 2 + np.log1p(grid) / 4) for n in range(4))
    result = solver_named("scip")(model, 1e-7, Deadline())
    assert result.found
    assert result.bound == pytest.approx(best, rel=1e-5)
    with pytest.raises(Unsupported, match="'highs' cannot solve this model"):
        solver_named("highs")(model, 0.0, Deadline())


@pytest.mark.parametrize("name", ["highs", "scip"])
def test_a_deadline_that_has_passed_leaves_nothing(name: str) -> None:
    deadline = Deadline(1e-9)
    assert deadline.passed
    assert solver_named(name)(knapsack(), 0.0, deadline) == NOTHING


@pytest.mark.parametrize("name", ["highs", "scip"])
def test_variables_that_are_fixed_or_in_no_row_keep_their_values(name: str) -> None:
    model = knapsack()
    model.x[0].fix(0)
    model.y = pyo.Var(initialize=7.0)
    assert solver_named(name)(model, 0.0, Deadline()).bound == pytest.approx(1.0)
    assert (model.x[0].value, model.y.value) == (0, 7.0)


def test_each_method_can_use_the_others_or_another_solver() -> None:
    problem = registry.problem("multi_server", "heterogeneous", users=8)
    instances = problem.sample(1, seed=7)
    expected = Minlp().run(problem, instances).objective
    for method in (Milp(pyomo_solver="scip"), Minlp(pyomo_solver="scip_persistent"), Milp(pyomo_solver="appsi_highs")):
        solutions = method.run(problem, instances)
        np.testing.assert_allclose(solutions.objective, expected, rtol=1e-6)
        assert solutions.status_names == ["OPTIMAL"]


class BoastfulSolver:
    """A solver behind Pyomo's classic interface that reports its incumbent as a bound, as some do."""

    def __init__(self, **_: object) -> None:
        self._scip = SolverFactory("scip_direct")

    def available(self, exception_flag: bool = True) -> bool:
        return True

    def solve(self, model: pyo.ConcreteModel, **options: object) -> object:
        results = self._scip.solve(model, **options)
        results.problem.lower_bound = results.problem.upper_bound
        return results


def test_a_solver_whose_own_bound_cannot_be_read_proves_nothing() -> None:
    SolverFactory.register("boastful")(BoastfulSolver)
    try:
        problem = registry.problem("multi_server", "heterogeneous", users=8)
        instances = problem.sample(1, seed=8)
        solutions = Minlp(pyomo_solver="boastful").run(problem, instances)
    finally:
        SolverFactory.unregister("boastful")
    assert solutions.status_names == ["FEASIBLE"]
    assert solutions.bound[0] == -np.inf
    np.testing.assert_allclose(solutions.objective, Minlp().run(problem, instances).objective, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("sicp", UnknownName, "did you mean 'scip'"),
        ("baron", UnknownName, "is not installed; known: .*highs, .*scip"),
        ("highs", Unsupported, "cannot solve this model"),
    ],
)
def test_a_solver_that_cannot_be_used_is_refused_in_one_line(name: str, kind: type[Exception], words: str) -> None:
    problem = registry.problem("multi_server", users=3)
    with pytest.raises(kind, match=words) as refusal:
        Minlp(pyomo_solver=name).run(problem, problem.sample(1, seed=0))
    assert "\n" not in str(refusal.value)
    assert repr(name) in str(refusal.value)
