"""The expert for task queues: who is chosen, and that the ranges agree."""

from __future__ import annotations

import numpy as np
import pytest

import offloadopt
from offloadopt.solvers.task_queues.expert import TaskQueuesExpert

from toys.small_task_queues import small_d2d


@pytest.mark.parametrize(
    ("users", "horizon", "chosen"),
    [(2, 2, "exhaustive"), (2, 3, "exact"), (4, 4, "exact"), (1, 17, "exact"), (8, 100, "exact"), (8, 126, "levy")],
)
def test_the_size_chooses_the_expert(users: int, horizon: int, chosen: str) -> None:
    assert TaskQueuesExpert().choose(small_d2d(users=users, horizon=horizon)).name == chosen


def test_the_ranges_agree_on_a_small_window() -> None:
    problem = small_d2d()
    instances = problem.sample(2, 3)
    ranges: tuple[dict[str, int], ...] = ({}, {"small": 0}, {"small": 0, "medium": 0})
    found = [TaskQueuesExpert(**sizes).run(problem, instances) for sizes in ranges]
    for each in found:
        np.testing.assert_allclose(each.objective, found[0].objective, rtol=1e-4)
    for each in found[1:]:
        assert (each.bound <= found[0].objective).all()
        np.testing.assert_allclose(each.bound, found[0].objective, rtol=2e-3)
    assert isinstance(offloadopt.solver("expert", problem), TaskQueuesExpert)
