"""The MILP of task queues: a lower bound of every decision, exact where cuts are added."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.core import Decisions
from offloadopt.solvers.task_queues.milp_model import Choice, TaskQueueMilp
from offloadopt.solvers.task_queues.task_options import build_tasks

from toys.small_task_queues import CASES, all_costs, small_d2d


@pytest.mark.parametrize("case", CASES)
def test_the_first_model_is_a_lower_bound_of_every_decision(case: str) -> None:
    """Before any cut is added, and without an incumbent that would hide an error."""
    problem = small_d2d(**CASES[case])
    instances = problem.sample(4, seed=5)
    data = problem.hindsight_data(instances)
    for row in range(4):
        tasks = build_tasks(data, row)
        if not tasks:
            continue
        model = TaskQueueMilp(data, row, tasks, Deadline())
        costs = all_costs(problem, instances.take([row]))
        assert least_of(model) <= costs.min() * (1 + 1e-6)


def least_of(model: TaskQueueMilp) -> float:
    """The optimum of a model, by another MILP interface."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    columns, rows = model.milp, model.milp.rows
    entries = [(i, column, value) for i, (terms, _, _) in enumerate(rows) for column, value in terms]
    where, what, values = zip(*entries, strict=True)
    matrix = coo_array((values, (where, what)), shape=(len(rows), len(columns.low))).tocsr()
    whole = np.zeros(len(columns.low))
    whole[columns.integers] = 1
    found = milp(
        np.array(columns.costs),
        integrality=whole,
        bounds=Bounds(np.array(columns.low), np.array(columns.high)),
        constraints=LinearConstraint(matrix, [low for _, low, _ in rows], [high for _, _, high in rows]),
    )
    assert found.success, found.message
    return float(found.fun)


def test_a_cost_cut_makes_the_optimum_at_these_choices_exact_and_is_added_once() -> None:
    problem = small_d2d(**CASES["ageing counts most"])
    instance = problem.sample(4, seed=5).take([1])
    data = problem.hindsight_data(instance)
    tasks = build_tasks(data, 0)
    assert tasks
    model = TaskQueueMilp(data, 0, tasks, Deadline())
    # Every task at home in the slowest mode.
    choices = [Choice(0, problem.modes - 1) for _ in tasks]
    shape = (1, problem.horizon, problem.num_agents)
    target, mode = np.zeros(shape, dtype=np.int64), np.full(shape, problem.modes - 1)
    state, costs = problem.reset(instance), []
    for slot in range(problem.horizon):
        state, outcome = problem.step(instance, state, Decisions({"target": target[:, slot], "mode": mode[:, slot]}))
        costs.append(outcome.agent_cost[0])
    exact = np.array([costs[task.slot][task.agent] for task in tasks])
    for n, task in enumerate(tasks):  # fix the choices
        model.milp.add_row([(model.option_column[n][0], 1.0)], low=1.0)
        model.milp.add_row([(model.mode_column[n][task.agent][problem.modes - 1], 1.0)], low=1.0)
    before = least_of(model)
    assert before < exact.sum() * (1 - 1e-6)
    assert model.add_cost_cuts(choices, exact) > 0
    assert model.add_cost_cuts(choices, exact) == 0
    assert least_of(model) == pytest.approx(exact.sum(), rel=1e-6)
