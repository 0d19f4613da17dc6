"""Lévy search of powers: its simulation against the problem's, its results against start and proved optimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Status
from offloadopt.problems.carbon_mimo import CarbonMimo
from offloadopt.solvers.backlog.baselines import GreedyLocal, GreedyOffload
from offloadopt.solvers.backlog.levy import BacklogLevy, BufferCosts, decode
from offloadopt.structures.actions import EnergyControls
from offloadopt.testing import check_solver

CASES: dict[str, dict[str, Any]] = {
    "paper": {},
    "battery": {"battery_j": 1e-3},
    "small buffers": {"buffer_bits": 4e3, "start_bits": 3e3},
    "charged as by the ancestor": {"charge": "ancestor", "harvest_w": 0.0, "buffer_bits": None, "start_bits": 4e4},
    "charged literally": {"charge": "literal"},
}


def small(**changes: Any) -> CarbonMimo:
    problem = offloadopt.problem("carbon_mimo", **{"users": 2, "antennas": 4, "horizon": 8, **changes})
    assert isinstance(problem, CarbonMimo)
    return problem


@pytest.mark.parametrize("case", CASES)
def test_the_simulation_costs_what_the_problem_charges(case: str) -> None:
    problem, rng = small(**CASES[case]), np.random.default_rng(2)
    instances = problem.sample(3, seed=1)
    balance, share = rng.uniform(-1, 1, (3, 6, 2, 8)), rng.uniform(0, 1, (3, 6, 2, 8))
    balance[:, :2] = np.round(balance[:, :2])  # limits and the green power too
    found = BufferCosts(problem.backlog(instances)).cost(balance, share)
    for member in range(6):
        decisions = decode(problem, instances, EnergyControls(problem), balance[:, member], share[:, member])
        charged = problem.evaluate(instances, decisions).agent_cost
        np.testing.assert_allclose(found[:, member], charged, rtol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_it_costs_no_more_than_its_starts_and_no_less_than_the_bound(case: str) -> None:
    problem = small(**CASES[case])
    instances = problem.sample(4, seed=5)
    proved = offloadopt.solve(problem, instances, "exact")
    starts = [rule.run(problem, instances).objective for rule in (GreedyLocal(), GreedyOffload())]
    found = BacklogLevy(generations=300).run(problem, instances)
    assert (found.objective >= proved.bound * (1 - 1e-9)).all()
    assert (found.objective <= np.min(starts, axis=0) * (1 + 1e-9)).all()
    assert set(found.status_names) == {Status.FEASIBLE.name}


def test_more_generations_come_close_to_the_optimum() -> None:
    problem = small()
    instances = problem.sample(4, seed=5)
    optimum = offloadopt.solve(problem, instances, "exact").objective
    gaps = [
        (BacklogLevy(generations=generations).run(problem, instances).objective / optimum - 1).mean()
        for generations in (30, 300, 3000)
    ]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 2e-3


def test_users_that_disturb_each_other_are_searched_by_the_problems_own_costs() -> None:
    problem = small(detector="mmse", antennas=2)
    instances = problem.sample(2, seed=0)
    few, more = (BacklogLevy(generations=n, population=2).run(problem, instances).objective for n in (1, 100))
    starts = [rule.run(problem, instances).objective for rule in (GreedyLocal(), GreedyOffload())]
    assert (few <= np.min(starts, axis=0) * (1 + 1e-9)).all()
    assert (more < 0.9 * few).all()


def test_the_threshold_changes_as_many_coordinates_as_the_papers() -> None:
    search, draws = BacklogLevy(), np.random.default_rng(0)
    assert search.threshold_for(30) == 0.5
    assert BacklogLevy(threshold=2.0).threshold_for(100) == 2.0
    changed = []
    for coordinates in (30, 3000):
        (steps,) = search.steps(draws, (400, coordinates), 1)
        changed.append((0.05 * np.abs(steps) > search.threshold_for(coordinates)).sum(axis=1).mean())
    assert changed[0] == pytest.approx(changed[1], rel=0.15)


def test_a_time_limit_ends_the_search() -> None:
    problem = small()
    found = BacklogLevy(generations=10**9, time_limit_s=0.02).run(problem, problem.sample(2, 0))
    assert (found.seconds < 1.0).all()
    assert np.isfinite(found.objective).all()


def test_it_conforms() -> None:
    check_solver(BacklogLevy(generations=5), small())
