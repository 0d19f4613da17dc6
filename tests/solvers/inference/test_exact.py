"""`exact`: shares against cvxpy, places against enumeration, bounds against decisions, twin and batteries."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

import offloadopt
from offloadopt import solver
from offloadopt.core import Decisions, FloatArray, Instances, Status
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.physics.edge_inference import InferenceTasks, send_factor
from offloadopt.problems.twin_inference import TwinInference
from offloadopt.solvers.inference.dual_bound import bound_at
from offloadopt.solvers.inference.exact import InferenceExact
from offloadopt.solvers.inference.local_search import search
from offloadopt.solvers.inference.resource_allocation import Slot, allocate, local_costs, settle_server, slot_of
from offloadopt.solvers.inference.set_partitioning import AT_ONCE, Enumeration
from offloadopt.testing import check_solver


def make(**changes: Any) -> TwinInference:
    problem = offloadopt.problem("twin_inference", changes.pop("preset", "paper"), **changes)
    assert isinstance(problem, TwinInference)
    return problem


def first_slot(problem: TwinInference, instances: Instances, row: int, drain_price: float = 0.0) -> Slot:
    work = problem.work(instances)
    tasks = InferenceTasks(**{f.name: getattr(work, f.name)[row, 0] for f in fields(work)})
    return slot_of(tasks, problem.prices, np.full(problem.num_agents, drain_price), 0.0)


def shares_of(slot: Slot, option: Any) -> FloatArray:
    arguments = (slot.first, slot.local, slot.away, slot.second, slot.limit_s, slot.failure)
    return np.asarray(allocate(np.asarray(option), *arguments))


def paid(problem: TwinInference, instances: Instances, slots: list[Slot], options: list[Any]) -> FloatArray:
    """What the problem charges for options, shared optimally."""
    shape = (instances.count, 1, problem.num_agents, problem.places)
    server, shares = np.zeros(shape, dtype=np.int64), np.zeros((2, *shape))
    for row, (slot, option) in enumerate(zip(slots, options, strict=True)):
        server[row, 0, slot.user, slot.place] = np.maximum(option, 0)
        shares[:, row, 0, slot.user, slot.place] = np.minimum(shares_of(slot, option).T, 1.0)
    return problem.evaluate(instances, problem.share(server, shares[0], shares[1])).cost


# --------------------------------------------------------------------------------------------------------- allocation


def by_cvxpy(slot: Slot, option: Any) -> float:
    """The convex programme of given options, with rates as an exponential cone; ``inf`` if it has no solution."""
    cost, limits = 0.0, []
    users: dict[Any, list[int]] = {}
    for j, where in enumerate(option):
        users.setdefault(("own", int(slot.user[j])) if where == 0 else ("server", where - 1), []).append(j)
    for (kind, number), members in users.items():
        cpu = cp.Variable(len(members), pos=True)
        limits.append(cp.sum(cpu) <= 1)
        rows = slot.local[members] if kind == "own" else slot.away[members, number]
        took = cp.multiply(rows[:, 0], cp.inv_pos(cpu))
        cost += slot.second * cp.sum(took) + cp.sum(cp.multiply(rows[:, 1], cp.square(cpu)))
        if kind == "server":
            band = cp.Variable(len(members), pos=True)
            limits.append(cp.sum(band) <= 1)
            # v log(1 + s / v) = -rel_entr(v, v + s)
            rate = -cp.rel_entr(band, band + rows[:, 3]) / np.log(2)
            sent = cp.multiply(rows[:, 2], cp.inv_pos(rate))
            took = took + sent
            cost += cp.sum(cp.multiply(slot.second + rows[:, 4], sent))
        limits.append(took <= slot.limit_s)
    problem = cp.Problem(cp.Minimize(cost), limits)
    problem.solve(solver=cp.CLARABEL)
    return float(problem.value) if problem.status in ("optimal", "optimal_inaccurate") else np.inf


@pytest.mark.parametrize("limit_s", [1.0, 0.35])
def test_shares_cost_what_a_general_convex_solver_finds(limit_s: float) -> None:
    problem = make(users=4, servers=2, horizon=1, limit_s=limit_s, battery_j=1e6, images_max=2)
    instances = problem.sample(8, seed=3)
    rng, compared, at_limit = np.random.default_rng(0), 0, 0
    for row in range(8):
        slot = first_slot(problem, instances, row)
        option = rng.integers(0, 3, slot.tasks)
        expected = by_cvxpy(slot, option)
        if expected > 0.9 * problem.prices.failure:  # including what cannot be done
            expected = np.inf if not np.isfinite(expected) else expected
        if not np.isfinite(expected):
            continue
        one = instances.take([row])
        cost = paid(problem, one, [slot], [option])[0]
        assert cost == pytest.approx(expected, rel=1e-6)
        compared += 1
        shares = shares_of(slot, option)
        rows = np.where((option == 0)[:, None], slot.local, slot.away[np.arange(slot.tasks), np.maximum(option - 1, 0)])
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = shares[:, 1] * np.log2(1 + rows[:, 3] / shares[:, 1])
            time_s = rows[:, 0] / shares[:, 0] + np.where(option > 0, rows[:, 2] / rate, 0.0)
        at_limit += np.isclose(time_s, limit_s, rtol=1e-6).any()
    assert compared >= 3
    assert at_limit >= (1 if limit_s < 1 else 0)


# --------------------------------------------------------------------------------------------------------- the optimum


def least_of_all(problem: TwinInference, instances: Instances, row: int) -> float:
    """The cheapest of all options, failures included."""
    slot = first_slot(problem, instances, row)
    every = np.array(list(itertools.product(range(-1, problem.servers + 1), repeat=slot.tasks)), dtype=np.int64)
    many = instances.take(np.full(len(every), row))
    return float(paid(problem, many, [slot] * len(every), list(every)).min())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"limit_s": 0.3},
        {"kappa_server": 1e-27},
        {"images_min": 4, "limit_s": 0.6},
        {"server_hz": (1e9, 2e9)},
        {"bandwidth_hz": (5e3, 9e3)},
        {"energy_weight": 0.0},
        {"time_weight": 0.02},
    ],
    ids=str,
)
def test_no_choice_of_places_beats_what_is_proved(changes: dict[str, Any]) -> None:
    for users, servers, most in ((2, 2, 2), (1, 1, 4), (3, 1, 2)):
        problem = make(users=users, servers=servers, tasks_max=most, horizon=1, battery_j=1e6, **changes)
        instances = problem.sample(3, seed=users)
        proved = solver("exact", problem, relative_gap=1e-9).run(problem, instances)
        assert (proved.status == Status.OPTIMAL).all()
        for row in range(3):
            assert proved.objective[row] == pytest.approx(least_of_all(problem, instances, row), rel=3e-9)


def test_larger_slots_are_proved_and_no_decision_costs_less_than_the_bound() -> None:
    problem = make(users=6, servers=3, horizon=1, battery_j=1e6)
    instances = problem.sample(3, seed=5)
    proved = solver("exact", problem).run(problem, instances)
    assert (proved.gap <= 1e-6).all()
    rng = np.random.default_rng(0)
    for _ in range(300):
        here = np.array(proved.decisions["server"])
        changed = rng.random(here.shape) < 0.1
        here[changed] = rng.integers(0, 4, changed.sum())
        near = {name: np.clip(proved.decisions[name] * rng.uniform(0.9, 1.1, here.shape), 0, 1) for name in
                ("cpu_share", "bandwidth_share")}  # fmt: skip
        cost = problem.evaluate(instances, Decisions({"server": here, **near})).cost
        assert (cost >= proved.bound).all()


def test_any_prices_give_a_bound() -> None:
    problem = make(users=3, servers=2, tasks_max=2, horizon=1, battery_j=1e6)
    instances = problem.sample(2, seed=1)
    best = solver("exact", problem).run(problem, instances).objective
    rng = np.random.default_rng(0)
    for row in range(2):
        slot = first_slot(problem, instances, row)
        own = local_costs(slot.first, slot.local, slot.second, slot.limit_s, 4)
        for _ in range(50):
            assert bound_at(slot, own, 10.0 ** rng.uniform(-3, 1, (2, 2))).value <= best[row]


def test_tasks_that_are_alike_are_solved() -> None:
    problem = make(users=4, servers=2, tasks_min=3, tasks_max=3, task_mix=("PathMNIST",), images_min=2, images_max=2,
                   user_hz=(1.5e9, 1.5e9), server_hz=(7e9, 7e9), bandwidth_hz=(15e4, 15e4), power_w=(1.5, 1.5),
                   gain=(1e-11, 1e-11), horizon=1, battery_j=1e6)  # fmt: skip
    proved = solver("exact", problem).run(problem, problem.sample(1, seed=0))
    assert proved.gap[0] <= 1e-6


# ------------------------------------------------------------------------------------------------ batteries, the twin


def test_full_batteries_make_the_horizon_a_sum_of_proved_slots() -> None:
    problem = make(users=3, servers=2, horizon=3, battery_j=1e6)
    proved = solver("exact", problem).run(problem, problem.sample(2, seed=2))
    assert (proved.status == Status.OPTIMAL).all()


def test_scarce_batteries_are_priced_and_what_is_priced_costs_no_more_than_what_is_not() -> None:
    problem = make(users=3, servers=2, horizon=4, battery_j=1.0)
    instances = problem.sample(3, seed=2)
    careless = solver("exact", problem, price_rounds=1, branchings=0).run(problem, instances)
    priced = solver("exact", problem, price_rounds=8, branchings=4).run(problem, instances)
    assert (problem.evaluate(instances, careless.decisions).metrics["failures"] > 0).all()
    assert (priced.objective <= careless.objective).all()
    assert (priced.bound >= careless.bound).all()
    assert priced.objective.mean() < 0.95 * careless.objective.mean()
    assert (priced.bound <= priced.objective).all()


def test_an_empty_battery_does_what_it_can() -> None:
    problem = make(users=2, servers=1, horizon=1, battery_j=1.0)
    instances = problem.sample(2, seed=1)
    empty = Instances({**instances, "start_j": np.zeros((2, 2))})
    solved = solver("exact", problem).run(problem, empty)
    outcome = problem.evaluate(empty, solved.decisions)
    np.testing.assert_array_equal(outcome.metrics["failures"], outcome.metrics["tasks"])
    assert (solved.bound <= solved.objective).all()


def test_a_plan_for_an_exact_twin_is_the_optimum_and_errors_cost_more_the_larger_they_are() -> None:
    none = dict.fromkeys(("cpu_deviation", "bandwidth_deviation", "gain_deviation", "distance_deviation"), 0.0)
    means = []
    for size in (0.0, 0.1, 0.4):
        problem = make(users=4, servers=3, horizon=1, battery_j=1e6, **dict.fromkeys(none, size))
        instances = problem.sample(12, seed=4)
        best = solver("exact", problem).run(problem, instances)
        twin = solver("exact", problem, twin=True).run(problem, instances)
        assert (twin.status == Status.FEASIBLE).all()
        assert (twin.objective >= best.bound).all()
        means.append(float(np.mean(twin.objective / best.objective)))
        if size == 0.0:
            np.testing.assert_allclose(twin.objective, best.objective, rtol=1e-12)
    assert means[0] < means[1] < means[2]
    assert means[2] > 1.02


# --------------------------------------------------------------------------------------------------- contract, input


@pytest.mark.parametrize("changes", [{"horizon": 1}, {"horizon": 2, "battery_j": 1.0}, {"tasks_min": 0, "users": 1}])
def test_it_conforms(changes: dict[str, Any]) -> None:
    check_solver(InferenceExact(), make(**{"users": 2, "servers": 2, "horizon": 2, **changes}))
    check_solver(InferenceExact(twin=True), make(**{"users": 2, "servers": 2, "horizon": 2, **changes}))


def test_a_slot_without_tasks_costs_nothing() -> None:
    problem = make(users=2, servers=2, horizon=1, tasks_min=0)
    instances = problem.sample(1, seed=0)
    nothing = Instances({**instances, "present": np.zeros((1, 2, 4))})
    solved = solver("exact", problem).run(problem, nothing)
    assert solved.objective[0] == 0.0
    assert solved.status[0] == Status.OPTIMAL


def test_a_time_limit_returns_a_decision_and_a_bound() -> None:
    problem = make(horizon=1)
    solved = solver("exact", problem, time_limit_s=1e-9).run(problem, problem.sample(1, seed=0))
    assert np.isfinite(solved.objective[0])
    assert solved.bound[0] <= solved.objective[0]


def test_bad_input_is_refused() -> None:
    with pytest.raises(Unsupported, match="InferenceProblem"):
        InferenceExact().run(offloadopt.problem("multi_server"), offloadopt.problem("multi_server").sample(1, 0))
    with pytest.raises(InvalidInput, match="price_rounds"):
        InferenceExact(price_rounds=0)


def test_a_slot_with_too_many_sets_to_enumerate_in_time_still_has_a_bound() -> None:
    problem = make(users=8, servers=3, horizon=1, battery_j=1e6)
    slot = first_slot(problem, problem.sample(1, seed=4), 0)
    own = local_costs(slot.first, slot.local, slot.second, slot.limit_s, 16)
    usual, pay = bound_at(slot, own, np.full((3, 2), 0.5)), np.full(slot.tasks, 0.6)
    unlimited, slack = np.zeros(3), 0.02
    full = Enumeration(slot, own, usual, np.inf).below(pay, unlimited, slack)
    assert full is not None
    assert Enumeration(slot, own, usual, -np.inf).below(pay, unlimited, slack) is None
    late, bound = InferenceExact().prove(slot, None, -np.inf)  # type: ignore[attr-defined]
    _, proved = InferenceExact().prove(slot, None, np.inf)  # type: ignore[attr-defined]
    assert -np.inf < bound < proved
    assert len(late) == slot.tasks


def test_sets_found_in_many_pieces_are_those_found_at_once() -> None:
    problem = make(users=3, servers=2, tasks_min=4, images_max=1, limit_s=20.0, horizon=1, battery_j=1e6)
    slot = first_slot(problem, problem.sample(1, seed=4), 0)
    own = local_costs(slot.first, slot.local, slot.second, slot.limit_s, 16)
    usual, pay = bound_at(slot, own, np.full((2, 2), 0.5)), np.full(slot.tasks, slot.failure)
    found = Enumeration(slot, own, usual, np.inf).below(pay, np.full(2, np.inf), 1e9)
    assert found is not None
    sets, (least, _) = found
    surplus = sets.cost - sets.members @ pay
    every = {}
    for k in range(2):
        for chosen in itertools.product((False, True), repeat=slot.tasks):
            members = np.flatnonzero(chosen)
            if len(members):
                rows = np.ascontiguousarray(slot.away[members, k])
                cost = settle_server(
                    len(members), rows, np.ones(len(members)), slot.second, slot.limit_s,
                    slot.failure * len(members), np.zeros(2), np.empty(len(members)), np.empty(len(members)),
                )  # fmt: skip
                if np.isfinite(cost):
                    every[k, chosen] = cost
        assert least[k] == pytest.approx(surplus[sets.owner == k].min())
    served = sets.owner < 2
    assert {(int(k), tuple(own)) for k, own in zip(sets.owner[served], sets.members[served], strict=True)} == set(every)
    assert len(every) > AT_ONCE  # so that it went on several times


def test_tasks_that_miss_the_limit_by_little_are_not_in_time() -> None:
    # Alike tasks share alike, so that the time needed is known: n a + t h(1/n).
    for number in (2, 3, 5):
        row = np.array([0.1, 0.5, 0.05, 200.0, 1.0])
        needed = number * row[0] + row[2] * float(send_factor(1.0 / number, row[3]))
        rows, ones = np.tile(row, (number, 1)), np.ones(number)
        for part in (0.9, 0.99, 0.999, 0.99999, 1.00001, 1.001, 1.1):
            cpu, band = np.empty(number), np.empty(number)
            cost = settle_server(number, rows, ones, 0.6, part * needed, 8.0 * number, np.zeros(2), cpu, band)
            assert np.isfinite(cost) == (part > 1)


def test_a_search_leaves_starts_that_cannot_be_done() -> None:
    problem = make(users=6, servers=1, tasks_min=4, horizon=1, battery_j=1e6, limit_s=0.4)
    instances = problem.sample(3, seed=0)
    for row in range(3):
        slot = first_slot(problem, instances, row)
        own = local_costs(slot.first, slot.local, slot.second, slot.limit_s, 16)
        for where in (0, 1):
            start = np.full(slot.tasks, where)
            assert shares_of(slot, start).min() == 0.0  # together they cannot be in time
            option, cost, _ = search(slot, own, start, np.inf)
            assert cost < slot.failure * slot.tasks
            assert cost == pytest.approx(paid(problem, instances.take([row]), [slot], [option])[0], rel=1e-9)


def test_slots_of_another_failure_cost_are_other_slots() -> None:
    problem = make(users=2, servers=1, horizon=1, battery_j=1e6)
    slot = first_slot(problem, problem.sample(1, seed=0), 0)
    cheap = replace(slot, failing=np.full(slot.tasks, 1e-3))
    option, bound = InferenceExact().prove(cheap, None, np.inf)  # type: ignore[attr-defined]
    assert (option == -1).all()
    assert bound == pytest.approx(1e-3 * slot.tasks, rel=1e-6)
