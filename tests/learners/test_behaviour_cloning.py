"""Behaviour cloning: its cost is near its expert's, it needs demonstrations, and it continues as if never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations
from offloadopt.datasets.demonstrations import observations_along
from offloadopt.errors import InvalidInput
from offloadopt.learners.behaviour_cloning import AgentImitation
from offloadopt.learners.common import training as course

PROBLEM = registry.problem("carbon_mimo", horizon=20, users=2, antennas=4)


def shown(count: int) -> Demonstrations:
    instances = PROBLEM.sample(count, seed=5)
    solutions = registry.solver("lyapunov", PROBLEM).run(PROBLEM, instances)
    return Demonstrations(instances, observations_along(PROBLEM, instances, solutions.decisions), solutions)


def weights(policy: Any) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in policy.actor.state_dict().items()}


def test_pupils_in_energy_controls_cost_what_the_rule_costs() -> None:
    demonstrations = shown(100)
    policy = AgentImitation(view="full", controls="energy", gradient_steps=350).fit(
        PROBLEM, demonstrations=demonstrations
    )
    instances = PROBLEM.sample(100, seed=6)
    rule = registry.solver("lyapunov", PROBLEM).run(PROBLEM, instances).objective.mean()
    random = registry.solver("random", PROBLEM).run(PROBLEM, instances).objective.mean()
    cloned = policy.run(PROBLEM, instances).objective.mean()
    assert random > 2 * rule
    assert cloned < 1.05 * rule


def test_without_demonstrations_it_refuses() -> None:
    with pytest.raises(InvalidInput, match="learns from demonstrations; none were given"):
        AgentImitation().fit(PROBLEM)


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_continued_training_ends_as_one_that_never_stopped(recurrent: bool, tmp_path: Path) -> None:
    demonstrations = shown(6)
    learner = AgentImitation(hidden=(8,), minibatch_size=20, recurrent=recurrent)
    minibatch = 40 if recurrent else 20  # whole episodes of two agents, or slots
    budget = Budget(steps=40 * minibatch)
    whole = learner.fit(PROBLEM, demonstrations=demonstrations, budget=budget, seed=3)
    assert whole.origin.training["steps"] == learner.replace(gradient_steps=40).default_steps(PROBLEM) == budget.steps

    def stop(done: int) -> None:
        done_so_far.append(done)
        if sum(done_so_far) >= 20 * minibatch:
            raise KeyboardInterrupt

    done_so_far: list[int] = []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(course, "SAVE_EVERY_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            learner.fit(
                PROBLEM,
                demonstrations=demonstrations,
                budget=budget,
                seed=3,
                progress=stop,
                checkpoint=tmp_path / "kept",
            )
    again = learner.fit(PROBLEM, demonstrations=demonstrations, budget=budget, seed=3, checkpoint=tmp_path / "kept")
    assert weights(again) == weights(whole)
    assert any(np.frombuffer(values, dtype=np.uint8).any() for values in weights(whole).values())
