"""Tasks in queues: a toy conforms, and is solved to the best of all its decisions."""

from __future__ import annotations

import pytest

import offloadopt
from offloadopt.core import Scenario
from offloadopt.testing import check_problem, check_solver

from toys.enumeration import best_of_all_decisions
from toys.task_queues import Robot


def test_a_toy_conforms() -> None:
    check_problem(Robot(Scenario()))
    check_solver(offloadopt.solver("exact", Robot(Scenario())), Robot(Scenario()))


def test_the_exact_solver_finds_the_best_of_all_decisions() -> None:
    toy = Robot(Scenario())
    instances = toy.sample(3, seed=2)
    solutions = offloadopt.solver("exact", toy, relative_gap=1e-6).run(toy, instances)
    assert solutions.status_names == ["OPTIMAL"] * 3
    for row in range(3):
        best = best_of_all_decisions(toy, instances.take([row]), {"target": (0, 1), "mode": (0, 1)})
        assert solutions.objective[row] == pytest.approx(best, rel=1e-6)


def test_sizes_follow_from_the_arrays() -> None:
    toy = Robot(Scenario())
    data = toy.hindsight_data(toy.sample(2, seed=0))
    assert (data.num_agents, data.devices, data.modes) == (1, 2, 2)
    assert (data.drop_cost, data.ageing_price, data.ageing.per_cycle) == (0.0, 0.0, 0.0)
