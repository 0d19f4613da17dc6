"""`grid-milp` against enumeration on its grid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from offloadopt import solver
from offloadopt.core import Decisions, Instances
from offloadopt.errors import Unsupported
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.problems.partial_mobile.scenario import QUINCUNX_M, PartialMobileScenario

from toys.shared_slots import one_slot


def best_on_grid(problem: PartialMobile, instance: Instances, levels: int) -> tuple[float, float]:
    """The cheapest of all decisions on the grid that overload no server, and of all, each evaluated."""
    top, sites, users = levels - 1, problem.sites, problem.tasks
    each = [(0, 0, 0), *itertools.product(range(1, sites + 1), range(1, levels), range(1, levels))]
    every = np.array(list(itertools.product(each, repeat=users)))  # [some, users, (server, ratio, cpu)]
    requests = [np.sum(every[..., 2] * (every[..., 0] == j), axis=1) for j in range(1, sites + 1)]
    calm = np.max(requests, axis=0) <= top
    decisions = Decisions(
        {
            "server": every[..., 0],
            "ratio": every[..., 1] / top,
            "cpu_hz": every[..., 2] / top * problem.scenario.cpu_server_hz,
        }
    )
    repeated = instance.take(np.zeros(len(every), dtype=np.int64))
    cost = problem.evaluate(repeated, decisions).cost
    return float(cost[calm].min()), float(cost.min())


@pytest.mark.parametrize("time_weight", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("users", "servers", "levels"), [(2, 2, 5), (3, 1, 4), (3, 2, 3)])
def test_the_grid_milp_finds_the_best_of_all_decisions_on_the_grid(
    users: int, servers: int, levels: int, time_weight: float
) -> None:
    problem = one_slot(users, servers, time_weight=time_weight)
    instance = problem.sample(1, seed=13)
    solved = solver("grid-milp", problem, levels=levels).run(problem, instance)
    calm, least = best_on_grid(problem, instance, levels)
    assert least * (1 - 1e-12) <= solved.objective[0] <= calm * (1 + 1e-6)
    assert solved.details["grid_bound"][0] <= least * (1 + 1e-12)
    if calm == least:  # nothing is gained by overload
        assert solved.objective[0] == pytest.approx(least, rel=1e-6)
        assert solved.details["grid_bound"][0] >= min(least, problem.scenario.overload_penalty) * (1 - 1e-5)
    assert solved.bound[0] == -np.inf


def test_a_server_is_overloaded_where_that_pays() -> None:
    problem = one_slot(5, 1, time_weight=0.1)
    instance = problem.sample(1, seed=13)
    solved = solver("grid-milp", problem, levels=3).run(problem, instance)
    calm, least = best_on_grid(problem, instance, levels=3)
    assert problem.evaluate(instance, solved.decisions).metrics["overload"][0] == 1
    assert solved.objective[0] == pytest.approx(least, rel=1e-6)
    assert solved.objective[0] < 0.9 * calm
    continuous = solver("exact", problem).run(problem, instance).bound[0]
    assert solved.details["grid_bound"][0] == pytest.approx(1.0 + continuous, rel=1e-6)


def test_the_grid_costs_no_less_than_the_continuum_and_less_when_refined() -> None:
    problem = one_slot(4, 2, time_weight=0.9)
    instances = problem.sample(2, seed=14)
    continuous = solver("exact", problem).run(problem, instances)
    coarse = solver("grid-milp", problem, levels=5).run(problem, instances)
    fine = solver("grid-milp", problem, levels=17).run(problem, instances)
    assert (continuous.bound <= fine.objective).all()
    assert (fine.objective < coarse.objective).all()
    assert (coarse.details["grid_bound"] > continuous.objective).all()


def test_decisions_lie_on_the_grid_and_a_high_penalty_lets_nobody_overload() -> None:
    scenario = PartialMobileScenario(
        users=12, horizon=2, time_weight=0.9, sites_m=QUINCUNX_M[:2], overload_penalty=12.0
    )
    problem = PartialMobile(scenario)
    instances = problem.sample(1, seed=15)
    solved = solver("grid-milp", problem).run(problem, instances)
    levels = solved.decisions["cpu_hz"] / 2.5e9
    np.testing.assert_array_equal(levels, np.rint(levels))
    np.testing.assert_array_equal(solved.decisions["ratio"] * 4, np.rint(solved.decisions["ratio"] * 4))
    assert problem.evaluate(instances, solved.decisions).metrics["overload"].max() == 0
    assert solved.details["grid_bound"].shape == (1, 2)


def test_no_model_is_built_after_the_time_limit() -> None:
    problem = one_slot(4, 2)
    solved = solver("grid-milp", problem, time_limit_s=1e-9).run(problem, problem.sample(1, seed=14))
    assert solved.objective[0] == 4.0  # all tasks compute locally
    assert solved.details["grid_bound"][0] == -np.inf


def test_other_problems_are_refused() -> None:
    with pytest.raises(Unsupported, match="PartialMobile"):
        solver("grid-milp").require(MultiServer(MultiServerScenario(users=2, servers=2)))
