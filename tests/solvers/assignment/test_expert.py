"""The expert by size: who is chosen, and that its gap is certified whoever it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Solutions, Status
from offloadopt.errors import UnknownName, Unsupported
from offloadopt.solvers.assignment.expert import Expert


def problem_of(users: int, servers: int = 2) -> Any:
    return registry.problem("multi_server", "heterogeneous", users=users, servers=servers)


@pytest.mark.parametrize(
    ("users", "servers", "chosen"),
    [
        (9, 2, "exhaustive"),  # 3^9 = 19,683 assignments
        (10, 2, "exact"),
        (30, 2, "exact"),
        (200, 10, "exact"),
        (201, 10, "levy"),
    ],
)
def test_the_size_chooses_the_expert(users: int, servers: int, chosen: str) -> None:
    assert Expert().choose(problem_of(users, servers)).name == chosen


def test_limits_and_the_override_are_settings() -> None:
    problem = problem_of(6)
    assert Expert(small=0).choose(problem).name == "exact"
    assert Expert(small=0, medium=0).choose(problem).name == "levy"
    assert Expert(method="greedy").choose(problem).name == "greedy"
    limited = Expert(small=0, medium=0, beta=1.3, time_limit_s=2.0).choose(problem)
    assert (limited.beta, limited.time_limit_s) == (1.3, 2.0)  # type: ignore[attr-defined]
    with pytest.raises(UnknownName, match="no solver 'exakt'; did you mean 'exact'"):
        Expert(method="exakt").require(problem)
    with pytest.raises(Unsupported, match="exhaustive"):
        Expert(method="exhaustive").require(problem_of(100))


def test_an_expert_that_proves_nothing_is_measured_against_a_certified_bound() -> None:
    problem = problem_of(12)
    instances = problem.sample(20, 0)
    optimum = registry.solver("exact", problem).run(problem, instances).objective
    alone = registry.solver("greedy", problem).run(problem, instances)
    found = Expert(method="greedy", bound_gap=0.0).run(problem, instances)
    np.testing.assert_array_equal(found.decisions["server"], alone.decisions["server"])
    assert (alone.bound == -np.inf).all()
    np.testing.assert_allclose(found.gap, alone.objective / optimum - 1.0, rtol=1e-4, atol=1e-6)
    assert (found.gap > 0.01).any()

    loose = Expert(method="greedy", bound_gap=0.5).run(problem, instances)
    assert (loose.bound <= optimum).all()
    assert np.isfinite(loose.bound).all()


def test_all_three_ranges_agree_where_all_can_prove() -> None:
    problem = problem_of(6)
    instances = problem.sample(10, 1)
    ranges: dict[str, Solutions] = {
        "exhaustive": Expert().run(problem, instances),
        "exact": Expert(small=0).run(problem, instances),
        "levy": Expert(small=0, medium=0, bound_gap=0.0).run(problem, instances),
    }
    for found in ranges.values():
        np.testing.assert_allclose(found.bound, ranges["exhaustive"].objective, rtol=2e-6)
        assert (found.status[found.gap <= 1e-6] == Status.OPTIMAL).all()
    assert (ranges["exact"].status == Status.OPTIMAL).all()
