"""Training curves, inference, experts, one user: rows and claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.carbon_mimo import measurements
from offloadopt.reproduce.carbon_mimo.learning import POINTS, mean_reward, training_figure
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import verdicts
from toys.tiny_papers.carbon_mimo import STUDY, full


def test_inference_is_judged_by_time_growth_and_size() -> None:
    def rows(time: Callable[[int], float], size: int) -> list[dict[str, Any]]:
        return [
            {REPLICATE: r, "users": users, "device_ms": time(users) * (1 + 1e-3 * r), "all_ms": 1.0, "bytes": size}
            for users in (1, 10, 100)
            for r in (1, 2, 3)
        ]

    assert verdicts(full("inference"), rows(lambda users: 0.1, 67_000)) == [True, True]
    assert verdicts(full("inference"), rows(lambda users: 0.1 * users, 67_000)) == [False, False]
    assert verdicts(full("inference"), rows(lambda users: 0.1, 80_000)) == [True, False]


@pytest.mark.parametrize(
    ("learner", "point", "expected"),
    [
        ("ddpg", {"episode/cost": 2.0}, -2.0),
        ("ppo", {"episode/cost": 2.0, "train/reward": -3.0}, -3.0),
        ("ppo-sb3", {"episode/cost": 2.0, "train/reward": -3.0}, -1.5),
    ],
)
def test_records_of_all_learners_are_rewards_of_a_user_and_slot(
    learner: str, point: dict[str, float], expected: float
) -> None:
    parameters = {"scenario": {"horizon": 10, "users": 2}, "learner": {"name": learner}}
    assert mean_reward(point, Unit(measurements.MEASURE.train, parameters)) == expected


def test_a_training_curve_is_averaged_over_equal_intervals() -> None:
    figure = training_figure(STUDY)
    unit = figure.units[0]
    steps = int(unit.parameters["steps"])
    curve = [{"step": step, "train/reward": float(step)} for step in range(1, steps + 1)]
    rows = list(figure.rows(unit, {"curve": curve}))
    width = steps / POINTS
    assert [row["step"] for row in rows] == [width * number for number in range(1, POINTS + 1)]
    assert [row["reward"] for row in rows] == [width * number - (width - 1) / 2 for number in range(1, POINTS + 1)]
