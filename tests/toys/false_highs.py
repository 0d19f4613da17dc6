"""HiGHS that claims what is false, and searches from bad incumbents that use it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.clock import Deadline
from offloadopt.core import Observation
from offloadopt.solvers import highs
from offloadopt.solvers.assignment.core_milp import AssignmentMilp
from offloadopt.solvers.assignment.dual_bound import find_prices
from offloadopt.solvers.assignment.local_search import assignment_cost
from offloadopt.solvers.highs import Answer
from offloadopt.solvers.inference.dual_bound import bound_at_prices
from offloadopt.solvers.inference.resource_allocation import local_set_costs
from offloadopt.solvers.inference.set_partitioning import SetEnumeration, SetPartitioningMilp, improve_task_prices
from offloadopt.solvers.shared_servers.core_milp import SharedServersMilp
from offloadopt.solvers.task_queues import exact as task_queues_exact

from toys.inference_slots import cost_of_options, least_of_all, slot_of, small_inference
from toys.priced_costs import enumerate_optimum, random_costs
from toys.shared_slots import loose_bound, one_slot
from toys.small_task_queues import CASES, all_costs, small_d2d

Lie = Callable[[Answer], Answer]
Search = Callable[[], tuple[float, float, float]]
"""Returns the cost found, the bound proved, and the least cost."""


def raised(share: float) -> Lie:
    """A bound that is too high by a share of the objective."""
    return lambda answer: replace(answer, bound=answer.bound + share * max(1.0, abs(answer.bound)))


def infeasible(answer: Answer) -> Answer:
    """Neither a solution nor prices."""
    return replace(answer, status="kInfeasible", bound=np.inf, values=np.empty(0), row_dual=np.empty(0))


def without_solution(answer: Answer) -> Answer:
    """A time limit before the first solution."""
    return replace(answer, status="kTimeLimit", values=np.empty(0), row_dual=np.empty(0))


def not_a_number(answer: Answer) -> Answer:
    """Nothing but NaN."""
    nothing = np.full(len(answer.values), np.nan)
    return replace(answer, bound=np.nan, objective=np.nan, values=nothing, row_dual=answer.row_dual * np.nan)


def false_prices(answer: Answer) -> Answer:
    """Prices far from those of the solution."""
    return replace(answer, row_dual=1.0 - 7.0 * answer.row_dual)


def optimal_at_once(answer: Answer) -> Answer:
    """The first solution is called optimal (`FalseHighs` stops HiGHS there)."""
    return replace(answer, status="kOptimal", bound=answer.objective if answer.found else answer.bound)


class FalseHighs:
    """Runs HiGHS, and applies lies by the seeds of runs to the answers for MILPs, or for linear programmes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lies: dict[int, Lie], *, integer: bool = True) -> None:
        self.told, truth = 0, highs.read_answer

        def read(model: Any) -> Answer:
            lie = lies.get(model.getOptionValue("random_seed")[1])
            if lie is None or bool(len(model.getLp().integrality_)) != integer:
                return truth(model)
            self.told += 1
            if lie is optimal_at_once:
                model.setOptionValue("mip_max_improving_sols", 1)
                model.clearSolver()
                model.run()
                model.setOptionValue("mip_max_improving_sols", 2**31 - 1)
            return lie(truth(model))

        monkeypatch.setattr(highs, "read_answer", read)


LIES: dict[str, dict[int, Lie]] = {
    "bounds 1e-3 too high in the first run": {0: raised(1e-3)},
    "bounds 1e-3 too high in the second run": {1: raised(1e-3)},
    "bounds 12 % too high in every run": dict.fromkeys(range(3), raised(0.12)),
    "bounds 12 % too high and no solution in the first run": {0: lambda answer: without_solution(raised(0.12)(answer))},
    "infeasible in the first run": {0: infeasible},
    "infeasible in the second run": {1: infeasible},
    "infeasible in the second run, and the first unfinished": {0: without_solution, 1: infeasible},
    "infeasible in the first run, and the second unfinished": {0: infeasible, 1: without_solution},
    "optimal at once in the first run": {0: optimal_at_once},
    "optimal at once in the second run": {1: optimal_at_once},
    "NaN in every run": dict.fromkeys(range(3), not_a_number),
    "infinite bounds in every run": dict.fromkeys(range(3), lambda answer: replace(answer, bound=np.inf)),
}
"""What is false, by the seed of the run."""


def assignment() -> tuple[float, float, float]:
    """Found cost, proved bound and least cost of an assignment, from all tasks on their own CPUs on."""
    costs = random_costs(np.random.default_rng(2), tasks=7, servers=3)
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)
    v, start = find_prices(*arguments[:3]), np.zeros(7, dtype=np.int64)
    milp = AssignmentMilp(arguments, v, start, np.arange(7), 1e-9)
    bound = milp.prove(Deadline())
    return assignment_cost(*arguments, milp.assignment), bound, float(enumerate_optimum(costs)[0])


def shared_servers() -> tuple[float, float, float]:
    """The same of a slot with shared servers, from the worst assignment on."""
    problem = one_slot(4, 2, time_weight=0.7, cpu_server_hz=1e9)
    instance = problem.sample(1, seed=0)
    bound, every, cost = loose_bound(problem, instance, 0)
    modes, everything = problem.splitting(instance).take(0), np.ones((2, 4, 2, 4), dtype=bool)
    costs, worst, least = problem.costs(Observation(instance)), every[cost.argmax()], float(cost.min())
    milp = SharedServersMilp(modes, everything, bound, costs, worst, float(cost.max()), 1e-6 * least)
    proved = milp.prove(Deadline())
    return milp.upper, proved, least


def set_partitioning() -> tuple[float, float, float]:
    """The same of a slot of edge inference, from the failure of all tasks on."""
    problem = small_inference(users=2, servers=2, tasks_max=2, horizon=1, battery_j=1e6)
    instances = problem.sample(2, seed=2)
    slot = slot_of(problem, instances, 1)
    local_cost = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 4)
    enumeration = SetEnumeration(slot, local_cost, bound_at_prices(slot, local_cost, np.full((2, 2), 0.5)), Deadline())
    failing, upper = np.full(slot.tasks, -1, dtype=np.int64), float(slot.failure_costs.sum())
    prices = improve_task_prices(enumeration, np.zeros(slot.tasks), failing, upper, 1e-6, Deadline())
    assert prices is not None
    loose = 0.9 * prices.bound
    found = enumeration.sets_within(prices.task_price, np.full(2, np.inf), upper - loose)
    assert found is not None
    milp = SetPartitioningMilp(slot, found[0], replace(prices, bound=loose, option=failing, upper=upper), 1e-6 * upper)
    bound = milp.prove(Deadline())
    cost = cost_of_options(problem, instances.take([1]), [slot], [milp.option])[0]
    return float(cost), bound, least_of_all(problem, instances, 1)


def task_queues() -> tuple[float, float, float]:
    """The same of task queues, from all tasks at home in the slowest mode on."""
    problem = small_d2d(**CASES["tight deadlines"])
    instance = problem.sample(3, seed=11).take([1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_queues_exact, "MOVES", (0, 0))
        solutions = task_queues_exact.TaskQueuesExact().run(problem, instance)
    return solutions.objective[0], solutions.bound[0], float(all_costs(problem, instance).min())


def general_milp() -> tuple[float, float, float]:
    """The same of the general MILP of a problem, from all tasks on their own CPUs on."""
    problem = offloadopt.problem("multi_server", users=4, servers=2)
    instance = problem.sample(1, seed=0)
    solutions = offloadopt.solver("milp", problem, relative_gap=1e-5).run(problem, instance)
    return (
        solutions.objective[0],
        solutions.bound[0],
        offloadopt.solver("exhaustive", problem).run(problem, instance).objective[0],
    )


SEARCHES = (assignment, shared_servers, set_partitioning, task_queues, general_milp)
"""Every search that uses bounds of HiGHS."""


def inference_horizon() -> tuple[float, float]:
    """Cost and bound of edge inference under batteries, whose linear programmes give prices and plans."""
    problem = offloadopt.problem("twin_inference", users=2, servers=2, horizon=2, battery_j=0.5)
    solutions = offloadopt.solver("exact", problem, branchings=1).run(problem, problem.sample(10, seed=7).take([7]))
    return solutions.objective[0], solutions.bound[0]
