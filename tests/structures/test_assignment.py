"""Assignments: toys with negative costs and with slots conform, and are solved to the optimum of enumeration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Instances, Scenario
from offloadopt.structures.assignment import AssignmentProblem, PricedAssignment
from offloadopt.testing import check_problem, check_solver

from toys.assignment import DataMarket
from toys.enumeration import best_by_enumeration, best_of_all_decisions
from toys.priced_assignment import PrintShop
from toys.slotwise import Charging, ChargingScenario

TOYS = [DataMarket(Scenario()), PrintShop(Scenario()), Charging(ChargingScenario())]


@pytest.mark.parametrize("toy", TOYS, ids=lambda toy: toy.name)
def test_a_toy_conforms(toy: AssignmentProblem[Any]) -> None:
    check_problem(toy)
    for name in ("exhaustive", "levy", "greedy", "random", "local"):
        check_solver(offloadopt.solver(name, toy), toy)


@pytest.mark.parametrize("name", ["exact", "exhaustive", "expert", "local-search"])
def test_priced_negative_costs_are_solved_to_the_optimum_of_enumeration(name: str) -> None:
    toy = PrintShop(Scenario())
    instances = toy.sample(6, seed=3)
    best = [best_by_enumeration(toy, instances.take([row])) for row in range(6)]
    assert max(best) < 0
    solver = offloadopt.solver(name, toy)
    solutions = solver.run(toy, instances)
    np.testing.assert_allclose(solutions.objective, best, rtol=1e-6)
    if solver.proves:
        assert solutions.status_names == ["OPTIMAL"] * 6
    check_solver(solver, toy)


def test_negative_costs_are_the_best_of_all_assignments() -> None:
    toy = DataMarket(Scenario())
    instances = toy.sample(4, seed=3)
    solutions = offloadopt.solver("exhaustive", toy).run(toy, instances)
    best = [best_by_enumeration(toy, instances.take([row])) for row in range(4)]
    np.testing.assert_allclose(solutions.objective, best, rtol=1e-9)
    assert (solutions.objective < 0).all()


class TestSlotwise:
    """Slots that do not touch each other."""

    def test_a_horizon_is_solved_to_the_sum_of_its_slots_optima(self) -> None:
        toy = Charging(ChargingScenario(horizon=2))
        instances = toy.sample(2, seed=5)
        found = offloadopt.solver("exhaustive", toy).run(toy, instances).objective
        for row in range(2):
            best = best_of_all_decisions(toy, instances.take([row]), {"station": (0, 1, 2)})
            assert found[row] == pytest.approx(best, rel=1e-9)

    def test_slots_repeat_what_stays(self) -> None:
        toy = Charging(ChargingScenario(horizon=3))
        instances = toy.sample(2, seed=5)
        slots = toy.slots(instances)
        assert slots.count == 6
        np.testing.assert_array_equal(slots["home"], np.repeat(instances["home"], 3, axis=0))
        np.testing.assert_array_equal(slots["charge"][4], instances["charge"][1, 1])

    def test_one_slot_is_its_own(self) -> None:
        toy = Charging(ChargingScenario(horizon=1))
        instances = toy.sample(2, seed=5)
        assert toy.one_slot is toy
        assert toy.slots(instances) is instances
        assert Charging(ChargingScenario(horizon=3)).one_slot.horizon == 1


# ------------------------------------------------------------------------------------------------- default views


class TwoTasks(PrintShop):
    """Costs as given: two tasks, two servers, of which the second task has no link to the first."""

    tasks = num_agents = 2

    def costs(self, observation: Any) -> PricedAssignment:
        options = np.array([[[5.0, 1.0, 2.0], [4.0, np.inf, 7.0]]])
        return PricedAssignment(options, np.array([[1.0, 2.0]]), np.array([[1.0, 2.0]]))


def test_views_are_derived_from_the_costs_of_single_offloaded_tasks() -> None:
    toy, nothing = TwoTasks(Scenario()), Instances({"x": np.zeros(1)})
    lone = [[[1 + 1 - 5, 2 + 0.5 - 5], [np.inf, 7 + 2 - 4]]]
    np.testing.assert_allclose(toy.lone_costs(nothing), lone)
    np.testing.assert_allclose(AssignmentProblem.lone_costs(toy, nothing), lone)
    np.testing.assert_allclose(toy.affinity(nothing), [[[1.0, 0.5], [0.0, 1.0]]])
    np.testing.assert_array_equal(toy.nearest(nothing), [[1, 2]])
    np.testing.assert_allclose(toy.server_view(nothing), [[[-3.0, 5.0], [-2.5, 5.0]]])
    demand, capacity = toy.demand(nothing)
    assert (demand.sum(axis=-1) <= capacity.min()).all()


def test_options_have_names_and_decisions_words() -> None:
    toy = DataMarket(Scenario())
    assert toy.option_names == ("local", "server 1", "server 2")
    one = toy.allocate(toy.sample(1, 0), np.array([[0, 2, 2, 0]]))
    assert toy.describe(one) == ["local:    0 3", "server 1: -", "server 2: 1 2"]
    both = toy.allocate(toy.sample(2, 0), np.array([[0, 2, 2, 0], [0, 0, 0, 0]]))
    assert toy.describe(both) == ["tasks decided: local 75.0%, server 2 25.0%"]


# ------------------------------------------------------------------------------------------------ assignment costs


@pytest.mark.parametrize("count", [0, 1, 5])
def test_priced_assignments_cost_what_the_sum_over_tasks_and_servers_says(count: int) -> None:
    rng = np.random.default_rng(count)
    costs = PricedAssignment(rng.random((count, 4, 3)), rng.uniform(0.5, 2, (count, 4)), rng.uniform(1, 3, (count, 2)))
    assignment = rng.integers(0, 3, (count, 7, 4))
    total = np.zeros((count, 7))
    for row, trial in np.ndindex(count, 7):
        chosen = assignment[row, trial]
        total[row, trial] = sum(costs.option_cost[row, task, option] for task, option in enumerate(chosen))
        for server in (1, 2):
            load = sum(costs.load[row, task] for task in range(4) if chosen[task] == server)
            total[row, trial] += load**2 / costs.capacity[row, server - 1]
    np.testing.assert_allclose(costs.cost(assignment), total, rtol=1e-12)
    np.testing.assert_allclose(costs.cost(assignment[:, 0]), total[:, 0], rtol=1e-12)


def test_a_price_gives_a_lower_bound_that_is_linear_in_the_assignment() -> None:
    rng = np.random.default_rng(0)
    load, capacity, price = rng.uniform(0, 9, (3, 1000))
    assert (load**2 / capacity >= 2 * price * load - capacity * price**2 - 1e-9).all()
