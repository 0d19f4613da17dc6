"""`exact`: placements against enumeration, bounds against decisions, the digital twin and batteries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt import solver
from offloadopt.clock import Deadline
from offloadopt.core import Decisions, Instances, Status
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.solvers.inference.exact import InferenceExact
from offloadopt.testing import check_solver

from toys.inference_slots import least_of_all, slot_of, small_inference

# --------------------------------------------------------------------------------------------------------- the optimum


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
        problem = small_inference(users=users, servers=servers, tasks_max=most, horizon=1, battery_j=1e6, **changes)
        instances = problem.sample(3, seed=users)
        proved = solver("exact", problem, relative_gap=1e-9).run(problem, instances)
        assert (proved.status == Status.OPTIMAL).all()
        for row in range(3):
            assert proved.objective[row] == pytest.approx(least_of_all(problem, instances, row), rel=3e-9)


def test_larger_slots_are_proved_and_no_decision_costs_less_than_the_bound() -> None:
    problem = small_inference(users=6, servers=3, horizon=1, battery_j=1e6)
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


def test_identical_tasks_are_solved() -> None:
    identical = {"user_hz": (1.5e9, 1.5e9), "server_hz": (7e9, 7e9), "bandwidth_hz": (15e4, 15e4)}
    identical |= {"power_w": (1.5, 1.5), "gain": (1e-11, 1e-11)}
    numbers = {"users": 4, "servers": 2, "tasks_min": 3, "tasks_max": 3, "images_min": 2, "images_max": 2, "horizon": 1}
    problem = small_inference(task_mix=("PathMNIST",), battery_j=1e6, **numbers, **identical)
    proved = solver("exact", problem).run(problem, problem.sample(1, seed=0))
    assert proved.gap[0] <= 1e-6


# ------------------------------------------------------------------------------------------------ batteries, the twin


def test_full_batteries_make_the_horizon_a_sum_of_proved_slots() -> None:
    problem = small_inference(users=3, servers=2, horizon=3, battery_j=1e6)
    proved = solver("exact", problem).run(problem, problem.sample(2, seed=2))
    assert (proved.status == Status.OPTIMAL).all()


def test_scarce_batteries_are_priced_and_what_is_priced_costs_no_more_than_what_is_not() -> None:
    problem = small_inference(users=3, servers=2, horizon=4, battery_j=1.0)
    instances = problem.sample(2, seed=2)
    unpriced = solver("exact", problem, price_rounds=1, branchings=0).run(problem, instances)
    priced = solver("exact", problem, price_rounds=8, branchings=4).run(problem, instances)
    assert (problem.evaluate(instances, unpriced.decisions).metrics["failures"] > 0).all()
    assert (priced.objective <= unpriced.objective).all()
    assert (priced.bound >= unpriced.bound).all()
    assert priced.objective.mean() < 0.95 * unpriced.objective.mean()
    assert (priced.bound <= priced.objective).all()


def test_an_empty_battery_does_what_it_can() -> None:
    problem = small_inference(users=2, servers=1, horizon=1, battery_j=1.0)
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
        problem = small_inference(users=4, servers=3, horizon=1, battery_j=1e6, **dict.fromkeys(none, size))
        instances = problem.sample(6, seed=4)
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
    check_solver(InferenceExact(), small_inference(**{"users": 2, "servers": 2, "horizon": 2, **changes}))
    check_solver(InferenceExact(twin=True), small_inference(**{"users": 2, "servers": 2, "horizon": 2, **changes}))


def test_a_slot_without_tasks_costs_nothing() -> None:
    problem = small_inference(users=2, servers=2, horizon=1, tasks_min=0)
    instances = problem.sample(1, seed=0)
    nothing = Instances({**instances, "present": np.zeros((1, 2, 4))})
    solved = solver("exact", problem).run(problem, nothing)
    assert solved.objective[0] == 0.0
    assert solved.status[0] == Status.OPTIMAL


def test_a_time_limit_returns_a_decision_and_a_bound() -> None:
    problem = small_inference(horizon=1)
    solved = solver("exact", problem, time_limit_s=1e-9).run(problem, problem.sample(1, seed=0))
    assert np.isfinite(solved.objective[0])
    assert solved.bound[0] <= solved.objective[0]


def test_bad_input_is_refused() -> None:
    with pytest.raises(Unsupported, match="InferenceProblem"):
        InferenceExact().run(offloadopt.problem("multi_server"), offloadopt.problem("multi_server").sample(1, 0))
    with pytest.raises(InvalidInput, match="price_rounds"):
        InferenceExact(price_rounds=0)


def test_slots_of_another_failure_cost_are_other_slots() -> None:
    problem = small_inference(users=2, servers=1, horizon=1, battery_j=1e6)
    slot = slot_of(problem, problem.sample(1, seed=0), 0)
    cheap = replace(slot, failure_costs=np.full(slot.tasks, 1e-3))
    option, bound = InferenceExact().prove(cheap, None, Deadline())  # type: ignore[attr-defined]
    assert (option == -1).all()
    assert bound == pytest.approx(1e-3 * slot.tasks, rel=1e-6)


def test_where_branching_leaves_a_gap_few_placements_are_enumerated() -> None:
    problem = small_inference(
        users=3, servers=2, horizon=1, layout_seed=25, tasks_max=2, battery_j=2.3624268609857997,
        start_share=0.4725190968775229, server_drains=True, limit_s=1.877276023412622, time_weight=0.19254543940966534,
        energy_weight=0.0, failure_cost=9.3129727644054,
    )  # fmt: skip
    instance = problem.sample(1, 66)
    found = solver("exact", problem, branchings=0).run(problem, instance)
    assert found.status_names == [Status.OPTIMAL.name]
    assert found.objective[0] == pytest.approx(0.2195584, rel=1e-6)
    assert found.bound[0] <= solver("exhaustive", problem).run(problem, instance).objective[0]
