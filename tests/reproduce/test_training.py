"""Trainings behind tables and figures."""

from __future__ import annotations

import numpy as np

from offloadopt.problems.battery_d2d import BatteryD2D, BatteryD2DScenario
from offloadopt.reproduce import training

from toys.tiny_papers.battery_d2d import SETTING


def test_a_long_curve_is_thinned_evenly_and_keeps_its_end() -> None:
    curve = [{"step": step} for step in range(1, 1001)]
    kept = [point["step"] for point in training.thinned(curve, 100)]
    assert kept == list(range(10, 1001, 10))


def test_demonstrations_may_be_made_before_or_by_the_training() -> None:
    problem = BatteryD2D(BatteryD2DScenario(**SETTING.scenario("paper")))
    recipe = {"solver": "greedy", "options": {}, "count": 2, "seed": 5}
    learner = SETTING.learner("imitation-agents", SETTING.scenario("paper"), hidden=(4,))
    instances = problem.sample(3, 8)
    costs = [
        training.train(problem, learner, demonstrations, 3, 1).policy.run(problem, instances).objective
        for demonstrations in (recipe, training.make_demonstrations(problem, **recipe))
    ]
    np.testing.assert_array_equal(*costs)
