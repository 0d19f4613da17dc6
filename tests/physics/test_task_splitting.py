"""The closed forms of partial offloading against grids, scipy and cvxpy."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from offloadopt.physics.task_splitting import (
    MIN_CPU_SHARE,
    Splitting,
    cheaper_mode,
    mode_cost,
    mode_slope,
    response,
    share_cpu,
)

CPU_MAX_HZ = 10e9
WEIGHTS = (0.01, 0.1, 0.5, 0.9, 0.99)


def random_tasks(count: int, seed: int, *, time_weight: float = 0.5, kappa: float = 1e-28) -> Splitting:
    """Tasks of the paper's sizes over links from excellent to hopeless."""
    rng = np.random.default_rng(seed)
    bits = rng.uniform(1.5e6, 2e6, count)
    cycles, send_s = 500.0 * bits, bits / 10.0 ** rng.uniform(4.5, 8.5, count)
    return Splitting(
        local_s=cycles / 0.5e9,
        local_j=1e-26 * 0.25e18 * cycles,
        send_s=send_s,
        send_j=0.1 * send_s,
        cycles=cycles,
        kappa=kappa,
        time_weight=time_weight,
        cpu_max_hz=CPU_MAX_HZ,
    )


def plain_cost(tasks: Splitting, i: int, ratio: float, cpu_hz: float) -> float:
    """One task's cost, written down again: parallel parts, relative to computing all of it locally."""
    if ratio == 0 or cpu_hz == 0:
        return 1.0
    time_s = max((1 - ratio) * tasks.local_s[i], ratio * (tasks.send_s[i] + tasks.cycles[i] / cpu_hz))
    edge_j = tasks.kappa * cpu_hz**2 * tasks.cycles[i]
    energy_j = (1 - ratio) * tasks.local_j[i] + ratio * (tasks.send_j[i] + edge_j)
    bt = tasks.time_weight
    return float(bt * time_s / tasks.local_s[i] + (1 - bt) * energy_j / tasks.local_j[i])


def test_the_cost_is_that_of_two_parts_at_the_same_time() -> None:
    tasks = random_tasks(40, seed=1)
    rng = np.random.default_rng(2)
    ratio, cpu = rng.choice([0.0, 0.3, 0.8, 1.0], 40), rng.choice([0.0, 1e8, 3e9, 1e10], 40)
    expected = [plain_cost(tasks, i, ratio[i], cpu[i]) for i in range(40)]
    np.testing.assert_allclose(tasks.cost(ratio, cpu), expected, rtol=1e-13)


@pytest.mark.parametrize("time_weight", WEIGHTS)
def test_no_ratio_beats_the_best_of_none_balanced_and_all(time_weight: float) -> None:
    tasks = random_tasks(30, seed=3, time_weight=time_weight)
    ratios = np.linspace(0.0, 1.0, 2001)[:, None]
    for cpu_hz in (1e8, 1e9, 5e9, 1e10):
        cpu = np.full(30, cpu_hz)
        branches = [np.ones(30), tasks.mode_cost(np.zeros(30, bool), cpu), tasks.mode_cost(np.ones(30, bool), cpu)]
        best = np.min(branches, axis=0)
        on_grid = tasks.cost(ratios, cpu).min(axis=0)
        assert (best <= on_grid * (1 + 1e-12)).all()
        np.testing.assert_allclose(best, on_grid, rtol=2e-3)


def test_at_the_balanced_ratio_both_parts_end_together() -> None:
    tasks = random_tasks(30, seed=4)
    cpu = np.random.default_rng(5).uniform(1e8, 1e10, 30)
    ratio = tasks.balanced_ratio(cpu)
    np.testing.assert_allclose((1 - ratio) * tasks.local_s, ratio * (tasks.send_s + tasks.cycles / cpu), rtol=1e-12)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("time_weight", WEIGHTS)
def test_a_mode_is_convex_in_the_cpu_where_sending_costs_less_energy_than_computing(
    whole: bool, time_weight: float
) -> None:
    tasks = random_tasks(50, seed=6, time_weight=time_weight)
    worthwhile = (1 - time_weight) * tasks.send_j / tasks.local_j <= 1
    assert worthwhile.sum() > 20
    cpu = np.linspace(0.02e9, CPU_MAX_HZ, 400)[:, None]
    cost = tasks.mode_cost(np.asarray(whole), np.broadcast_to(cpu, (400, 50)))[:, worthwhile]
    bend = cost[2:] - 2 * cost[1:-1] + cost[:-2]
    assert (bend >= -1e-12 * cost[1:-1]).all()


def test_a_link_that_costs_more_energy_than_computing_is_only_made_worse_by_cpu() -> None:
    tasks = random_tasks(200, seed=6, time_weight=0.1)
    hopeless = 0.9 * tasks.send_j / tasks.local_j > 1
    assert hopeless.any()
    cpu = np.geomspace(1e6, CPU_MAX_HZ, 300)[:, None]
    cost = tasks.mode_cost(np.asarray(False), np.broadcast_to(cpu, (300, 200)))[:, hopeless]
    assert (np.diff(cost, axis=0) >= -1e-13).all()
    assert (cost >= 1.0 - 1e-13).all()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kappa", [0.0, 1e-28, 1e-26])
@pytest.mark.parametrize("time_weight", WEIGHTS)
def test_no_cpu_beats_the_best_one_at_any_price(whole: bool, kappa: float, time_weight: float) -> None:
    tasks = random_tasks(12, seed=7, time_weight=time_weight, kappa=kappa)
    mode = np.full(12, whole)
    for price in (0.0, 1e-12, 1e-10, 1e-8):
        prices = np.full(12, price)
        cpu = tasks.best_cpu(mode, prices)
        found = tasks.mode_cost(mode, cpu) + price * cpu
        assert (cpu >= 0).all()
        assert (cpu <= CPU_MAX_HZ).all()
        grid = np.append(np.geomspace(10.0, CPU_MAX_HZ, 3000), CPU_MAX_HZ)[:, None]
        on_grid = tasks.mode_cost(mode, np.broadcast_to(grid, (3001, 12))) + price * grid
        assert (found <= on_grid.min(axis=0) * (1 + 1e-12)).all()
        for i in range(12):
            one = tasks.take([i])
            scipy = minimize_scalar(
                lambda log_hz, one=one, i=i, price=price: (
                    one.mode_cost(mode[i : i + 1], np.exp([log_hz]))[0] + price * np.exp(log_hz)
                ),
                bounds=(np.log(10.0), np.log(CPU_MAX_HZ)),
                method="bounded",
                options={"xatol": 1e-10},
            )
            assert found[i] <= scipy.fun * (1 + 1e-9)


@pytest.mark.parametrize("time_weight", WEIGHTS)
def test_the_cheaper_mode_is_never_above_either_mode_at_any_cpu(time_weight: float) -> None:
    tasks = random_tasks(60, seed=8, time_weight=time_weight)
    grid = np.geomspace(10.0, CPU_MAX_HZ, 2000)[:, None]
    either = [tasks.mode_cost(np.asarray(whole), np.broadcast_to(grid, (2000, 60))) for whole in (False, True)]
    for price in (0.0, 1e-11, 1e-9):
        least = (np.minimum(*either) + price * grid).min(axis=0)
        for i, row in enumerate(tasks.packed()):
            value, cpu, whole = cheaper_mode(price, row, time_weight, CPU_MAX_HZ)
            assert value <= least[i] * (1 + 1e-13)
            reached = tasks.take([i]).mode_cost(np.array([whole]), np.array([cpu]))[0] + price * cpu
            assert value == pytest.approx(reached, rel=1e-7)


def test_a_missing_link_has_no_share_and_no_finite_cost() -> None:
    tasks = random_tasks(2, seed=9)
    dead = Splitting(
        tasks.local_s, tasks.local_j, np.full(2, np.inf), np.full(2, np.inf), tasks.cycles, 1e-28, 0.5, CPU_MAX_HZ
    )
    modes = np.array([False, True])
    np.testing.assert_array_equal(dead.best_cpu(modes, np.zeros(2)), 0.0)
    np.testing.assert_array_equal(dead.balanced_ratio(np.full(2, 1e9)), 0.0)
    np.testing.assert_array_equal(dead.cost(np.zeros(2), np.full(2, 1e9)), 1.0)
    assert cheaper_mode(0.0, dead.packed()[0], 0.5, CPU_MAX_HZ)[0] == np.inf


def shared(tasks: Splitting, server: list[int], whole: np.ndarray) -> np.ndarray:
    return share_cpu(np.array([server]), whole[None], tasks.packed()[None], tasks.time_weight, tasks.cpu_max_hz)[0]


@pytest.mark.parametrize("cpu_max_hz", [0.2e9, 1e9, 10e9])
@pytest.mark.parametrize("time_weight", WEIGHTS)
def test_a_servers_cpu_is_shared_as_a_convex_solver_shares_it(time_weight: float, cpu_max_hz: float) -> None:
    rng = np.random.default_rng(10)
    for trial in range(3):
        base = random_tasks(6, seed=20 + trial, time_weight=time_weight)
        send_s = base.cycles / 500.0 / 10.0 ** rng.uniform(7.0, 8.5, 6)
        tasks = Splitting(base.local_s, base.local_j, send_s, 0.1 * send_s, base.cycles, 1e-28, time_weight, cpu_max_hz)
        whole = rng.random(6) < 0.5
        cpu = shared(tasks, [0] * 6, whole)
        assert cpu.sum() <= cpu_max_hz * (1 + 1e-12)
        assert tasks.mode_cost(whole, cpu).sum() <= convex_optimum(tasks, whole) * (1 + 1e-6)


def convex_optimum(tasks: Splitting, whole: np.ndarray) -> float:
    """The cost of optimal shares by cvxpy: both modes as sums of convex terms of a share f of the CPU, 0 to 1."""
    bt, be, most = tasks.time_weight, 1 - tasks.time_weight, tasks.cpu_max_hz
    shares, cost = cp.Variable(len(whole)), 0.0
    for i, everything in enumerate(whole):
        f, t0, c = shares[i], tasks.local_s[i], tasks.cycles[i] / most
        e, k = tasks.send_j[i] / tasks.local_j[i], tasks.kappa * tasks.cycles[i] * most**2 / tasks.local_j[i]
        if everything:
            cost += bt / t0 * (tasks.send_s[i] + c * cp.inv_pos(f)) + be * (e + k * cp.square(f))
            continue
        # (A f + c + D f^3) / (B f + c) = polynomial division, with g = B f + c
        a, b, d = tasks.send_s[i] + be * t0 * e, t0 + tasks.send_s[i], be * t0 * k
        g = b * f + c
        # f = (g - c) / b: D f^3 / g = D/b^3 (g^2 - 3 c g + 3 c^2 - c^3 / g), of which -c^3/g goes with the other 1/g
        cube = d / b**3
        reciprocal = c - a * c / b - cube * c**3
        assert reciprocal >= 0, "this instance has no such form"
        cost += a / b + reciprocal * cp.inv_pos(g) + cube * (cp.square(g) - 3 * c * g + 3 * c**2)
    problem = cp.Problem(cp.Minimize(cost), [shares >= 1e-9, cp.sum(shares) <= 1])
    problem.solve(solver=cp.CLARABEL)
    return float(problem.value)


def test_each_server_shares_its_own_cpu_and_local_tasks_get_none() -> None:
    tasks = random_tasks(5, seed=11, time_weight=0.9)
    whole = np.array([True, False, True, True, False])
    cpu = shared(tasks, [0, 0, -1, 2, 0], whole)
    assert cpu[2] == 0
    alone = shared(tasks.take([0, 1, 4]), [0, 0, 0], whole[[0, 1, 4]])
    np.testing.assert_allclose(cpu[[0, 1, 4]], alone, rtol=1e-12)
    assert cpu[3] == tasks.best_cpu(whole, np.zeros(5))[3]


def test_free_cpu_leaves_some_idle_where_energy_weighs() -> None:
    tasks = random_tasks(2, seed=12, time_weight=0.1)
    assert shared(tasks, [0, 0], np.array([True, True])).sum() < 0.5 * CPU_MAX_HZ


def test_scarce_cpu_is_used_up() -> None:
    tasks = random_tasks(8, seed=13, time_weight=0.9)
    assert shared(tasks, [0] * 8, np.ones(8, bool)).sum() == pytest.approx(CPU_MAX_HZ, rel=1e-12)


@pytest.mark.parametrize("full", [False, True])
def test_at_prices_without_end_the_least_share_is_asked_for(full: bool) -> None:
    row = random_tasks(1, seed=14).packed()[0]
    assert response(full, 1e60, row, 0.5, CPU_MAX_HZ) == MIN_CPU_SHARE * CPU_MAX_HZ
    assert mode_slope(full, MIN_CPU_SHARE * CPU_MAX_HZ, row, 0.5) + 1e60 > 0.0


@pytest.mark.parametrize("full", [False, True])
def test_a_task_without_a_link_asks_for_no_cpu_and_costs_more_than_any_other(full: bool) -> None:
    task = np.array([1.0, np.inf, 0.5, 1.0, 0.2])  # local_s, send_s, send, cycles, scaled
    assert mode_cost(full, 0.5, task, 0.5) == np.inf
    assert mode_slope(full, 0.5, task, 0.5) == 0.0
    assert response(full, 1.0, task, 0.5, 2.0) == 0.0
    assert cheaper_mode(1.0, task, 0.5, 2.0)[:2] == (np.inf, 0.0)
