"""Measurements are the problem's own numbers; the fit finds what made a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Decisions
from offloadopt.problems.partial_mobile import PartialMobile, PartialMobileScenario
from offloadopt.reproduce.partial_mobile import measurements

from toys.tiny_papers.partial_mobile import STUDY


def mobile(**changes: Any) -> PartialMobile:
    return PartialMobile(PartialMobileScenario(**STUDY.scenario(**changes)))


def test_averages_are_the_problems_own_on_the_same_instances() -> None:
    chosen = {"edge": {"name": "edge-only", "options": {}}}
    found = measurements.MEASURE.apply_solvers(STUDY.scenario(users=7), chosen, 5, 11)["edge"]
    problem = mobile(users=7)
    instances = problem.sample(5, 11)
    distance = np.linalg.norm(instances["position_m"][..., None, :] - problem.sites_m, axis=-1)
    server = distance.argmin(axis=-1) + 1
    asked = np.full(server.shape, 10e9 * 5 / 7)
    outcome = problem.evaluate(
        instances, Decisions({"server": server, "ratio": np.ones(server.shape), "cpu_hz": asked})
    )
    assert found["cost"] == pytest.approx(outcome.cost.sum() / (5 * 4 * 7))
    assert found["time_s"] == pytest.approx(outcome.metrics["time_s"].mean())
    assert found["energy_j"] == pytest.approx(outcome.metrics["energy_j"].mean())
    crowded = (server[..., None] == np.arange(1, 6)).sum(axis=2) >= 2
    assert found["overload"] == pytest.approx(crowded.mean())
    assert found["utility"] == pytest.approx(1.0 - found["cost"] + crowded.sum() / (5 * 4 * 7))


def test_the_fit_finds_the_coefficient_that_made_the_table() -> None:
    scenario, exact = STUDY.scenario(), {"name": "exact", "options": {}}
    rows = []
    for weight in (0.2, 0.8):
        problem = mobile(kappa_server=10**-27.4, time_weight=weight, horizon=1)
        instances = problem.sample(3, 5)
        metrics = problem.evaluate(
            instances, registry.solver("exact", problem).run(problem, instances).decisions
        ).metrics
        scale = 400 / 3
        rows.append(
            {
                "weight": weight,
                "time_s": scale * float(metrics["time_s"].mean()),
                "energy_j": scale * float(metrics["energy_j"].mean()),
            }
        )
    found = measurements.fit_kappa(scenario, exact, rows, 3, 5, [-29.0, -28.0, -27.0, -26.0], 12)
    assert np.log10(found["fit"]["kappa"]) == pytest.approx(-27.4, abs=0.01)
    assert found["fit"]["residual"] < 0.01 < min(point["residual"] for point in found["tried"][:4])


def test_the_residual_is_the_root_mean_square_of_relative_errors() -> None:
    ours = [{"time_s": 110.0, "energy_j": 50.0}, {"time_s": 200.0, "energy_j": 60.0}]
    theirs = [{"time_s": 100.0, "energy_j": 50.0}, {"time_s": 250.0, "energy_j": 60.0}]
    assert measurements.residual(ours, theirs) == pytest.approx(np.sqrt((0.1**2 + 0.2**2) / 4))


def test_golden_section_tries_each_point_once_and_closes_in() -> None:
    tried: list[float] = []

    def at(x: float) -> measurements.Json:
        tried.append(x)
        return {"x": x, "residual": (x - 0.3) ** 2}

    points = measurements.golden_section(at, -1.0, 1.0, 15)
    assert len(tried) == len(points) == 16
    assert min(points, key=lambda point: float(point["residual"]))["x"] == pytest.approx(0.3, abs=2e-3)


def test_a_course_has_means_of_equal_stretches_and_the_spread_of_its_last_episodes() -> None:
    measured = [(step, float(step > 4000) * (-1.0) ** (step // 10)) for step in range(5, 8001, 5)]
    found = measurements.summarise_curve(measured, 10)
    assert [point["step"] for point in found["curve"]] == [200.0 * number for number in range(1, 41)]
    assert [point["gain"] for point in found["curve"]][:20] == [0.0] * 20
    # Within (10k, 10k + 10] lie 10k + 5 and 10k + 10, which have opposite signs.
    assert found["spread"] == 0.0
    assert measurements.summarise_curve(measured, 5)["spread"] == pytest.approx(1.0)


def test_a_gain_is_read_from_the_cost_of_a_user_in_a_slot() -> None:
    recorded = [{"step": 5, "train/critic_loss": 1.0}, {"step": 10, "episode/cost": 0.25, "train/value": 3.0}]
    found = measurements.MEASURE.learning(mobile(), {"settings": {"num_envs": 1}}, recorded)
    assert found == {"curve": [{"step": 10.0, "gain": 0.75}], "spread": 0.0}
