"""Outcomes are summed over slots; a constraint may be violated by rounding only."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Outcome, Problem
from offloadopt.errors import InvalidInput


def test_a_roll_out_adds_costs_and_metrics_and_keeps_the_worst_violation() -> None:
    def outcome(cost: float, violation: float) -> Outcome:
        array = np.array([cost])
        return Outcome(array, array[:, None], {"late": np.array([violation])}, {"energy_j": 2 * array})

    total = Outcome.total([outcome(1.0, 0.5), outcome(2.0, 0.0), outcome(4.0, 0.1)])
    assert (total.cost, total.agent_cost, total.metrics["energy_j"]) == ([7.0], [[7.0]], [14.0])
    assert total.violations["late"] == [0.5]
    assert not total.feasible[0]


def test_feasible_means_that_no_constraint_is_violated_beyond_rounding() -> None:
    cost = np.zeros(4)
    violations = {"a": np.array([0, 1e-12, 1e-6, np.inf]), "b": np.zeros(4)}
    np.testing.assert_array_equal(Outcome(cost, cost[:, None], violations).feasible, [True, True, False, False])
    assert Outcome(cost, cost[:, None]).feasible.all()


def test_decisions_are_one_for_each_instance_and_those_of_none_are_nothing() -> None:
    problem = registry.problem("multi_server", users=2, servers=1)
    decisions = registry.solver("local", problem).run(problem, problem.sample(2, seed=0)).decisions
    assert problem.check_decisions(decisions, 2).count == 2
    with pytest.raises(InvalidInput, match="2 decisions for 3 instances; allowed: one each"):
        problem.check_decisions(decisions, 3)
    assert {line.split(": ")[1] for line in Problem.describe(problem, decisions.take(slice(0)))} == {"nothing"}
