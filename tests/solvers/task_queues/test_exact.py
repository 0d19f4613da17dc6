"""Hindsight of tasks in queues against all decisions there are, each paid by the problem itself."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Decisions, Instances, Status
from offloadopt.problems.battery_d2d import BatteryD2D
from offloadopt.solvers.task_queues.exact import TaskQueuesExact
from offloadopt.solvers.task_queues.milp_model import QueueModel
from offloadopt.solvers.task_queues.task_options import SendOutcome, tasks_of
from offloadopt.testing import check_solver

FEW_MODES = {
    "mobile_hz": (1.8e9, 0.8e9),
    "mobile_v": (1.2, 0.9),
    "edge_hz": (2.6e9, 1.0e9),
    "edge_v": (1.3, 1.05),
}
CASES: dict[str, dict[str, Any]] = {
    "paper": {},
    "batteries end": {"battery_j": 25.0, "start_share": 0.1, "ageing_weight": 1e4},
    "hurry": {"deadline_min_s": (0.3, 0.3, 0.3), "deadline_max_s": (0.6, 0.8, 1.0)},
    "leisure and short slots": {"slot_s": 0.3, "deadline_min_s": (3.0, 3.0, 3.0), "deadline_max_s": (4.0, 5.0, 6.0)},
    "often disconnected": {"disconnect_chance": 0.3},
    "one subchannel": {"subchannels": 1},
    "weak links": {"reference_gain_db": -65.0, "room_m": 30.0},
    "ageing counts most": {"ageing_weight": 3e7, "battery_j": 120.0, "slot_s": 0.5},
    "odd voltages": {"mobile_v": (0.9, 1.2), "slot_s": 0.4, "disconnect_chance": 0.1},
}


EMPTY: dict[str, Any] = {"battery_j": 0.05, "start_share": 0.0}


def make(**changes: Any) -> BatteryD2D:
    small = {"users": 2, "servers": 1, "horizon": 2, "task_chance": 0.8, "room_m": 40.0}
    problem = offloadopt.problem("battery_d2d", **{**small, **FEW_MODES, **changes})
    assert isinstance(problem, BatteryD2D)
    return problem


def all_costs(problem: BatteryD2D, instance: Instances) -> np.ndarray:
    """The cost of every decision for the tasks of one instance."""
    places = np.argwhere(instance["arrives"][0])
    options = list(itertools.product(range(problem.devices), range(problem.modes)))
    every = np.array(list(itertools.product(options, repeat=len(places))), dtype=np.int64)
    shape = (len(every), problem.horizon, problem.num_agents)
    target, mode = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for number, (slot, agent) in enumerate(places):
        target[:, slot, agent], mode[:, slot, agent] = every[:, number].T
    many = instance.take(np.zeros(len(every), dtype=np.int64))
    return np.asarray(problem.evaluate(many, Decisions({"target": target, "mode": mode})).cost)


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_cheapest_of_all_decisions(case: str) -> None:
    problem = make(**CASES[case])
    instances = problem.sample(3, seed=11)
    solutions = TaskQueuesExact(relative_gap=1e-6).run(problem, instances)
    least = np.array([all_costs(problem, instances.take([row])).min() for row in range(3)])
    np.testing.assert_allclose(solutions.objective, least, rtol=1e-9)
    assert (solutions.bound <= least * (1 + 1e-9)).all()
    assert (solutions.status == Status.OPTIMAL).all(), solutions.gap


def test_where_senders_batteries_end_the_bound_holds() -> None:
    problem = make(**EMPTY)
    instances = problem.sample(3, seed=11)
    solutions = TaskQueuesExact(time_limit_s=2.0).run(problem, instances)
    least = np.array([all_costs(problem, instances.take([row])).min() for row in range(3)])
    assert (solutions.bound <= least * (1 + 1e-9)).all()
    assert (solutions.objective >= least * (1 - 1e-9)).all()


@pytest.mark.parametrize("case", CASES)
def test_the_first_model_is_a_lower_bound_of_every_decision(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything was cut off, and without an incumbent that would hide what is wrong."""
    problem = make(**CASES[case])
    instances = problem.sample(4, seed=5)
    view = problem.hindsight_data(instances)
    for row in range(4):
        tasks = tasks_of(view, row)
        if not tasks:
            continue
        model = QueueModel(view, row, tasks)
        costs = all_costs(problem, instances.take([row]))
        assert _least_of(model) <= costs.min() * (1 + 1e-6)


def _least_of(model: QueueModel) -> float:
    """The optimum of a model, by another MILP interface."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    columns, rows = model.columns, model.columns.rows
    entries = [(i, column, value) for i, (terms, _, _) in enumerate(rows) for column, value in terms]
    where, what, values = zip(*entries, strict=True)
    matrix = coo_array((values, (where, what)), shape=(len(rows), len(columns.low))).tocsr()
    whole = np.zeros(len(columns.low))
    whole[columns.whole] = 1
    found = milp(
        np.array(columns.price),
        integrality=whole,
        bounds=Bounds(np.array(columns.low), np.array(columns.high)),
        constraints=LinearConstraint(matrix, [low for _, low, _ in rows], [high for _, _, high in rows]),
    )
    assert found.success, found.message
    return float(found.fun)


def test_what_batteries_allow_is_told_apart() -> None:
    problem = make(**EMPTY)
    tasks = tasks_of(problem.hindsight_data(problem.sample(1, 11)), 0)
    fates = {way.fate for task in tasks for way in task.ways}
    assert SendOutcome.CUT in fates
    rich = make()
    assert all(
        way.fate is not SendOutcome.CUT
        for task in tasks_of(rich.hindsight_data(rich.sample(1, 11)), 0)
        for way in task.ways
    )


def test_a_time_limit_leaves_a_bound() -> None:
    problem = offloadopt.problem("battery_d2d", users=4, horizon=6)
    solutions = TaskQueuesExact(time_limit_s=0.2).run(problem, problem.sample(1, 0))
    assert 0.0 <= solutions.bound[0] <= solutions.objective[0]
    assert Status(int(solutions.status[0])) in (Status.BOUNDED, Status.OPTIMAL)


def test_it_conforms() -> None:
    check_solver(TaskQueuesExact(), make())
    check_solver(TaskQueuesExact(), make(dvfs=False))
