"""Plans under batteries, against a general convex solver for every choice of places."""

from __future__ import annotations

import itertools
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

import offloadopt
from offloadopt import solver
from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, Instances
from offloadopt.problems.twin_inference import TwinInference
from offloadopt.solvers.inference.base import slot_of_horizon
from offloadopt.solvers.inference.column_generation import BranchLimits, MasterProblem
from offloadopt.solvers.inference.exact import InferenceExact, Node


def make(**changes: Any) -> TwinInference:
    problem = offloadopt.problem("twin_inference", **changes)
    assert isinstance(problem, TwinInference)
    return problem


def master_of(problem: TwinInference, instances: Instances, row: int) -> MasterProblem:
    one = instances.take([row])
    work = problem.all_tasks(one)
    return MasterProblem(
        [slot_of_horizon(work, t) for t in range(problem.horizon)], problem.cost_weights, problem.start_j(one)[0]
    )


def by_cvxpy(master: MasterProblem, options: tuple[int, ...], held_j: FloatArray) -> float:
    """One user's single tasks, slot by slot: the convex programme of given options; ``inf`` if it has no solution."""
    cost, drain, limits, least_j = 0.0, 0.0, [], 0.0
    for slot, joules, option in zip(master.unpriced, master.joules, options, strict=True):
        if option < 0:
            cost += slot.failure
            continue
        row, joule = (
            (slot.local[0], joules.local[0])
            if option == 0
            else (slot.remote[0, option - 1], joules.remote[0, option - 1])
        )
        cpu = cp.Variable(pos=True)
        took = row[0] * cp.inv_pos(cpu)
        cost += slot.second_price * took + row[1] * cp.square(cpu)
        drain += joule[1] * cp.square(cpu)
        limits.append(cpu <= 1)
        # What is as slow as allowed, or sent over the whole band, drains least.
        alone = row[2] / np.log2(1 + row[3]) if option > 0 else 0.0
        least_j += joule[1] * (row[0] / slot.limit_s) ** 2 + joule[4] * alone
        if option > 0:
            band = cp.Variable(pos=True)
            sent = row[2] * cp.inv_pos(-cp.rel_entr(band, band + row[3]) / np.log(2))
            cost += (slot.second_price + row[4]) * sent
            drain += joule[4] * sent
            took = took + sent
            limits.append(band <= 1)
        limits.append(took <= slot.limit_s)
    if isinstance(cost, float) or least_j > held_j[0]:
        return cost if isinstance(cost, float) else np.inf
    problem = cp.Problem(cp.Minimize(cost), [*limits, drain / held_j[0] <= 1])
    problem.solve(solver=cp.CLARABEL)
    return float(problem.value) if problem.status in ("optimal", "optimal_inaccurate") else np.inf


def test_no_choice_of_places_over_the_slots_beats_the_plan_by_much_and_none_the_bound() -> None:
    problem = make(users=1, servers=1, tasks_max=1, horizon=3, battery_j=0.3, start_share=0.2)
    instances = problem.sample(2, seed=2)
    proved = solver("exact", problem).run(problem, instances)
    binds = 0
    for row in range(2):
        master, held_j = master_of(problem, instances, row), instances["start_j"][row]
        least = min(by_cvxpy(master, options, held_j) for options in itertools.product((-1, 0, 1), repeat=3))
        free = min(by_cvxpy(master, options, np.array([1e6])) for options in itertools.product((0, 1), repeat=3))
        binds += least > 1.01 * free
        assert proved.bound[row] <= least * (1 + 1e-6)
        assert least * (1 - 1e-5) <= proved.objective[row] <= 1.0001 * least
        assert proved.bound[row] >= 0.999 * least
    assert binds >= 1


def test_a_plan_costs_what_the_problem_charges_and_batteries_pay_for_it() -> None:
    problem = make(users=3, servers=2, horizon=3, battery_j=0.6)
    instances = problem.sample(2, seed=5)
    for row in range(2):
        master = master_of(problem, instances, row)
        start = [np.full(slot.tasks, -1, dtype=np.int64) for slot in master.unpriced]
        nothing = np.zeros((2, 3))
        price, _ = master.find_prices(
            master.search_slots(nothing, start, master.unrestricted), nothing, master.unrestricted, Deadline()
        )
        assert price[0].max() > 0
        cost, columns = master.find_plan(master.unrestricted, Deadline())
        server, shares = np.zeros((1, 3, 3, 4), dtype=np.int64), np.zeros((2, 1, 3, 3, 4))
        for t, (slot, column) in enumerate(zip(master.unpriced, columns, strict=True)):
            server[0, t, slot.user, slot.place] = np.maximum(column.option, 0)
            shares[:, 0, t, slot.user, slot.place] = column.shares.T
        outcome = problem.evaluate(instances.take([row]), problem.choose(server, shares[0], shares[1]))
        assert cost == pytest.approx(outcome.cost[0], rel=1e-9)
        drained = np.sum([column.drain_j for column in columns], axis=0)
        assert (drained <= instances["start_j"][row]).all()


def test_the_master_problem_costs_no_more_than_plans_and_no_less_than_what_is_proved() -> None:
    problem = make(users=3, servers=2, horizon=3, battery_j=0.6)
    instances = problem.sample(2, seed=5)
    undivided = solver("exact", problem, branchings=0).run(problem, instances)
    for row in range(2):
        master = master_of(problem, instances, row)
        start = [np.full(slot.tasks, -1, dtype=np.int64) for slot in master.unpriced]
        nothing = np.zeros((2, 3))
        master.find_prices(
            master.search_slots(nothing, start, master.unrestricted), nothing, master.unrestricted, Deadline()
        )
        master.find_plan(master.unrestricted, Deadline())
        relaxed_cost, _, _ = master.solve(master.columns, master.unrestricted)
        assert relaxed_cost <= master.best[0] * (1 + 1e-6)
        assert relaxed_cost >= undivided.bound[row] * (1 - 1e-6)


def test_branching_on_failures_raises_bounds_and_improves_plans() -> None:
    problem = make(users=2, servers=2, horizon=3, battery_j=0.7)
    instances = problem.sample(16, seed=1).take([8])
    undivided = solver("exact", problem, branchings=0).run(problem, instances)
    divided = solver("exact", problem, branchings=8).run(problem, instances)
    assert (undivided.gap > 0.05).all()
    assert (divided.gap < 0.005).all()
    assert (divided.bound > undivided.bound).all()
    assert (divided.objective < undivided.objective).all()
    assert (divided.bound <= divided.objective).all()


def test_the_best_plan_at_prices_is_worth_the_bound_of_the_part_that_it_is_in_and_no_other_plan_less() -> None:
    problem = make(users=2, servers=2, horizon=2, battery_j=0.5)
    master, exact = master_of(problem, problem.sample(1, seed=3), 0), InferenceExact()
    rng, failed = np.random.default_rng(0), set[float]()
    work = [slot.tasks for slot in master.unpriced]

    def bounded(limits: BranchLimits, price: FloatArray) -> tuple[list[Any], float]:
        node = Node(limits, price, [np.full(n, -1) for n in work], -np.inf)
        options, bound = exact.prove_all(problem, master, node, Deadline())
        return options, float(bound)

    for _ in range(30):
        price = np.stack([10.0 ** rng.uniform(-1, 2, 2), rng.uniform(-7, 7, 2)])
        options, _ = bounded(master.unrestricted, price)
        columns = [master.column(t, option, price) for t, option in enumerate(options)]
        failures = np.sum([column.failures for column in columns], axis=0)
        failed |= set(failures)
        # In this part failures cost what they cost, and what batteries lack is charged for.
        value = sum(own.cost for own in columns) + price[0] @ (
            np.sum([own.drain_j for own in columns], axis=0) - master.held_j
        )
        t = int(rng.integers(2))
        task = int(rng.integers(work[t]))
        part = BranchLimits(failures, failures, master.unrestricted.forbidden)
        others, this = part.branch_on_choice(t, task, int(options[t][task]) + 1)
        assert bounded(part, price)[1] == pytest.approx(value, rel=1e-4)
        assert bounded(this, price)[1] == pytest.approx(value, rel=1e-4)
        elsewhere, bound = bounded(others, price)
        assert elsewhere[t][task] != options[t][task] or options[t][task] < 0
        assert bound >= value - 1e-4 * abs(value)
    assert len(failed) >= 3
