"""Exhaustive windows of `twin_inference`: the reference of `exact`, which enumerates no placements."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from known_values.test_small_proofs import TWIN_INFERENCE

import offloadopt
from offloadopt.core import Decisions, Status
from offloadopt.errors import Unsupported
from offloadopt.solvers.inference.exact import InferenceExact
from offloadopt.solvers.inference.exhaustive import InferenceExhaustive
from offloadopt.testing import check_solver

from toys.inference_slots import least_of_all, small_inference

WINDOWS: dict[str, dict[str, Any]] = {
    "two slots": {"horizon": 2, "tasks_max": 1},
    "batteries bind": {"horizon": 2, "tasks_max": 1, "battery_j": 0.4},
    "servers drain": {"horizon": 1, "battery_j": 1.0, "server_drains": True},
    "limits bind": {"horizon": 1, "limit_s": 0.2},
    "energy costs nothing": {"horizon": 1, "battery_j": 0.5, "energy_weight": 0.0},
}


def test_it_is_the_least_cost_of_all_placements() -> None:
    problem = small_inference(users=2, servers=2, tasks_max=2, horizon=1, battery_j=1e6)
    instances = problem.sample(3, seed=2)
    found = InferenceExhaustive().run(problem, instances)
    for row in range(3):
        assert found.objective[row] == pytest.approx(least_of_all(problem, instances, row), rel=1e-9)
        assert found.details["enumerated"][row] == 4 ** instances["present"][row].sum()
    assert (found.status == Status.OPTIMAL).all()
    assert not found.details["repriced"].any()


@pytest.mark.parametrize("case", TWIN_INFERENCE)
def test_shares_within_batteries_are_those_of_convex_programmes(case: str) -> None:
    seed, optimum, changes = TWIN_INFERENCE[case]
    problem = offloadopt.problem("twin_inference", **changes)
    found = InferenceExhaustive().run(problem, problem.sample(1, seed))
    assert found.objective[0] == pytest.approx(optimum, rel=2e-7)
    assert found.status_names == ["OPTIMAL"]
    assert found.details["repriced"][0] > 0


@pytest.mark.parametrize("window", WINDOWS)
def test_exact_agrees_with_it(window: str) -> None:
    problem = small_inference(**{"users": 2, "servers": 2, "tasks_max": 2, **WINDOWS[window]})
    instances = problem.sample(3, seed=3)
    least = InferenceExhaustive().run(problem, instances)
    proved = InferenceExact().run(problem, instances)
    assert (least.status == Status.OPTIMAL).all()
    assert (proved.bound <= least.objective * (1 + 1e-9)).all()
    assert (least.bound <= proved.objective * (1 + 1e-9)).all()
    np.testing.assert_allclose(proved.objective, least.objective, rtol=2e-6)


def test_no_decision_costs_less() -> None:
    problem = small_inference(users=2, servers=1, tasks_max=1, horizon=2, battery_j=0.4)
    instances, rng = problem.sample(3, seed=3), np.random.default_rng(0)
    least = InferenceExhaustive().run(problem, instances)
    for _ in range(300):
        factor = {name: rng.uniform(0.9, 1.1, values.shape) for name, values in least.decisions.items()}
        near = {name: np.clip(least.decisions[name] * factor[name], 0, 1) for name in ("cpu_share", "bandwidth_share")}
        cost = problem.evaluate(instances, Decisions({"server": least.decisions["server"], **near})).cost
        assert (cost >= least.bound).all()


def test_windows_with_too_many_placements_are_refused() -> None:
    message = (
        "solver 'exhaustive': 8 options for each of up to 640 tasks are 8^640 placements; allowed: at most 2000000"
    )
    with pytest.raises(Unsupported, match=re.escape(message)):
        InferenceExhaustive().require(offloadopt.problem("twin_inference"))


def test_a_time_limit_leaves_a_decision_without_a_bound() -> None:
    problem = small_inference(users=2, servers=1, tasks_max=1, horizon=2)
    found = InferenceExhaustive(time_limit_s=1e-9).run(problem, problem.sample(2, seed=3))
    assert (found.status == Status.FEASIBLE).all()


def test_it_conforms() -> None:
    check_solver(InferenceExhaustive(), small_inference(users=2, servers=1, tasks_max=1, horizon=2, battery_j=0.4))
