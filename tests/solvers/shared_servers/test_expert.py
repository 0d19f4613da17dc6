"""The expert for shared servers: who is chosen, and that Lévy search is certified."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.solvers.shared_servers.expert import SharedServersExpert


def problem_of(users: int) -> Any:
    return offloadopt.problem("partial_mobile", users=users, horizon=2)


@pytest.mark.parametrize(("users", "chosen"), [(3, "exhaustive"), (10, "exact"), (100, "exact"), (101, "levy")])
def test_the_size_chooses_the_expert(users: int, chosen: str) -> None:
    problem = problem_of(users)
    assert isinstance(offloadopt.solver("expert", problem), SharedServersExpert)
    assert SharedServersExpert().choose(problem).name == chosen


def test_levy_gets_the_bound_of_exact() -> None:
    problem = problem_of(4)
    instances = problem.sample(2, 0)
    optimum = offloadopt.solve(problem, instances, "exact").objective
    found = SharedServersExpert(small=0, medium=0, bound_gap=0.0).run(problem, instances)
    alone = offloadopt.solver("levy", problem, beta=1.1).run(problem, instances)
    np.testing.assert_array_equal(found.objective, alone.objective)
    np.testing.assert_allclose(found.bound, optimum, rtol=2e-6)
