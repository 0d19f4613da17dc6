"""Instances one after the other, rules in blocks, slots that are solved one by one, and Ctrl-C in all of them."""

from __future__ import annotations

import itertools
import signal
import time

import numpy as np
import pytest

from offloadopt import progress as live
from offloadopt import registry
from offloadopt.clock import Deadline
from offloadopt.core import Instances, Interrupted, Status
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.problems.partial_mobile.scenario import PartialMobileScenario
from offloadopt.solvers import base
from offloadopt.solvers.assignment.baselines import Greedy
from offloadopt.solvers.base import Found, InstanceSolver, solve_slots
from offloadopt.solvers.random import Random
from offloadopt.structures.shared_servers import SharedServersProblem


class Halving(InstanceSolver):
    """Search that computes nothing but takes 0.02 s in the second instance."""

    name = "halving"
    serves = SharedServersProblem
    relative_gap: float = 0.5

    def searches(self, problem: SharedServersProblem, instances: Instances, seed: int) -> HalvingSearches:  # type: ignore[type-arg]
        return HalvingSearches(problem, instances)


class HalvingSearches:
    """Proves half of the cost of local computing for each instance that is searched."""

    def __init__(self, problem: SharedServersProblem, instances: Instances) -> None:  # type: ignore[type-arg]
        assignment = np.zeros((instances.count, problem.tasks), dtype=np.int64)
        self.decisions = problem.allocate(instances, assignment)
        self.cost = problem.evaluate(instances, self.decisions).cost
        self.bound = np.full(instances.count, -np.inf)

    def search(self, row: int, deadline: Deadline) -> None:
        assert 4.0 < deadline.left_s <= 5.0
        time.sleep(0.02 * (row == 1))
        self.bound[row] = 0.8 * self.cost[row]

    def found(self) -> Found:
        return Found(self.decisions, self.bound, {"half": self.bound / 2.0})


def test_instances_are_timed_each_and_reported() -> None:
    problem = PartialMobile(PartialMobileScenario(users=3, horizon=1))
    reported: list[int] = []
    found = Halving(time_limit_s=5.0).run(problem, problem.sample(3, seed=0), progress=reported.append)
    assert reported == [1, 1, 1]
    assert (found.seconds[1] - found.seconds[[0, 2]] > 0.01).all()  # the rest is shared by all
    assert found.status_names == ["OPTIMAL"] * 3  # within the solver's own gap
    np.testing.assert_array_equal(found.details["half"], found.bound / 2.0)


CASES = {
    "multi_server": {"users": 4, "servers": 2},
    "partial_mobile": {"users": 3, "horizon": 1},
    "carbon_mimo": {"users": 1, "antennas": 1, "horizon": 4},
    "battery_d2d": {"users": 1, "servers": 1, "horizon": 2},
    "twin_inference": {"users": 2, "servers": 1, "horizon": 1},
}


@pytest.mark.parametrize("name", CASES)
def test_separate_instances_have_the_same_solutions_in_any_parts(name: str) -> None:
    problem = registry.problem(name, **CASES[name])
    instances, solver = problem.sample(4, seed=1), registry.solver("exact", problem)
    assert solver.separates(problem)
    whole = solver.run(problem, instances)
    for rows in (slice(1, 2), slice(1, 4)):
        part = solver.run(problem, instances.take(rows))
        np.testing.assert_array_equal(part.objective, whole.objective[rows])
        np.testing.assert_array_equal(part.bound, whole.bound[rows])
        for field, array in part.decisions.items():
            np.testing.assert_array_equal(array, whole.decisions[field][rows])


def test_solvers_that_draw_by_the_place_of_an_instance_do_not_separate() -> None:
    for name, solver in (("battery_d2d", "local-search"), ("multi_server", "levy"), ("carbon_mimo", "random")):
        problem = registry.problem(name, **CASES[name])
        assert not registry.solver(solver, problem).separates(problem)
    with_battery = registry.problem("carbon_mimo", battery_j=1e-3)
    assert not registry.solver("exact", with_battery).separates(with_battery)


@pytest.mark.parametrize("name", CASES)
def test_ctrl_c_keeps_the_finished_instances_with_their_proofs(name: str) -> None:
    problem = registry.problem(name, **CASES[name])
    instances = problem.sample(3, seed=1)
    solver = registry.solver("exact", problem)

    def press_ctrl_c(finished: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as stopped:
        solver.run(problem, instances, progress=press_ctrl_c)
    found, whole = stopped.value.solutions, solver.run(problem, instances)
    assert found.status[0] == whole.status[0] == Status.OPTIMAL
    assert found.bound[0] == whole.bound[0]
    assert (found.bound[1:] <= whole.objective[1:]).all()
    assert (found.objective >= whole.bound).all()
    assert np.isfinite(found.objective).all()


@pytest.mark.parametrize(
    ("problem", "name"),
    [("partial_mobile", "exact"), ("partial_mobile", "levy"), ("twin_inference", "levy"), ("battery_d2d", "exact")],
)
def test_ctrl_c_within_a_search_returns_the_best_so_far(
    problem: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = registry.problem(problem, **{**CASES[problem], "horizon": 3})
    checks, passed = itertools.count(), Deadline.passed.fget

    def press_ctrl_c_once(deadline: Deadline) -> bool:
        if next(checks) == 2:
            signal.raise_signal(signal.SIGINT)
        return passed(deadline)  # type: ignore[misc]

    monkeypatch.setattr(Deadline, "passed", property(press_ctrl_c_once))
    with pytest.raises(Interrupted) as stopped:
        registry.solver(name, made).run(made, made.sample(2, seed=0))
    assert np.isfinite(stopped.value.solutions.objective).all()
    assert 2 < next(checks) < 40


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


def test_ctrl_c_between_blocks_keeps_the_finished_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = registry.problem("carbon_mimo", horizon=3)
    instances = problem.sample(3, seed=0)
    monkeypatch.setattr(base, "BLOCK_ENTRIES", sum(array[0].size for array in instances.values()))
    whole = Random().run(problem, instances)

    def press_ctrl_c(finished: int) -> None:
        monkeypatch.setattr(Random, "decide", interrupted_rule)

    def interrupted_rule(*_: object, **options: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        Random().run(problem, instances, progress=press_ctrl_c)
    np.testing.assert_array_equal(stopped.value.solutions.objective, whole.objective[:1])


class Waiting(Halving):
    """Search that uses no time but notes what it is given."""

    def searches(self, problem: SharedServersProblem, instances: Instances, seed: int) -> HalvingSearches:  # type: ignore[type-arg]
        found = HalvingSearches(problem, instances)
        found.search = self.note  # type: ignore[method-assign]
        return found

    def note(self, row: int, deadline: Deadline) -> None:
        given.append(deadline.left_s)


given: list[float] = []


def test_slots_share_the_time_limit_of_their_instance_and_leave_to_the_next_what_they_do_not_use() -> None:
    problem = PartialMobile(PartialMobileScenario(users=3, horizon=4))
    given.clear()
    Waiting(time_limit_s=12.0).run(problem, problem.sample(2, seed=0))
    np.testing.assert_allclose(given, [3.0, 4.0, 6.0, 12.0] * 2, atol=0.5)


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


@pytest.mark.parametrize(
    ("name", "solver", "sizes"),
    [
        ("multi_server", "exact", {"preset": "heterogeneous", "users": 12, "servers": 3}),
        ("multi_server", "levy", {"preset": "heterogeneous", "users": 5}),
        ("multi_server", "minlp", {"preset": "heterogeneous", "users": 8}),
        ("partial_mobile", "exact", {"users": 5, "horizon": 1}),
        ("battery_d2d", "exact", {"users": 2, "horizon": 3}),
        ("twin_inference", "exact", {"users": 3, "horizon": 1}),
        ("twin_inference", "exact", {"users": 2, "horizon": 2}),
    ],
)
def test_searches_report_costs_and_bounds_of_the_whole_instance(name: str, solver: str, sizes: dict[str, int]) -> None:
    problem = registry.problem(name, **sizes)
    instances = problem.sample(2, seed=3)
    method = registry.solver(solver, problem, **({"generations": 40} if solver == "levy" else {}))
    assert isinstance(method, InstanceSolver) or solver == "levy"
    with live.progress("solving", 2):
        found = method.run(problem, instances.take([1]))
        reported = live._search
    assert reported is not None
    cost, bound = float(found.objective[0]), float(found.bound[0])
    assert cost * (1 - 1e-9) <= reported.cost <= 2.0 * cost
    if solver != "levy":
        assert 0.2 * bound <= reported.bound <= bound * (1 + 1e-9)
        assert reported.claim <= cost * (1 + 1e-6)
