"""The expert for buffers: exact where they are independent, Lévy search where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.solvers.backlog.expert import BacklogExpert


def problem_of(**changes: Any) -> Any:
    return offloadopt.problem("carbon_mimo", **{"users": 2, "antennas": 2, "horizon": 4, **changes})


@pytest.mark.parametrize(
    ("changes", "chosen"),
    [({}, "exact"), ({"battery_j": 1e-3}, "exact"), ({"detector": "mmse"}, "levy"), ({"csi_error": 0.1}, "levy")],
)
def test_independence_chooses_the_expert(changes: dict[str, Any], chosen: str) -> None:
    assert BacklogExpert().choose(problem_of(**changes)).name == chosen


def test_any_solver_of_independent_buffers_is_certified() -> None:
    problem = problem_of()
    instances = problem.sample(3, 0)
    proved = offloadopt.solve(problem, instances, "exact")
    greedy = BacklogExpert(method="greedy-local").run(problem, instances)
    np.testing.assert_array_equal(greedy.bound, proved.bound)
    assert (greedy.gap > 0.1).all()


def test_where_users_disturb_each_other_nothing_is_proved() -> None:
    problem = problem_of(detector="mrc")
    found = BacklogExpert(time_limit_s=0.2).run(problem, problem.sample(1, 0))
    assert found.status_names == ["FEASIBLE"]
