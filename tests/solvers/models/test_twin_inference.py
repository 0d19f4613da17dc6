"""Both models of `twin_inference` against `exact`: slots, horizons, batteries, time limits, literal powers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.physics.edge_inference import send_factor
from offloadopt.solvers.models.solver import MilpInHindsight, MinlpInHindsight
from offloadopt.solvers.models.twin_inference import LEAST_SHARE, TwinInferenceModel, least_band

from toys.model_problems import optimum

METHODS = {"milp": MilpInHindsight(), "minlp": MinlpInHindsight()}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "a slot, MILP": ("milp", {"users": 2, "servers": 2, "tasks_max": 2, "horizon": 1}),
    "a slot, MINLP": ("minlp", {"users": 2, "servers": 1, "tasks_max": 2, "horizon": 1}),
    "batteries bind": ("milp", {"users": 2, "servers": 1, "tasks_max": 1, "horizon": 2, "battery_j": 0.4}),
    "time limits bind": ("milp", {"users": 2, "servers": 1, "tasks_max": 2, "horizon": 1, "limit_s": 0.1}),
    "servers drain": (
        "milp",
        {"users": 1, "servers": 1, "tasks_max": 2, "horizon": 2, "server_drains": True, "battery_j": 0.5},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_agrees_with_exact(case: str) -> None:
    method, changes = CASES[case]
    problem = offloadopt.problem("twin_inference", **changes)
    instances = problem.sample(1, seed=5)
    best = optimum(problem, instances)
    solutions = METHODS[method].run(problem, instances)
    np.testing.assert_allclose(solutions.objective, best, rtol=1e-6)
    assert (solutions.bound <= best).all()
    assert (solutions.gap < 3e-6).all()


def test_the_papers_literal_powers_are_well_scaled() -> None:
    problem = offloadopt.problem("twin_inference", "paper-literal", users=2, servers=1, tasks_max=2, horizon=1)
    instances = problem.sample(1, seed=1)
    best = optimum(problem, instances)
    for method in METHODS.values():
        solutions = method.run(problem, instances)
        np.testing.assert_allclose(solutions.objective, best, rtol=1e-6)
        assert (solutions.bound <= best).all()


@pytest.mark.parametrize(("send", "snr"), [(0.1, 200.0), (0.9, 3.0), (1e-9, 10.0), (0.02, 0.5)])
def test_the_least_band_is_just_too_little(send: float, snr: float) -> None:
    least = least_band(send, snr)
    assert send * send_factor(least, snr) >= 1.0 or least == LEAST_SHARE
    assert send * send_factor(1.002 * least, snr) <= 1.0


def test_a_slot_without_tasks_costs_nothing() -> None:
    problem = offloadopt.problem("twin_inference", users=2, servers=1, tasks_min=0, tasks_max=1, horizon=1)
    sampled = dict(problem.sample(1, seed=0))
    sampled["present"] = np.zeros_like(sampled["present"])
    instances = problem.check_instances(sampled)
    for method in METHODS.values():
        solutions = method.run(problem, instances)
        assert (solutions.objective[0], solutions.status_names) == (0.0, ["OPTIMAL"])


def test_cuts_are_added_once() -> None:
    problem = offloadopt.problem("twin_inference", users=2, servers=1, tasks_max=2, horizon=1)
    instances = problem.sample(1, seed=5)
    decided = MilpInHindsight().run(problem, instances).decisions
    model = TwinInferenceModel(problem, instances, linear=True)
    assert model.add_cuts(decided)
    assert not model.add_cuts(decided)
