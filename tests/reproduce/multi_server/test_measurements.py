"""Measurements are the problem's own numbers on the same instances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import relative_gap
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario
from offloadopt.reproduce.multi_server import measurements

from toys.tiny_papers.multi_server import STUDY, TINY


def rules(*names: str) -> dict[str, Any]:
    return {name: {"name": name, "options": {}} for name in names}


def test_averages_are_the_problems_own_on_the_same_instances() -> None:
    scenario = STUDY.layout(1)
    found = measurements.MEASURE.apply_solvers(scenario, rules("greedy", "local"), 20, 7)
    problem = MultiServer(MultiServerScenario(**scenario))
    instances = problem.sample(20, 7)
    best = registry.solver("exhaustive", problem).run(problem, instances)
    greedy = registry.solver("greedy", problem).run(problem, instances, seed=7)
    outcome = problem.evaluate(instances, greedy.decisions)
    assert found[measurements.OPTIMUM]["cost"] == pytest.approx(best.objective.mean())
    assert found["greedy"]["time_s"] == pytest.approx(outcome.metrics["time_s"].mean())
    assert found["greedy"]["gap"] == pytest.approx(relative_gap(greedy.objective, best.objective).mean(), abs=1e-6)
    # Equal tasks of one second and one joule, computed locally.
    assert (found["local"]["time_s"], found["local"]["energy_j"]) == pytest.approx((5.0, 5.0))
    assert found["local"]["accuracy"] == pytest.approx(np.mean(best.decisions["server"] == 0))


def test_the_watched_fitness_is_that_of_the_best_solution_so_far() -> None:
    scenario = STUDY.layout(1)
    problem = MultiServer(MultiServerScenario(**scenario))
    instances = problem.sample(6, 3)
    options: dict[str, Any] = {"generations": 12, "population": 3}
    found = measurements.search(scenario, {name: options for name in ("levy", "levy-classic")}, 6, 3)
    for name in ("levy", "levy-classic"):
        solved = registry.solver(name, problem, **options).run(problem, instances, seed=3)
        assert found[name][-1] == pytest.approx(solved.objective.mean())
        assert len(found[name]) == 13
    assert found["levy"][0] == pytest.approx(found["levy-classic"][0])


def test_a_policy_is_tested_on_instances_that_it_was_not_trained_on() -> None:
    unit = STUDY.learned("imitation", 1, STUDY.layout(1))
    parameters = unit.parameters
    assert parameters["demonstrations"]["seed"] not in {test["seed"] for test in parameters["tests"]}
    result = measurements.MEASURE.train(**parameters)
    assert result["samples"] == TINY.imitation_demonstrations
    assert set(result["tests"]) == {test["name"] for test in parameters["tests"]}
    seed = parameters["tests"][0]["seed"]
    tested = measurements.MEASURE.apply_solvers(parameters["scenario"], rules("local"), TINY.test_instances, seed)
    assert result["tests"]["as trained"]["cost"] >= tested[measurements.OPTIMUM]["cost"] * (1 - 1e-9)


def test_demonstrations_made_beforehand_are_taken_off_the_seconds() -> None:
    experts = STUDY.demonstrations(1, "exact", 16)
    unit = STUDY.trained(1, STUDY.layout(1), STUDY.learner("imitation"), demonstrations=experts)
    gradient_steps = registry.learner("imitation").gradient_steps
    assert measurements.MEASURE.train(**unit.parameters, seconds=0.3)["curve"][-1]["step"] < gradient_steps


@pytest.mark.parametrize(
    ("learner", "training", "expected"),
    [
        (("dirs", {"pretraining": 100, "slots": 300}), {"demonstrations": 50, "steps": 3 * (100 * 256 + 300)}, 350),
        (("dirs", {"pretraining": 100, "slots": 300}), {"demonstrations": 50, "steps": 3 * (50 * 256 + 150)}, 150),
        (("dirs", {"imitation": False}), {"demonstrations": 0, "steps": 3 * 400}, 400),
        (("imitation", {}), {"demonstrations": 50, "steps": 400}, 50),
        (("prices", {"instances": 70}), {"demonstrations": 0, "steps": 400}, 70),
        (("a2c-sb3", {}), {"steps": 3 * 400}, 400),
    ],
)
def test_samples_are_demonstrations_and_slots_but_no_pretraining(
    learner: tuple[str, dict[str, Any]], training: dict[str, int], expected: int
) -> None:
    name, settings = learner
    three_users = MultiServer(MultiServerScenario(users=3, servers=1))
    assert measurements.samples(registry.learner(name, **settings), three_users, training) == expected
