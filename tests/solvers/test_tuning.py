"""Tuning finds the best value of a rule in two rounds."""

from __future__ import annotations

import numpy as np

from offloadopt import registry
from offloadopt.core import Decisions, FloatArray, Observation
from offloadopt.solvers.tuning import SAMPLE_SIZE, pair_values_with_instances, tune_parameter, tuning_sample


def test_every_value_meets_every_instance() -> None:
    problem = registry.problem("carbon_mimo", users=2, antennas=2, horizon=2)
    instances = problem.sample(3, seed=0)
    values, repeated = pair_values_with_instances(instances, np.array([0.5, 2.0]))
    assert values.tolist() == [0.5, 0.5, 0.5, 2.0, 2.0, 2.0]
    for name, array in repeated.items():
        np.testing.assert_array_equal(array, np.concatenate([instances[name]] * 2))


def test_the_sample_holds_about_the_same_number_of_decisions_whatever_the_problem() -> None:
    for users, horizon in ((2, 10), (4, 500)):
        problem = registry.problem("carbon_mimo", users=users, antennas=4, horizon=horizon)
        assert tuning_sample(problem, 1).count == max(4, SAMPLE_SIZE // (users * horizon))


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
