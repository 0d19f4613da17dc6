"""Choices of a window: their costs are the problem's, and depend on nothing but what is said to affect them."""

from __future__ import annotations

import itertools

import numpy as np

from offloadopt.solvers.models.battery_d2d_choices import WindowChoices
from offloadopt.solvers.task_queues.task_options import SendOutcome, build_tasks

from toys.small_task_queues import all_costs, small_d2d


def window(**changes: float) -> tuple[WindowChoices, list[list[tuple[int, int]]]]:
    """A window, and all consistent choices."""
    problem = small_d2d(**changes)
    instance = problem.sample(1, seed=5)
    choices = WindowChoices(problem, instance, build_tasks(problem.hindsight_data(instance), 0))
    modes = {outcome: 2 if outcome is SendOutcome.DELIVERED else 1 for outcome in SendOutcome}
    each = [
        [(o, k) for o, option in enumerate(task.options) for k in range(modes[option.outcome])]
        for task in choices.tasks
    ]
    return choices, [list(every) for every in itertools.product(*each) if choices.consistent(list(every))]


def test_all_choices_have_the_costs_of_all_decisions() -> None:
    choices, every = window()
    costs = choices.costs(every).sum(axis=1)
    assert costs.min() == all_costs(choices.problem, choices.instance).min()
    evaluated = choices.problem.evaluate(choices.instance.take([0] * len(every)), choices.decisions(every)).cost
    np.testing.assert_allclose(costs, evaluated, rtol=1e-12)


def test_a_cost_changes_only_with_what_affects_it() -> None:
    choices, every = window(slot_s=0.4)
    costs = choices.costs(every)
    columns = [
        {(k, o) for k, (o, _) in enumerate(one)}
        | {(k, choices.tasks[k].options[o].device, mode) for k, (o, mode) in enumerate(one)
           if choices.tasks[k].options[o].outcome is SendOutcome.DELIVERED}
        for one in every
    ]  # fmt: skip
    for row in range(0, len(every), 7):
        for n in range(len(choices.tasks)):
            same, others = choices.affecting(n, every[row])
            for other in range(len(every)):
                if set(same) <= columns[other] and not set(others) & columns[other]:
                    assert abs(costs[other, n] - costs[row, n]) <= 1e-12 * costs[row, n]


def test_neighbours_are_consistent_and_begin_with_the_choices_themselves() -> None:
    choices, every = window()
    near = choices.neighbours(every[0])
    assert near[0] == every[0]
    assert len(near) > len(choices.tasks)
    for one in near:
        assert choices.consistent(one)
        assert sum(a != b for a, b in zip(one, every[0], strict=True)) <= 1
