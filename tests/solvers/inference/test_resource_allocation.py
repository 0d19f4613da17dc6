"""Optimal shares of CPUs and bands against a general convex solver and closed forms."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest

from offloadopt import solver
from offloadopt.physics.edge_inference import best_shares, send_factor
from offloadopt.solvers.inference.resource_allocation import (
    SlotTasks,
    local_set_costs,
    priced_costs,
    share_local_cpu,
    share_server,
)

from toys.inference_slots import cost_of_options, shares_of, slot_of, small_inference


def by_cvxpy(slot: SlotTasks, option: Any) -> float:
    """The convex programme of given options, with rates as an exponential cone; ``inf`` if it has no solution."""
    cost, limits = 0.0, []
    users: dict[Any, list[int]] = {}
    for j, where in enumerate(option):
        users.setdefault(("own", int(slot.user[j])) if where == 0 else ("server", where - 1), []).append(j)
    for (kind, number), members in users.items():
        cpu = cp.Variable(len(members), pos=True)
        limits.append(cp.sum(cpu) <= 1)
        rows = slot.local[members] if kind == "own" else slot.remote[members, number]
        took = cp.multiply(rows[:, 0], cp.inv_pos(cpu))
        cost += slot.second_price * cp.sum(took) + cp.sum(cp.multiply(rows[:, 1], cp.square(cpu)))
        if kind == "server":
            band = cp.Variable(len(members), pos=True)
            limits.append(cp.sum(band) <= 1)
            # v log(1 + s / v) = -rel_entr(v, v + s)
            rate = -cp.rel_entr(band, band + rows[:, 3]) / np.log(2)
            sent = cp.multiply(rows[:, 2], cp.inv_pos(rate))
            took = took + sent
            cost += cp.sum(cp.multiply(slot.second_price + rows[:, 4], sent))
        limits.append(took <= slot.limit_s)
    problem = cp.Problem(cp.Minimize(cost), limits)
    problem.solve(solver=cp.CLARABEL)
    return float(problem.value) if problem.status in ("optimal", "optimal_inaccurate") else np.inf


@pytest.mark.parametrize("limit_s", [1.0, 0.35])
def test_shares_cost_what_a_general_convex_solver_finds(limit_s: float) -> None:
    problem = small_inference(users=4, servers=2, horizon=1, limit_s=limit_s, battery_j=1e6, images_max=2)
    instances = problem.sample(8, seed=3)
    rng, compared, at_limit = np.random.default_rng(0), 0, 0
    for row in range(8):
        slot = slot_of(problem, instances, row)
        option = rng.integers(0, 3, slot.tasks)
        expected = by_cvxpy(slot, option)
        if expected > 0.9 * problem.cost_weights.failure:  # including what cannot be done
            expected = np.inf if not np.isfinite(expected) else expected
        if not np.isfinite(expected):
            continue
        one = instances.take([row])
        cost = cost_of_options(problem, one, [slot], [option])[0]
        assert cost == pytest.approx(expected, rel=1e-6)
        compared += 1
        shares = shares_of(slot, option)
        rows = np.where(
            (option == 0)[:, None], slot.local, slot.remote[np.arange(slot.tasks), np.maximum(option - 1, 0)]
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = shares[:, 1] * np.log2(1 + rows[:, 3] / shares[:, 1])
            time_s = rows[:, 0] / shares[:, 0] + np.where(option > 0, rows[:, 2] / rate, 0.0)
        at_limit += np.isclose(time_s, limit_s, rtol=1e-6).any()
    assert compared >= 3
    assert at_limit >= (1 if limit_s < 1 else 0)


def test_tasks_that_miss_the_limit_by_little_are_not_in_time() -> None:
    # Alike tasks share alike, so that the time needed is known: n a + t h(1/n).
    for number in (2, 3, 5):
        row = np.array([0.1, 0.5, 0.05, 200.0, 1.0])
        needed = number * row[0] + row[2] * float(send_factor(1.0 / number, row[3]))
        rows, ones = np.tile(row, (number, 1)), np.ones(number)
        for part in (0.9, 0.99, 0.999, 0.99999, 1.00001, 1.001, 1.1):
            cpu, band = np.empty(number), np.empty(number)
            cost = share_server(number, rows, ones, 0.6, part * needed, 8.0 * number, np.zeros(2), cpu, band)
            assert np.isfinite(cost) == (part > 1)


def test_equal_tasks_get_equal_shares_of_a_local_cpu() -> None:
    for number in (1, 2, 4):
        rows, cpu = np.tile([0.05, 0.3, 0.0, 0.0, 0.0], (number, 1)), np.empty(number)
        cost, price = share_local_cpu(number, rows, 2.0, 1.0, cpu)
        # Without a shortage each takes the share at which p a / u^2 = 2 e u, else one part of the CPU.
        free = (2.0 * 0.05 / (2.0 * 0.3)) ** (1 / 3)
        share = min(free, 1.0 / number)
        np.testing.assert_allclose(cpu, share, rtol=1e-9)
        assert cost == pytest.approx(number * (2.0 * 0.05 / share + 0.3 * share**2), rel=1e-9)
        assert (price > 0) == (number * free > 1.0)


def test_tasks_that_need_more_than_the_whole_cpu_are_infeasible() -> None:
    rows = np.tile([0.6, 0.3, 0.0, 0.0, 0.0], (2, 1))
    assert share_local_cpu(2, rows, 2.0, 1.0, np.empty(2))[0] == np.inf
    costs = local_set_costs(np.array([0, 2]), rows, 2.0, 1.0, 4)
    assert costs[0, 0] == 0.0
    assert np.isfinite(costs[0, 1:3]).all()
    assert costs[0, 3] == np.inf


def test_priced_costs_are_those_of_single_tasks() -> None:
    problem = small_inference(users=3, servers=2, horizon=1, battery_j=1e6)
    slot = slot_of(problem, problem.sample(1, seed=1), 0)
    q, w = np.array([0.1, 2.0]), np.array([0.5, 0.0])
    costs = priced_costs(slot.remote, slot.second_price, slot.limit_s, q, w)
    for j in range(slot.tasks):
        for k in range(2):
            least, cpu, band = best_shares(slot.remote[j, k], slot.second_price, slot.limit_s, q[k], w[k])
            assert costs[j, k] == least
            assert 0 < cpu <= 1
            assert 0 < band <= 1


def test_missing_links_are_never_used() -> None:
    problem = small_inference(users=2, servers=1, horizon=2, tasks_max=1)
    arrays = dict(problem.sample(2, seed=0))
    instances = problem.check_instances({**arrays, "gain": np.zeros_like(arrays["gain"])})
    local = solver("local", problem).run(problem, instances).objective
    for name in ("exact", "exhaustive", "levy", "greedy"):
        np.testing.assert_allclose(solver(name, problem).run(problem, instances).objective, local, rtol=1e-6)


@pytest.mark.parametrize("start", [0.0, 1e-3, 5.0, 1e6])
@pytest.mark.parametrize("excess", [1e-9, 1e-4, 0.1])
def test_a_price_is_found_however_little_a_cpu_falls_short(excess: float, start: float) -> None:
    second_s = 0.25 * (0.5 * (1.0 + excess)) ** 3  # at price 0 each task takes (1 + excess) / 2 of the CPU
    rows = np.array([[second_s, 0.125, 0.1, 200.0, 0.8], [second_s, 0.125, 0.1, 200.0, 0.8]])
    cpu, band, prices = np.empty(2), np.empty(2), np.full(2, start)
    bound = share_server(2, rows, np.ones(2), 1.0, 100.0, np.inf, prices, cpu, band)
    assert cpu == pytest.approx([0.5, 0.5], rel=1e-11)
    cost = 2.0 * (second_s / 0.5 + 0.125 * 0.25 + 1.8 * 0.1 * send_factor(0.5, 200.0))
    assert bound == pytest.approx(cost, rel=1e-11)
