"""Drift plus penalty: the tuning of its weight in two rounds, its sample and its time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.clock import Deadline
from offloadopt.core import Decisions, FloatArray, Observation
from offloadopt.solvers.backlog.lyapunov import BacklogLyapunov
from offloadopt.solvers.lyapunov import tune_parameter


def test_the_sample_holds_about_the_same_number_of_decisions_whatever_the_problem() -> None:
    for users, horizon in ((2, 10), (4, 500)):
        problem = registry.problem("carbon_mimo", users=users, antennas=4, horizon=horizon)
        assert BacklogLyapunov().tuning_sample(problem).count == max(4, 8_000 // (users * horizon))


def test_the_best_value_is_refined_between_its_neighbours() -> None:
    problem = registry.problem("carbon_mimo", users=1, antennas=1, horizon=2)
    instances = problem.sample(3, seed=0)
    tried: list[FloatArray] = []

    class Priced(type(problem)):  # type: ignore[misc]
        """Costs the squared distance of the logarithm of the first slot's power from that of 0.03."""

        def evaluate(self, instances, decisions):  # type: ignore[no-untyped-def]
            outcome = super().evaluate(instances, decisions)
            power = decisions["offload_w"].reshape(instances.count, -1)[:, 0]
            return type(outcome)(cost=np.log(power / 0.03) ** 2, agent_cost=outcome.agent_cost)

    def decide(observation: Observation, values: FloatArray) -> Decisions:
        tried.append(values)
        power = np.broadcast_to(values[:, None], (len(values), 1))
        return Decisions({"local_w": np.zeros_like(power), "offload_w": power})

    coarse = np.array([1e-3, 1e-2, 1e-1, 1.0])
    found = tune_parameter(Priced(problem.scenario), instances, coarse, 7, decide)
    fine = np.geomspace(1e-3, 1e-1, 7)
    assert found == fine[np.abs(np.log(fine / 0.03)).argmin()]
    assert {len(values) for values in tried} == {4 * 3, 7 * 3}
    assert tune_parameter(Priced(problem.scenario), instances, coarse, 7, decide, Deadline(0.0)) == 1e-1
    soon = Deadline(0.1)

    def decide_slowly(observation: Observation, values: FloatArray) -> Decisions:
        time.sleep(0.11 if len(values) == 7 * 3 else 0.0)
        return decide(observation, values)

    assert tune_parameter(Priced(problem.scenario), instances, coarse, 7, decide_slowly, soon) == 1e-2


SMALL = {
    "carbon_mimo": {"users": 1, "antennas": 1, "horizon": 2},
    "battery_d2d": {"users": 1, "servers": 1, "horizon": 2, "battery_j": 150.5},
    "twin_inference": {"users": 1, "servers": 1, "horizon": 2, "battery_j": 0.4},
}


@pytest.mark.parametrize("name", SMALL)
def test_the_time_of_tuning_stands_in_the_details_and_is_0_where_v_is_given(name: str) -> None:
    problem = registry.problem(name, **SMALL[name])
    instances = problem.sample(3, 0)
    kind: Any = type(registry.solver("lyapunov", problem))

    class ShortlyTuned(kind):  # type: ignore[misc]
        tuning_decisions = 16

    rule = ShortlyTuned()
    tuned, again, given = (solver.run(problem, instances) for solver in (rule, rule.replace(), rule.replace(v=2.0)))
    (seconds,), (v,) = np.unique(tuned.details["tuning_seconds"]), np.unique(tuned.details["v"])
    assert seconds > 0
    assert rule.tuned(problem) == (v, seconds)
    assert tuned.details["tuning_seconds"].shape == (3,)
    np.testing.assert_array_equal(again.details["tuning_seconds"], seconds)
    np.testing.assert_array_equal(given.details["tuning_seconds"], 0.0)
    np.testing.assert_array_equal(given.details["v"], 2.0)
    same = rule.replace(v=float(v)).run(problem, instances)
    for field, array in tuned.decisions.items():
        np.testing.assert_array_equal(array, same.decisions[field])
