"""The known future's cheapest decisions against cvxpy, grids over the powers, dynamic programming and themselves."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Decisions, Instances, Problem, Status
from offloadopt.solvers.backlog.convex_program import BatteryProgramme
from offloadopt.solvers.backlog.exact import BacklogExact
from offloadopt.structures.backlog import Backlog
from offloadopt.testing import check_solver

LOG2 = float(np.log(2.0))


def carbon(preset: str = "paper", **changes: Any) -> Problem[Any]:
    return registry.problem("carbon_mimo", preset, **{"users": 2, "antennas": 4, "horizon": 10, **changes})


def joint_optimum(backlog: Backlog, row: int) -> float:
    """One cvxpy programme over all users of an instance, bits in quanta and energy in mW-slots; no battery."""
    import cvxpy as cp

    service, d = backlog.service, backlog.service.device
    _, horizon, agents = shape = backlog.arrival_bits.shape
    quantum, watt = d.slot_s * d.bandwidth_hz, d.slot_s
    arrivals, gain, green = (array[row] for array in (backlog.arrival_bits, service.gain_per_w, service.green_j))
    green_price, grid_price = (np.broadcast_to(p, shape)[row] for p in (service.green_price, service.grid_price))
    local, offload, from_green, from_grid = (cp.Variable((horizon, agents), nonneg=True) for _ in range(4))
    served, lost = cp.Variable((horizon, agents), nonneg=True), cp.Variable((horizon, agents), nonneg=True)
    buffer = cp.Variable((horizon + 1, agents), nonneg=True)
    local_bits = float(d.local_bits(np.asarray(d.local_max_w))) / quantum
    limits = [
        local <= d.local_max_w,
        offload <= d.offload_max_w,
        served <= local_bits * cp.power(local / d.local_max_w, 1 / 3) + cp.log1p(cp.multiply(gain, offload)) / LOG2,
        served <= buffer[:-1],
        buffer[0] == backlog.start_bits[row] / quantum,
        buffer[1:] == buffer[:-1] - served + arrivals / quantum - lost,
        from_green <= green / watt,
        from_green + from_grid == local + offload,
    ]
    if np.isfinite(backlog.capacity_bits):
        limits.append(buffer[1:] <= backlog.capacity_bits / quantum)
    else:
        limits.append(lost == 0)
    charge = watt * (cp.sum(cp.multiply(green_price, from_green)) + cp.sum(cp.multiply(grid_price, from_grid)))
    charge += quantum * (backlog.holding_price * cp.sum(buffer[1:]) + backlog.overflow_price * cp.sum(lost))
    charge += quantum * backlog.final_price * cp.sum(buffer[-1])
    programme = cp.Problem(cp.Minimize(charge), limits)
    programme.solve(solver=cp.CLARABEL)
    assert programme.status == cp.OPTIMAL
    return float(programme.value + backlog.fixed_cost[row].sum())


def best_on_a_grid(problem: Problem[Any], instances: Instances, points: int = 9, rounds: int = 14) -> float:
    """The least that ``problem.evaluate`` charges one user for powers on a grid that closes in on the best."""
    numbers = 2 * problem.horizon
    grid = np.array(list(itertools.product(np.linspace(-1.0, 1.0, points), repeat=numbers)))
    many = instances.take(np.zeros(len(grid), dtype=np.int64))
    most = problem.scenario.local_max_w
    centre, width, best = np.full(numbers, most / 2), most / 2, np.inf
    for _ in range(rounds):
        powers = np.clip(centre + width * grid, 0.0, most).reshape(len(grid), problem.horizon, 1, 2)
        cost = problem.evaluate(many, Decisions({"local_w": powers[..., 0], "offload_w": powers[..., 1]})).cost
        if cost.min() < best:
            best, centre = cost.min(), powers[cost.argmin()].ravel()
        width *= 0.6
    return float(best)


# ------------------------------------------------------------------------------------------------ against others


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("paper", {}),
        ("paper", {"start_bits": 3e4, "harvest_w": 0.2}),
        ("paper", {"arrival_quanta": 5.0, "buffer_bits": 1.5e4}),
        ("paper", {"charge": "literal"}),
        ("paper-normalised", {"speed_m_per_s": 0.0}),
        ("ancestor", {"arrival_quanta": 2.0}),
    ],
)
def test_users_solved_apart_cost_what_one_programme_over_all_of_them_does(preset: str, changes: dict[str, Any]) -> None:
    problem = carbon(preset, **changes)
    instances = problem.sample(2, seed=4)
    solutions = BacklogExact().run(problem, instances)
    assert solutions.status.tolist() == [Status.OPTIMAL] * 2
    assert (problem.evaluate(instances, solutions.decisions).metrics["overflow_bits"] == 0).all()
    together = [joint_optimum(problem.backlog(instances), row) for row in range(2)]
    np.testing.assert_allclose(solutions.objective, together, rtol=2e-6)
    np.testing.assert_allclose(solutions.bound, together, rtol=2e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"harvest_w": 0.3},
        {"buffer_bits": 6e3, "start_bits": 6e3, "arrival_quanta": 8.0},
        {"battery_j": 1e-3},
        {"battery_j": 4e-3, "harvest_w": 0.5, "start_bits": 6e3},
    ],
)
def test_no_powers_on_a_grid_cost_less(changes: dict[str, Any]) -> None:
    problem = carbon(users=1, horizon=2, **{"start_bits": 1e4, **changes})
    instances = problem.sample(3, seed=2)
    solutions = BacklogExact().run(problem, instances)
    for row in range(3):
        on_grid = best_on_a_grid(problem, instances.take([row]))
        assert solutions.objective[row] <= on_grid + 1e-9
        assert solutions.objective[row] == pytest.approx(on_grid, rel=2e-3)
        assert solutions.bound[row] <= on_grid


def optimum_by_dynamic_programming(backlog: Backlog, levels: int = 801, efforts: int = 161) -> float:
    """Of the first buffer, on grids of its level and of the bits to serve; the cost-to-go is interpolated."""
    level = np.linspace(0.0, backlog.capacity_bits, levels)
    ahead = backlog.final_price * level
    for slot in reversed(range(backlog.arrival_bits.shape[1])):
        one = backlog.service.take((np.zeros(efforts, np.int64), np.full(efforts, slot), np.zeros(efforts, np.int64)))
        served = np.linspace(0.0, 1.0, efforts) * one.bits(*one.powers(one.full_effort))
        energy = one.energy_cost(one.energy_j(*one.best(np.full(efforts, np.inf), served)))
        waiting = np.maximum(level[:, None] - served, 0.0) + backlog.arrival_bits[0, slot, 0]
        kept = np.minimum(waiting, backlog.capacity_bits)
        cost = energy + backlog.holding_price * kept + backlog.overflow_price * (waiting - kept)
        ahead = np.min(cost + np.interp(kept, level, ahead), axis=1)
    return float(np.interp(backlog.start_bits[0, 0], level, ahead) + backlog.fixed_cost[0, 0])


@pytest.mark.parametrize("changes", [{"arrival_quanta": 10.0}, {"arrival_quanta": 8.0, "overflow_unit": 5.0}])
def test_where_bits_must_be_lost_the_plan_is_that_of_dynamic_programming(changes: dict[str, Any]) -> None:
    problem = carbon(users=1, horizon=40, buffer_bits=5e4, distance_m=80.0, **changes)
    instances = problem.sample(1, seed=3)
    solutions = BacklogExact().run(problem, instances)
    assert problem.evaluate(instances, solutions.decisions).metrics["overflow_bits"][0] > 0
    best = optimum_by_dynamic_programming(problem.backlog(instances))
    assert solutions.objective[0] == pytest.approx(best, rel=2e-3)
    assert solutions.bound[0] <= best * (1 + 1e-6)  # its grid interpolates
    assert solutions.status[0] == Status.OPTIMAL
    assert solutions.gap[0] < 1e-8


# ------------------------------------------------------------------------------------------------------ odd cases


def test_nothing_to_serve_costs_nothing() -> None:
    problem = carbon()
    instances = problem.sample(2, seed=0)
    nothing = Instances({**instances, "arrival_bits": np.zeros_like(instances["arrival_bits"])})
    solutions = BacklogExact().run(problem, nothing)
    np.testing.assert_allclose(solutions.objective, 0.0, atol=1e-12)
    np.testing.assert_allclose(solutions.bound, 0.0, atol=1e-8)


def test_without_a_link_all_is_computed_locally() -> None:
    problem = carbon(users=1, harvest_w=0.0, arrival_quanta=1.0)
    instances = problem.sample(2, seed=0)
    for strength in (0.0, 1e-15):
        deaf = Instances({**instances, "channel": strength * instances["channel"]})
        solutions = BacklogExact().run(problem, deaf)
        assert (solutions.decisions["offload_w"] == 0).all()
        assert solutions.status.tolist() == [Status.OPTIMAL] * 2
        assert (problem.evaluate(deaf, solutions.decisions).metrics["served_bits"] > 0).all()


def test_equal_slots_are_served_equally_while_waiting_is_free() -> None:
    problem = carbon(users=1, harvest_w=0.0, buffer_weight=0.0, start_bits=9e4, speed_m_per_s=0.0, correlation=1.0)
    instances = problem.sample(2, seed=0)
    full = Instances({**instances, "start_bits": np.full((2, 1), 9e4)})
    powers = BacklogExact().run(problem, full).decisions
    for name in ("local_w", "offload_w"):
        np.testing.assert_allclose(powers[name], powers[name][:, :1] * np.ones((1, 10, 1)), rtol=1e-9)
    assert (powers["local_w"] > 0).all()


def test_the_papers_own_scale_changes_no_cost() -> None:
    physical, normalised = (carbon(name, speed_m_per_s=0.0) for name in ("paper", "paper-normalised"))
    costs = [BacklogExact().run(problem, problem.sample(3, seed=1)) for problem in (physical, normalised)]
    np.testing.assert_allclose(costs[0].objective, costs[1].objective, rtol=1e-9)
    np.testing.assert_allclose(costs[0].bound, costs[1].bound, rtol=1e-7)


# -------------------------------------------------------------------------------------------------------- battery


def test_a_battery_is_used_and_its_programme_is_proved_right() -> None:
    problem = carbon(battery_j=5e-3, harvest_w=0.5, arrival_quanta=4.0)
    instances = problem.sample(2, seed=0)
    solutions = BacklogExact().run(problem, instances)
    assert solutions.status.tolist() == [Status.OPTIMAL] * 2
    assert (solutions.gap < 1e-6).all()
    without = BacklogExact().run(carbon(harvest_w=0.5, arrival_quanta=4.0), instances)
    assert (solutions.objective < 0.99 * without.bound).all()


def test_a_programme_that_fails_leaves_a_decision_and_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = carbon(battery_j=5e-3, harvest_w=0.5, arrival_quanta=4.0)
    instances = problem.sample(2, seed=0)
    solved = BacklogExact().run(problem, instances)
    monkeypatch.setattr(BatteryProgramme, "solve", lambda *_: None)
    failed = BacklogExact().run(problem, instances)
    assert failed.status.tolist() == [Status.BOUNDED] * 2
    assert (failed.bound <= solved.objective).all()
    assert (failed.objective >= solved.bound).all()
    assert np.isfinite(failed.bound).all()


# ---------------------------------------------------------------------------------------------------- the contract


@pytest.mark.parametrize(("preset", "changes"), [("paper", {}), ("ancestor", {}), ("paper", {"battery_j": 2e-3})])
def test_it_conforms(preset: str, changes: dict[str, Any]) -> None:
    check_solver(BacklogExact(), carbon(preset, **{"arrival_quanta": 3.0, **changes}), seed=1)


def test_the_time_limit_leaves_idle_buffers_and_a_valid_bound() -> None:
    problem = carbon()
    instances = problem.sample(3, seed=0)
    best, cut = BacklogExact().run(problem, instances), BacklogExact(time_limit_s=1e-9).run(problem, instances)
    assert cut.status.tolist() == [Status.BOUNDED] * 3
    assert (cut.bound <= best.objective).all()
    assert (cut.objective > best.objective).all()


def test_an_instance_is_solved_as_if_it_were_alone() -> None:
    problem = carbon(arrival_quanta=5.0)
    instances = problem.sample(3, seed=0)
    together, alone = BacklogExact().run(problem, instances), BacklogExact().run(problem, instances.take([1]))
    assert together.objective[1] == pytest.approx(alone.objective[0], rel=1e-12)
    assert together.bound[1] == pytest.approx(alone.bound[0], rel=1e-12)
