"""Shared servers: a toy conforms, and is solved to the optimum of enumeration."""

from __future__ import annotations

import numpy as np

import offloadopt
from offloadopt.core import Decisions, Scenario
from offloadopt.testing import check_problem, check_solver

from toys.enumeration import best_by_enumeration
from toys.shared_servers import CABLE, CPU_HZ, Factory


def test_a_toy_conforms() -> None:
    toy = Factory(Scenario())
    check_problem(toy)
    check_solver(offloadopt.solver("exact", toy), toy)


def test_the_exact_solver_finds_the_optimum_of_enumeration() -> None:
    toy = Factory(Scenario())
    instances = toy.sample(4, seed=2)
    solutions = offloadopt.solver("exact", toy).run(toy, instances)
    best = [best_by_enumeration(toy, instances.take([row])) for row in range(4)]
    np.testing.assert_allclose(solutions.objective, best, rtol=1e-6)
    assert (solutions.objective < toy.tasks).all()  # all local


def test_no_grid_of_decisions_costs_less_than_the_exact_solution() -> None:
    toy = Factory(Scenario())
    instances = toy.sample(1, seed=2)
    best = offloadopt.solver("exact", toy).run(toy, instances).objective[0]
    rng, many = np.random.default_rng(0), instances.take(np.zeros(20_000, dtype=int))
    computer = rng.integers(0, 3, (many.count, 3))
    cpu_hz = CPU_HZ * rng.dirichlet(np.ones(3), many.count)
    tried = Decisions({"computer": computer, "ratio": rng.uniform(0, 1, (many.count, 3)), "cpu_hz": cpu_hz})
    cost = toy.evaluate(many, tried).cost
    assert best <= cost.min() <= 1.5 * best


def test_costs_count_the_users_of_each_server() -> None:
    toy = Factory(Scenario())
    bits = toy.sample(1, seed=2)["bits"][0]
    costs = toy.costs(toy.sample(1, seed=2))
    server, whole, cpu_hz, tasks = costs.allocate(np.array([[1, 3, 0]]))
    assert (server[0].tolist(), whole[0].tolist()) == ([0, 0, -1], [False, True, False])
    np.testing.assert_allclose(tasks.send_s[0, :2], 2 * bits[:2] / CABLE[0])
    assert cpu_hz[0].sum() <= CPU_HZ * (1 + 1e-12)
    assert costs.cost(np.zeros((1, 3), dtype=int)) == [3.0]
    assert costs.take(slice(0)).cost(np.zeros((0, 2, 3), dtype=int)).shape == (0, 2)
