"""Trainings behind tables and figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.problems.battery_d2d import BatteryD2D, BatteryD2DScenario
from offloadopt.reproduce import training

from toys.tiny_papers.battery_d2d import STUDY


def test_a_long_curve_is_thinned_evenly_and_keeps_its_end() -> None:
    curve = [{"step": step} for step in range(1, 1001)]
    kept = [point["step"] for point in training.thinned(curve, 100)]
    assert kept == list(range(10, 1001, 10))


def test_demonstrations_may_be_made_before_or_by_the_training() -> None:
    problem = BatteryD2D(BatteryD2DScenario(**STUDY.scenario("paper")))
    recipe = {"solver": "greedy", "options": {}, "count": 2, "seed": 5}
    learner = STUDY.learner("imitation-agents", hidden=(4,))
    instances = problem.sample(3, 8)
    costs = [
        training.train(problem, learner, demonstrations, 3, 1).policy.run(problem, instances).objective
        for demonstrations in (recipe, training.make_demonstrations(problem, **recipe))
    ]
    np.testing.assert_array_equal(*costs)


@pytest.mark.parametrize(
    ("name", "settings", "length", "decisions"),
    [
        ("imitation", {"batch_size": 16}, 7, 7 * 16 * 3),
        ("prices", {"batch_size": 4}, 7, 7 * 4 * 3),
        ("a2c-sb3", {}, 40, 40 * 3),
        ("dirs", {"pretraining": 5, "slots": 20, "batch_size": 16}, 25, (5 * 16 + 20) * 3),
    ],
)
def test_a_learners_own_unit_becomes_decisions_of_agents_and_back(
    name: str, settings: dict[str, Any], length: int, decisions: int
) -> None:
    problem = registry.problem("multi_server", users=3, servers=1)
    learner = registry.learner(name, **settings)
    assert training.decisions(learner, problem, length) == decisions
    assert training.own_step(learner, problem, decisions) == length


def test_every_length_of_dirs_is_trained_as_long_as_it_says() -> None:
    problem = registry.problem("multi_server", users=3, servers=1)
    learner = registry.learner("dirs", pretraining=5, slots=20, batch_size=16)
    for length in range(1, 60):
        assert learner.iterations(problem, training.decisions(learner, problem, length)) == length


def test_what_a_learner_records_follows_from_what_it_is() -> None:
    names = registry.BUILT_IN["learners"]
    per_slot = {name for name in names if training.records_slots(name)}
    assert per_slot == {"a2c-sb3", "ddpg-sb3", "dqn-sb3", "ppo-sb3"}
    assert {name for name in names if training.decides_jointly(name)} == per_slot - {"dqn-sb3"}
