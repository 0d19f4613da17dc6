"""Rules in blocks, timing of rows, and slots that are solved one by one."""

from __future__ import annotations

import time

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.problems.partial_mobile.scenario import PartialMobileScenario
from offloadopt.solvers import base
from offloadopt.solvers.assignment.baselines import Greedy
from offloadopt.solvers.base import solve_slots, timed_rows
from offloadopt.solvers.random import Random


def test_rows_are_timed_each_and_reported() -> None:
    seconds, reported = np.full(3, np.nan), []
    rows = []
    for row in timed_rows(seconds, reported.append):
        rows.append(row)
        time.sleep(0.02 * (row == 1))
    assert rows == [0, 1, 2]
    assert reported == [1, 1, 1]
    assert seconds[1] >= 0.02
    assert (seconds[[0, 2]] < 0.01).all()


def test_a_rule_works_in_blocks_whose_size_does_not_depend_on_the_number_of_instances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = registry.problem("carbon_mimo", horizon=3)
    instances = problem.sample(7, seed=0)
    entries = sum(array[0].size for array in instances.values())
    monkeypatch.setattr(base, "BLOCK_ENTRIES", 3 * entries)
    assert Random().block_size(problem) == 3
    reported: list[int] = []
    every = Random().run(problem, instances, seed=1, progress=reported.append)
    assert reported == [3, 3, 1]
    few = Random().run(problem, instances.take(slice(0, 4)), seed=1)
    for name, array in few.decisions.items():
        np.testing.assert_array_equal(array, every.decisions[name][:4])
    assert Random().run(problem, instances.take(slice(0, 0))).objective.shape == (0,)


def test_slots_are_solved_one_by_one_and_their_costs_add_up() -> None:
    problem = PartialMobile(PartialMobileScenario(users=3, horizon=4))
    instances = problem.sample(2, seed=0)
    reported: list[int] = []
    found = solve_slots(Greedy(), problem, instances, 0, reported.append)
    assert sum(reported) == 2
    costs = np.zeros(2)
    for slot in range(4):
        single = Greedy().run(problem.one_slot, instances.at_slot(slot))
        costs += single.objective
        np.testing.assert_array_equal(found.decisions["server"][:, slot], single.decisions["server"])
    np.testing.assert_allclose(found.objective, costs, rtol=1e-12)
    assert (found.bound == -np.inf).all()
