"""Algorithm 4 to the letter: costs with penalty, feasibility, and how far it stays behind optimal allocation."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Status
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.assignment.exhaustive import Exhaustive
from offloadopt.solvers.assignment.levy import Levy
from offloadopt.solvers.assignment.levy_literal import LevyLiteral
from offloadopt.testing import check_solver


def small(users: int = 4, servers: int = 2, **changes: Any) -> MultiServer:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=users, servers=servers, **changes)
    assert isinstance(problem, MultiServer)
    return problem


def test_it_is_feasible_and_lies_between_the_optimum_and_all_local() -> None:
    problem = small()
    instances = problem.sample(20, 3)
    optimum = Exhaustive().run(problem, instances)
    local = problem.costs(instances).cost(np.zeros((20, 4), dtype=np.int64))
    found = LevyLiteral(generations=2000).run(problem, instances)
    assert set(found.status_names) == {Status.FEASIBLE.name}
    assert (found.objective >= optimum.bound).all()
    assert (found.objective <= local * (1 + 1e-12)).all()
    assert (found.objective / optimum.objective - 1).mean() < 0.1 < (local / optimum.objective - 1).mean()


def test_optimal_allocation_is_better_than_coordinates_of_the_search() -> None:
    problem = small(20)
    instances = problem.sample(10, 8)
    literal, allocated = (kind(generations=200).run(problem, instances).objective for kind in (LevyLiteral, Levy))
    assert (allocated < literal).all()


def test_its_cpu_and_power_are_its_own() -> None:
    problem = small(6)
    instances = problem.sample(5, 0)
    found = LevyLiteral(generations=500).run(problem, instances).decisions
    best, away = problem.allocate(instances, found["server"]), found["server"] > 0
    assert away.any()
    for name in ("cpu_hz", "power_w"):
        np.testing.assert_array_equal(found[name][~away], best[name][~away])
        assert (np.abs(found[name][away] / best[name][away] - 1) > 1e-9).any()


def test_a_penalty_that_is_too_small_ends_infeasible_and_says_so() -> None:
    problem = small(10, load=3.0)  # little CPU for the tasks
    instances = problem.sample(4, 0)
    found = LevyLiteral(generations=300, penalty=1e-9).run(problem, instances)
    assert Status.LIMIT_NO_SOLUTION.name in found.status_names
    assert set(LevyLiteral(generations=300).run(problem, instances).status_names) == {Status.FEASIBLE.name}


def test_a_solution_is_one_solution() -> None:
    with pytest.raises(InvalidInput, match="population"):
        LevyLiteral(population=2)


def test_problems_without_continuous_decisions_for_each_task_are_refused() -> None:
    message = "solver 'levy-literal' does not serve problem 'partial_mobile'"
    with pytest.raises(Unsupported, match=re.escape(message)):
        LevyLiteral().require(offloadopt.problem("partial_mobile"))


def test_it_conforms() -> None:
    check_solver(LevyLiteral(generations=20), small())
