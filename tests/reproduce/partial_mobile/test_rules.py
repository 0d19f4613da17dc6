"""The two uncoordinated baselines."""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.problems.partial_mobile import PartialMobile, PartialMobileScenario
from offloadopt.reproduce.partial_mobile import measurements

from toys.tiny_papers.partial_mobile import STUDY


def mobile(**changes: Any) -> PartialMobile:
    return PartialMobile(PartialMobileScenario(**STUDY.scenario(**changes)))


def test_random_requests_lie_on_the_papers_grid_and_extend_with_more_instances() -> None:
    problem = mobile()
    solver = measurements.MEASURE.solver(problem, "random-requests", {})
    instances = problem.sample(50, 1)
    decisions = solver.run(problem, instances, seed=3).decisions
    assert set(np.unique(decisions["ratio"])) == set(np.unique(decisions["cpu_hz"] / 10e9)) == set(np.arange(5) / 4)
    assert set(np.unique(decisions["server"])) == {1, 2, 3, 4, 5}
    fewer = solver.run(problem, problem.sample(4, 1), seed=3).decisions
    np.testing.assert_array_equal(fewer["server"][:, 0], decisions["server"][:4, 0])


def test_edge_only_requests_an_even_share_of_all_servers_and_at_most_one() -> None:
    for users, share in ((2, 1.0), (10, 0.5)):
        problem = mobile(users=users)
        instances = problem.sample(3, 1)
        decisions = measurements.MEASURE.solver(problem, "edge-only", {}).run(problem, instances).decisions
        distance = np.linalg.norm(instances["position_m"][..., None, :] - problem.sites_m, axis=-1)
        np.testing.assert_array_equal(decisions["server"], distance.argmin(axis=-1) + 1)
        assert (decisions["ratio"] == 1.0).all()
        np.testing.assert_allclose(decisions["cpu_hz"], share * 10e9)
