"""The relaxation of task queues: a bound at any prices, against every decision of small instances."""

from __future__ import annotations

import numpy as np
import pytest

import offloadopt
from offloadopt.clock import Deadline
from offloadopt.problems.battery_d2d.scenario import BatteryD2DScenario
from offloadopt.solvers.task_queues import dual_bound
from offloadopt.solvers.task_queues.dual_bound import Relaxation, ageing_of, secants
from offloadopt.solvers.task_queues.tables import tables

from toys.small_task_queues import CASES, FEW_MODES, NEARLY_EMPTY, all_costs, small_d2d

ALL_MODES = {name: BatteryD2DScenario.model_fields[name].default for name in FEW_MODES}
SCENARIOS = {**CASES, "nearly empty": NEARLY_EMPTY}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_decision_costs_less_at_any_prices(name: str) -> None:
    problem, rng = small_d2d(**SCENARIOS[name]), np.random.default_rng(2)
    instances = problem.sample(3, seed=11)
    data = problem.hindsight_data(instances)
    for row in range(3):
        least = all_costs(problem, instances.take([row])).min()
        t = tables(data, row)
        relaxation = Relaxation(t)
        for number in range(10):
            relaxation.secants = secants(t, 1 + number % 5)
            task = np.where(data.arrives[row], rng.uniform(0.0, data.failure_cost, data.arrives[row].shape), 0.0)
            joule = rng.uniform(0.0, rng.choice([0.01, 0.3, 2.0]), problem.devices)
            assert relaxation.value(task, joule)[0] <= least * (1 + 1e-9)
        assert 0.0 <= relaxation.ascend(Deadline()) <= least * (1 + 1e-9)


def test_full_batteries_and_free_queues_leave_little_to_relax() -> None:
    problem = small_d2d(start_share=1.0, ageing_weight=0.0, task_chance=0.4)
    instances = problem.sample(3, seed=5)
    data = problem.hindsight_data(instances)
    for row in range(3):
        least = all_costs(problem, instances.take([row])).min()
        assert Relaxation(tables(data, row)).ascend(Deadline()) >= 0.98 * least


def test_at_the_size_of_the_paper_it_exceeds_the_relaxation_without_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    # 287.5 is the linear relaxation of this instance in which no task waits, as HiGHS solved it.
    monkeypatch.setattr(dual_bound, "STARTS", dual_bound.STARTS[:1])
    monkeypatch.setattr(dual_bound, "PATIENCE", (30, 1))
    problem = offloadopt.problem("battery_d2d")
    relaxation = Relaxation(tables(problem.hindsight_data(problem.sample(1, seed=999)), 0))
    assert relaxation.ascend(Deadline()) > 287.5


def test_where_an_ascent_stalls_another_start_gets_further(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small_d2d(users=3, horizon=12, task_chance=0.5, battery_j=70.0, room_m=60.0, **ALL_MODES)
    relaxation = Relaxation(tables(problem.hindsight_data(problem.sample(4, seed=1)), 3))
    monkeypatch.setattr(dual_bound, "LINES", 1)
    best, relaxation.best = relaxation.ascend(Deadline()), -np.inf
    monkeypatch.setattr(dual_bound, "STARTS", dual_bound.STARTS[:1])
    assert best > 1.002 * relaxation.ascend(Deadline())


def test_more_secants_of_ageing_raise_the_bound_where_batteries_are_not_emptied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = small_d2d(users=3, horizon=2)
    t = tables(problem.hindsight_data(problem.sample(1, seed=1)), 0)
    best = Relaxation(t).ascend(Deadline())
    monkeypatch.setattr(dual_bound, "LINES", 1)
    assert best > 1.1 * Relaxation(t).ascend(Deadline())


def test_a_continuous_discharge_ages_as_many_small_ones() -> None:
    problem = small_d2d()
    t = tables(problem.hindsight_data(problem.sample(1, seed=1)), 0)
    used = np.linspace(0.0, 1.0, 2001)[:, None] * t.start_j
    level = (t.start_j - (used[1:] + used[:-1]) / 2.0) / t.capacity_j
    slope = t.life_cost / t.capacity_j * np.exp(t.level_stress * (level - 0.5))
    np.testing.assert_allclose(ageing_of(t, t.start_j), (slope * np.diff(used, axis=0)).sum(axis=0), rtol=1e-6)
