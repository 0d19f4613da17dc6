"""Measurements are the problem's own numbers on the same instances."""

from __future__ import annotations

import math

import pytest

from offloadopt import registry
from offloadopt.reproduce.twin_inference.measurements import MEASURE
from offloadopt.reproduce.twin_inference.sweeps import DELAY, ENERGY

from toys.tiny_papers.twin_inference import STUDY


def test_averages_are_the_problems_own_and_failed_tasks_save_no_energy() -> None:
    scenario = STUDY.scenario(users=3, servers=1, limit_s=0.3)
    found = MEASURE.apply_solvers(scenario, {"one": {"name": "local", "options": {}}}, 3, 7)["one"]
    problem = MEASURE.make(scenario)
    instances = problem.sample(3, 7)
    solutions = registry.solver("local", problem).run(problem, instances, seed=7)
    metrics = {name: values.sum() for name, values in problem.evaluate(instances, solutions.decisions).metrics.items()}
    assert 0 < metrics["failures"] < metrics["tasks"] == instances["present"].sum()
    assert found["cost"] == pytest.approx(solutions.objective.mean())
    assert found["cost_per_task"] == pytest.approx(3 * found["cost"] / metrics["tasks"])
    assert found[DELAY] == pytest.approx(metrics["time_s"] / metrics["tasks"])
    assert found[ENERGY] == pytest.approx(metrics["energy_j"] / (metrics["tasks"] - metrics["failures"]))
    assert found["failed"] == pytest.approx(metrics["failures"] / metrics["tasks"])


def test_what_has_no_denominator_is_left_out() -> None:
    scenario = STUDY.scenario(users=2, servers=1, limit_s=1e-9)
    found = MEASURE.apply_solvers(scenario, {"one": {"name": "local", "options": {}}}, 2, 7)["one"]
    assert found["failed"] == 1.0
    assert ENERGY not in found


def test_a_curve_adds_up_what_passes_and_leaves_out_what_was_not_learned() -> None:
    told = {"episode/objective": 5.0, "communication/sent_bytes": 3.0, "communication/delivered_bytes": 6.0}
    weights = {"communication/weights_sent_bytes": 10.0, "communication/weights_delivered_bytes": 20.0}
    found = MEASURE.learning(
        MEASURE.make(STUDY.at()),
        {"name": "maddpg"},
        [
            {"step": 1, "train/imitation_error": 1.0},
            {"step": 2, **told},
            {"step": 3, **told, **weights, "train/critic_loss": 0.5, "communication/collected_bytes": 0.0},
            {"step": 4, **told, "train/critic_loss": math.inf, "communication/collected_bytes": 7.0},
        ],
    )["curve"]
    assert found == [
        {"step": 2, "cost": 5.0, "sent": 3.0, "delivered": 6.0},
        {"step": 3, "cost": 5.0, "loss": 0.5, "sent": 13.0, "delivered": 26.0},
        {"step": 4, "cost": 5.0, "sent": 7.0, "delivered": 7.0},
    ]
