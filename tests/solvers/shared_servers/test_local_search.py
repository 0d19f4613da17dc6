"""Local search ends where neither a move nor a swap improves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.core import Observation
from offloadopt.solvers.shared_servers import local_search as module
from offloadopt.solvers.shared_servers.local_search import evaluate_assignment, local_search

from toys.shared_slots import one_slot, slot_tasks


def test_the_search_ends_where_neither_a_move_nor_a_swap_improves() -> None:
    problem = one_slot(6, 2, time_weight=0.9, cpu_server_hz=3e9)
    instance = problem.sample(1, seed=12)
    slot = slot_tasks(problem, instance)
    found, cost, saving = local_search(slot, np.full(6, 0), Deadline())
    costs = problem.costs(Observation(instance))
    assert cost == pytest.approx(costs.cost(found[None])[0], rel=1e-12)
    neighbours = []
    for i, option in itertools.product(range(6), range(5)):
        neighbours.append(np.where(np.arange(6) == i, option, found))
    for i, k in itertools.combinations(range(6), 2):
        swapped = found.copy()
        swapped[[i, k]] = found[[k, i]]
        neighbours.append(swapped)
    assert (costs.cost(np.array(neighbours)[None]) >= cost * (1 - 1e-10)).all()
    assert (saving <= cost).all()


def test_checks_of_the_deadline_change_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = one_slot(12, 3, time_weight=0.9, cpu_server_hz=3e9)
    slot = slot_tasks(problem, problem.sample(1, seed=12))
    found, _, _ = local_search(slot, np.full(12, 0), Deadline())
    monkeypatch.setattr(module, "TURNS_PAIRS", 1)
    np.testing.assert_array_equal(local_search(slot, np.full(12, 0), Deadline())[0], found)


def test_evaluation_equals_the_problems_and_savings_are_what_removal_saves() -> None:
    problem = one_slot(5, 2, time_weight=0.9, cpu_server_hz=3e9)
    instance = problem.sample(1, seed=3)
    slot, server = slot_tasks(problem, instance), np.array([0, 1, 0, -1, 1])
    arguments = slot.tasks, slot.time_weight, slot.cpu_max_hz
    cost, whole, saving = evaluate_assignment(server, *arguments)
    assignment = np.where(server < 0, 0, server + 1 + np.where(whole, 2, 0))
    assert cost == pytest.approx(problem.costs(Observation(instance)).cost(assignment[None])[0], rel=1e-12)
    for task in range(5):
        removed = server.copy()
        removed[task] = -1
        assert saving[task] == pytest.approx(cost - evaluate_assignment(removed, *arguments)[0] + 1.0, rel=1e-9)
