"""Gaps, statuses and solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt.core import Decisions, Scenario, Solutions, Status, relative_gap
from offloadopt.errors import BrokenProof
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario

from toys.assignment import DataMarket


@pytest.mark.parametrize(
    ("cost", "bound", "gap"),
    [(11.0, 10.0, 0.1), (10.0, 10.0, 0.0), (-9.0, -10.0, 0.1), (np.inf, 10.0, np.inf), (10.0, -np.inf, np.inf)],
)
def test_a_gap_is_relative_to_the_bound_and_infinite_without_one(cost: float, bound: float, gap: float) -> None:
    assert relative_gap(np.array([cost]), np.array([bound]))[0] == pytest.approx(gap)
    assert relative_gap(np.array([0.0]), np.array([0.0]))[0] == 0.0


@pytest.fixture
def problem() -> MultiServer:
    return MultiServer(MultiServerScenario(users=3, servers=1))


def score(problem: MultiServer, bound: float | None = None, power: float = 0.0, gap: float = 0.0) -> Solutions:
    """All-local decisions of one instance: they cost 3, and are infeasible with power."""
    users = np.ones((1, 3))
    decisions = Decisions({"server": 0 * users, "cpu_hz": 1e9 * users, "power_w": power * users})
    bounds = None if bound is None else np.array([bound])
    return Solutions.scored(problem, problem.sample(1, 0), decisions, bound=bounds, seconds=0.5, asked_gap=gap)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({}, Status.FEASIBLE),
        ({"bound": -np.inf}, Status.FEASIBLE),
        ({"bound": 3.0}, Status.OPTIMAL),
        ({"bound": 3.0 + 1e-10}, Status.OPTIMAL),  # rounding
        ({"bound": 2.7}, Status.BOUNDED),
        ({"bound": 2.7, "gap": 0.2}, Status.OPTIMAL),
        ({"power": 1.0}, Status.LIMIT_NO_SOLUTION),
        ({"power": 1.0, "bound": 2.7}, Status.LIMIT_NO_SOLUTION),
        ({"power": 1.0, "bound": np.inf}, Status.INFEASIBLE),
    ],
)
def test_the_status_follows_from_cost_and_bound(problem: MultiServer, arguments: Any, status: Status) -> None:
    solutions = score(problem, **arguments)
    assert solutions.status_names == [status.name]
    assert solutions.objective[0] == (np.inf if "power" in arguments else pytest.approx(3.0, rel=1e-12))
    assert solutions.bound[0] <= solutions.objective[0]
    assert solutions.seconds.tolist() == [0.5]


def test_a_bound_above_a_feasible_cost_is_a_broken_proof(problem: MultiServer) -> None:
    with pytest.raises(BrokenProof, match=r"instance 0: bound .*3\.1"):
        score(problem, bound=3.1)


def test_solutions_are_taken_and_joined_with_their_decisions(problem: MultiServer) -> None:
    both = Solutions.concatenate([score(problem), score(problem, bound=2.7)])
    assert both.status_names == ["FEASIBLE", "BOUNDED"]
    last = both.take([1])
    assert last.status_names == ["BOUNDED"]
    assert last.decisions.count == 1
    np.testing.assert_allclose(both.gap, [np.inf, 3.0 / 2.7 - 1.0])


@pytest.mark.parametrize(
    ("bound", "status"), [(-4.0, Status.OPTIMAL), (-4.0 * (1 - 1e-10), Status.OPTIMAL), (-5.0, Status.BOUNDED)]
)
def test_negative_costs_have_gaps_and_statuses_likewise(bound: float, status: Status) -> None:
    toy = DataMarket(Scenario())
    instances = toy.sample(1, 0)
    decisions = toy.allocate(instances, np.array([[1, 1, 2, 0]]))
    scale = -toy.evaluate(instances, decisions).cost[0] / 4.0
    solutions = Solutions.scored(toy, instances, decisions, bound=np.array([scale * bound]), seconds=0.0)
    assert solutions.status_names == [status.name]
    assert solutions.gap[0] == pytest.approx(0.2 if bound == -5.0 else 0.0, abs=1e-9)
    with pytest.raises(BrokenProof):
        Solutions.scored(toy, instances, decisions, bound=np.array([-3.9 * scale]), seconds=0.0)


def test_a_summary_tells_of_each_instance_what_is_proved_and_of_decisions_only_where_there_are_any(
    problem: MultiServer,
) -> None:
    solved = score(problem, bound=2.7).summary().splitlines()
    assert solved[0] == "BOUNDED: cost 3, no decision costs less than 2.7 (gap 0.11)"
    assert len(solved) > 1
    assert score(problem).summary().startswith("FEASIBLE: cost 3, no bound\n")
    bounded = score(problem, power=1.0, bound=2.7)
    assert bounded.summary() == "LIMIT_NO_SOLUTION: no decision costs less than 2.7"
    assert score(problem, power=1.0).summary() == "LIMIT_NO_SOLUTION"
    assert Solutions.concatenate([bounded] * 3).summary(rows=1).splitlines()[1] == "... and 2 more"
