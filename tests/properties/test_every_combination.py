"""Solve, demonstrate, train, compare: each problem, and each learner in both ways, beside a proved reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks.every_combination import SMALLEST, WITH, WITHOUT, Sizes, combinations, matrix, measure

import offloadopt
from offloadopt import registry

QUICK: dict[str, Any] = {
    "imitation_steps": 2, "hidden": (8,), "num_envs": 2, "epochs": 1, "pretraining_steps": 1,
    "generator": {"width": 4, "latent": 4, "layers": 1},
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "federated": {"options": {"imitation_steps": 2, "hidden": (8,), "num_envs": 2}},
    "ppo-sb3": {"imitation_steps": 2, "rollout_length": 4, "minibatch_size": 8},
    "dirs": {"demonstrations": 4, "pretraining": 2, "generations": 2, "hidden": (8,)},
}
"""Settings with which trainings that need not learn are short: of all learners that have them, and of single ones."""


def quick(learner: str) -> dict[str, Any]:
    fields = registry.get("learners", learner).model_fields
    return OWN.get(learner) or {name: value for name, value in QUICK.items() if name in fields}


def learners_of(name: str) -> list[str]:
    """Some of those that serve the problem: every learner on one of its problems in turn."""
    problems = {each: offloadopt.problem(each, **fields) for each, fields in SMALLEST.items()}
    chosen = list[str]()
    for number, learner in enumerate(registry.BUILT_IN["learners"]):
        served = [each for each, problem in problems.items() if registry.serves("learners", learner, problem)]
        if served[number % len(served)] == name:
            chosen.append(learner)
    return chosen


def test_every_learner_has_its_turn() -> None:
    assert sorted(learner for name in SMALLEST for learner in learners_of(name)) == sorted(
        registry.BUILT_IN["learners"]
    )


@pytest.mark.parametrize("name", SMALLEST)
def test_demonstrations_of_the_optimum_train_learners_that_are_compared_with_it(name: str, tmp_path: Path) -> None:
    problem, learners = offloadopt.problem(name, **SMALLEST[name]), learners_of(name)
    assert learners
    found = measure(problem, tmp_path, Sizes(steps=8, demonstrations=4, instances=3), learners, quick)
    assert found["reference"].startswith(("certified optimum", "lower bound"))
    gaps = found["gaps"]
    trained = [f"{learner} {way}" for learner, way in combinations(problem, learners)]
    assert [method for method in gaps if method.endswith((WITH, WITHOUT))] == trained
    assert 0.0 <= gaps["exact"] <= 0.01  # percent
    assert all(gaps[method] >= gaps["exact"] for method in trained)
    assert all(f"| {learner} |" in matrix({name: found}) for learner in learners)
