"""`greedy`, `local`, `round-robin`: against every decision on a grid, the proved optimum, and enumeration."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt import solver
from offloadopt.core import Decisions, Instances
from offloadopt.problems.twin_inference import TwinInference
from offloadopt.testing import check_solver

NAMES = ("greedy", "local", "round-robin", "lyapunov", "levy")


def make(**changes: Any) -> TwinInference:
    problem = offloadopt.problem("twin_inference", **changes)
    assert isinstance(problem, TwinInference)
    return problem


def least_on_a_grid(problem: TwinInference, instances: Instances, points: int) -> float:
    """The least that one user's two tasks cost, of all places and shares on a grid."""
    steps = np.arange(1, points + 1) / points
    own = [(0, cpu, 0.0) for cpu in steps]
    away = [(k + 1, cpu, band) for k in range(problem.servers) for cpu in steps for band in steps]
    every = np.array(list(itertools.product([*own, *away, (0, 0.0, 0.0)], repeat=2)))[:, None]  # [rows, 1, 2, 3]
    decisions = Decisions(
        {"server": every[..., 0].astype(np.int64), "cpu_share": every[..., 1], "bandwidth_share": every[..., 2]}
    )
    return float(problem.evaluate(instances.take(np.zeros(len(every), dtype=np.int64)), decisions).cost.min())


@pytest.mark.parametrize(("battery_j", "dearer"), [(1e6, 1.0), (0.4, 1.02), (0.1, 1.15)])
def test_a_user_that_is_alone_finds_no_better_choice_on_a_grid(battery_j: float, dearer: float) -> None:
    problem = make(users=1, servers=1, tasks_max=2, tasks_min=2, horizon=1, battery_j=battery_j, start_share=1.0)
    instances = problem.sample(4, seed=3)
    selfish = solver("greedy", problem).run(problem, instances)
    for row in range(4):
        grid = least_on_a_grid(problem, instances.take([row]), 12)
        # A price of joules cannot reach all decisions within a battery, only those on the lower hull.
        assert selfish.objective[row] <= grid * dearer
        assert grid <= 1.05 * selfish.objective[row]


def test_scarce_batteries_bind_on_the_grid_above() -> None:
    problem = make(users=1, servers=1, tasks_max=2, tasks_min=2, horizon=1, battery_j=1e6, start_share=1.0)
    instances = problem.sample(4, seed=3)
    held = Instances({**instances, "start_j": np.full((4, 1), 0.1)})
    free, scarce = (solver("greedy", problem).run(problem, these).objective for these in (instances, held))
    assert (scarce > 1.05 * free).sum() >= 3


def test_a_user_that_is_alone_decides_as_proved_and_users_together_do_not() -> None:
    for users in (1, 5):
        problem = make(users=users, servers=3, horizon=1, battery_j=1e6)
        instances = problem.sample(6, seed=8)
        best, selfish = (
            solver("exact", problem).run(problem, instances),
            solver("greedy", problem).run(problem, instances),
        )
        if users == 1:
            np.testing.assert_allclose(selfish.objective, best.objective, rtol=2e-6)
        else:
            assert (selfish.objective > 1.2 * best.objective).all()


def test_what_others_have_changes_nothing_for_a_user() -> None:
    problem = make(users=3, servers=2, horizon=1, battery_j=0.5)
    instances, others = problem.sample(5, seed=1), problem.sample(5, seed=2)
    mixed = {name: np.array(values) for name, values in instances.items()}
    for name in ("present", "bits", "cycles", "gain", "start_j"):
        mixed[name][:, 1:] = others[name][:, 1:]
    first, second = (solver("greedy", problem).run(problem, these).decisions for these in (instances, Instances(mixed)))
    for name in first:
        np.testing.assert_array_equal(first[name][:, 0], second[name][:, 0])
    assert (first["server"][:, 1:] != second["server"][:, 1:]).any()


def test_own_cpus_do_the_best_set_of_tasks_that_they_can() -> None:
    problem = make(users=1, servers=2, horizon=1, battery_j=1e6, limit_s=0.5, tasks_min=2, tasks_max=2)
    instances = problem.sample(6, seed=4)
    home = solver("local", problem).run(problem, instances)
    assert (home.decisions["server"] == 0).all()
    failures = problem.evaluate(instances, home.decisions).metrics["failures"]
    assert failures.max() >= 1  # something is left out
    assert failures.min() == 0
    parts = np.arange(0, 201) / 200
    every = np.array([row for row in itertools.product(parts, repeat=2) if sum(row) <= 1.0])[:, None]
    nothing = np.zeros_like(every)
    decisions = Decisions({"server": nothing.astype(np.int64), "cpu_share": every, "bandwidth_share": nothing})
    for row in range(6):
        least = problem.evaluate(instances.take(np.full(len(every), row)), decisions).cost.min()
        assert home.objective[row] <= least <= 1.01 * home.objective[row]


def test_tasks_in_turn_go_to_the_servers_one_after_the_other_with_the_best_shares() -> None:
    problem = make(users=3, servers=2, horizon=1, battery_j=1e6)
    instances = problem.sample(3, seed=4)
    dealt = solver("round-robin", problem).run(problem, instances)
    for row in range(3):
        there = instances["present"][row] == 1
        np.testing.assert_array_equal(dealt.decisions["server"][row][there], np.arange(there.sum()) % 2 + 1)
    rng = np.random.default_rng(0)
    for _ in range(200):
        near = {
            name: np.clip(dealt.decisions[name] * rng.uniform(0.9, 1.1, there.shape), 0, 1)
            for name in ("cpu_share", "bandwidth_share")
        }
        cost = problem.evaluate(instances, Decisions({**dealt.decisions, **near})).cost
        assert (cost >= dealt.objective * (1 - 1e-9)).all()


@pytest.mark.parametrize("name", NAMES)
def test_with_empty_batteries_everything_fails_and_without_tasks_nothing_costs(name: str) -> None:
    problem = make(users=2, servers=2, horizon=2, tasks_min=0)
    instances = problem.sample(2, seed=1)
    options = {"v": 1.0} if name == "lyapunov" else {}
    empty = Instances({**instances, "start_j": np.zeros((2, 2))})
    tasks = instances["present"].sum(axis=(1, 2, 3))
    np.testing.assert_allclose(
        solver(name, problem, **options).run(problem, empty).objective, tasks * problem.scenario.failure_cost
    )
    nothing = Instances({**instances, "present": np.zeros_like(instances["present"])})
    np.testing.assert_array_equal(solver(name, problem, **options).run(problem, nothing).objective, 0.0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("changes", [{"horizon": 1}, {"horizon": 3, "battery_j": 1.0}, {"tasks_min": 0, "users": 1}])
def test_they_conform(name: str, changes: dict[str, Any]) -> None:
    options: dict[str, Any] = {"v": 1.0} if name == "lyapunov" else {}
    if name == "levy":
        options = {"generations": 20}
    problem = make(**{"users": 2, "servers": 2, "horizon": 2, **changes})
    check_solver(solver(name, problem, **options), problem)
