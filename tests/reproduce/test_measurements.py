"""Measurements are the problem's own numbers on instances that depend on the seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Instances, Solutions
from offloadopt.reproduce.measurements import Measurements
from offloadopt.reproduce.training import Json


class Costs(Measurements):
    """Mean costs, and the proved bound."""

    problem = "multi_server"

    def averages(self, problem: object, instances: Instances, solutions: Solutions) -> Json:
        return {"cost": float(solutions.objective.mean()), "instances": instances.count}

    def bounds(self, problem: object, instances: Instances, solutions: Solutions) -> dict[str, Json]:
        return {"bound": {"cost": float(solutions.bound.mean())}} if np.isfinite(solutions.bound).all() else {}


MEASURE = Costs()
PROBLEM = registry.problem("multi_server", users=3, servers=1)
SCENARIO = PROBLEM.scenario.model_dump(mode="json")


def test_solvers_decide_the_same_instances_and_bounds_have_rows() -> None:
    solvers = {name: {"name": name, "options": {}} for name in ("exact", "local")}
    found = MEASURE.apply_solvers(SCENARIO, solvers, 4, 7)
    assert list(found) == ["exact", "bound", "local"]
    instances = PROBLEM.sample(4, 7)
    for name in solvers:
        expected = registry.solver(name, PROBLEM).run(PROBLEM, instances).objective.mean()
        assert found[name] == {"cost": pytest.approx(expected), "instances": 4}
    assert found["bound"]["cost"] == pytest.approx(found["exact"]["cost"])


def test_a_training_is_tested_in_each_of_its_scenarios() -> None:
    learner = {"name": "imitation", "settings": {"gradient_steps": 3, "batch_size": 2}}
    experts = {"solver": "exact", "options": {}, "count": 2, "seed": 1}
    weak = {**SCENARIO, "reference_gain_db": -60.0}
    tests = [
        {"name": name, "scenario": scenario, "count": 4, "seed": 7}
        for name, scenario in (("own", SCENARIO), ("weak", weak))
    ]
    found = MEASURE.train(SCENARIO, learner, 3, 1, tests, demonstrations=experts)
    assert list(found) == ["spent", "curve", "tests"]
    assert found["spent"]["cpu_seconds"] > 0
    assert found["tests"]["own"]["cost"] != found["tests"]["weak"]["cost"]
    with pytest.raises(TypeError, match="no parameter 'users'"):
        MEASURE.train(SCENARIO, learner, 3, 1, tests, demonstrations=experts, users=[1])
    with pytest.raises(TypeError, match="most_tasks"):
        MEASURE.apply_solvers(SCENARIO, {}, 4, 7, most_tasks=3)
