"""`levy`: costs against the problem's, results against the proved optimum and the start."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt import clock, solver
from offloadopt.clock import Deadline
from offloadopt.core import Instances
from offloadopt.problems.twin_inference import TwinInference
from offloadopt.solvers.inference.base import instance_tasks, slot_decisions
from offloadopt.solvers.inference.levy import InferenceLevy, PlaceCosts


def make(**changes: Any) -> TwinInference:
    problem = offloadopt.problem("twin_inference", **changes)
    assert isinstance(problem, TwinInference)
    return problem


def place_costs(problem: TwinInference, instances: Instances) -> PlaceCosts:
    tasks, held_j = problem.observed_tasks(problem.observe(instances, problem.reset(instances)))
    of_rows = [instance_tasks(tasks, row) for row in range(instances.count)]
    return PlaceCosts(of_rows, problem.cost_weights, held_j, Deadline())


def all_at_home(problem: TwinInference, instances: Instances) -> Any:
    all_local = np.zeros((instances.count, 1, problem.num_agents * problem.places), dtype=np.int64)
    return place_costs(problem, instances).cost(all_local)[:, 0]


@pytest.mark.parametrize("changes", [{}, {"battery_j": 0.3}, {"limit_s": 0.4}, {"server_drains": True}], ids=str)
def test_places_cost_what_the_problem_charges(changes: dict[str, Any]) -> None:
    problem = make(users=3, servers=2, horizon=1, **changes)
    instances = problem.sample(6, seed=2)
    costs, rng = place_costs(problem, instances), np.random.default_rng(1)
    failures = 0
    for _ in range(20):
        drawn = rng.integers(0, 3, (6, 1, 12))
        decisions = slot_decisions(problem, [costs.plan(row, drawn[row, 0]) for row in range(6)])
        outcome = problem.evaluate(instances, decisions)
        np.testing.assert_allclose(costs.cost(drawn)[:, 0], outcome.cost, rtol=1e-9)
        failures += int(outcome.metrics["failures"].sum())
    assert failures > 0 or not changes


def test_looks_at_the_deadline_change_no_cost_and_what_is_left_then_costs_infinitely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = make(users=3, servers=2, horizon=1)
    instances, drawn = problem.sample(2, seed=2), np.random.default_rng(1).integers(0, 3, (2, 9, 12))
    whole = place_costs(problem, instances).cost(drawn)
    monkeypatch.setattr(clock, "LOOK_S", 0.0)
    costs = place_costs(problem, instances)
    np.testing.assert_array_equal(costs.cost(drawn), whole)
    costs.deadline = Deadline(0.0)
    assert np.isposinf(costs.cost(drawn)).all()


def test_it_costs_no_less_than_the_bound_and_no_more_than_all_at_home() -> None:
    problem = make(users=5, servers=3, horizon=1)
    instances = problem.sample(6, seed=5)
    proved = solver("exact", problem).run(problem, instances)
    previous = all_at_home(problem, instances)
    for generations in (1, 30, 300):
        found = solver("levy", problem, generations=generations).run(problem, instances).objective
        assert (found >= proved.bound * (1 - 1e-9)).all()
        assert (found <= all_at_home(problem, instances) * (1 + 1e-9)).all()
        assert found.mean() < previous.mean()
        previous = found
    assert previous.mean() <= 1.05 * proved.objective.mean()


def test_enough_rounds_find_the_best_of_all_places() -> None:
    problem = make(users=2, servers=2, tasks_max=2, horizon=1)
    instances = problem.sample(6, seed=3)
    every = np.array(list(itertools.product(range(3), repeat=4)))
    least = place_costs(problem, instances).cost(np.repeat(every[None], 6, axis=0)).min(axis=1)
    found = solver("levy", problem, generations=400).run(problem, instances).objective
    np.testing.assert_allclose(found, least, rtol=1e-9)


def test_more_instances_extend_fewer_and_another_seed_draws_others() -> None:
    problem = make(users=3, servers=2, horizon=2)
    instances = problem.sample(4, seed=3)
    search = InferenceLevy(generations=5)
    four, two = search.run(problem, instances, seed=7), search.run(problem, instances.take([0, 1]), seed=7)
    np.testing.assert_array_equal(four.decisions["server"][:2], two.decisions["server"])
    assert (search.run(problem, instances, seed=8).decisions["server"] != four.decisions["server"]).any()
