"""Policies decide slot by slot with their memory; a solver refuses a problem without its structure."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.core import Decisions, Observation, Status, rollout
from offloadopt.errors import Unsupported
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario

from toys.plugin import Foresight, Queues, QueueScenario, Threshold


def test_a_rollout_observes_each_slot_after_the_decision_of_the_one_before() -> None:
    problem = Queues(QueueScenario(queues=2, slots=3))
    instances, seen = problem.sample(4, seed=0), []

    def send_all(observation: Observation) -> Decisions:
        seen.append(observation["waiting"])
        return Decisions({"send": np.ones((4, 2), dtype=np.int64)})

    decisions = rollout(problem, instances, send_all)
    assert decisions["send"].shape == (4, 3, 2)
    expected = instances["initial"]
    for slot in range(3):
        np.testing.assert_array_equal(seen[slot], expected)
        expected = np.maximum(expected - instances["rate"][:, slot], 0.0) + instances["arrival"][:, slot]


def test_a_policy_is_scored_without_a_bound_and_reports_its_instances() -> None:
    problem, reported = Queues(QueueScenario()), []
    instances = problem.sample(5, seed=1)
    solutions = Threshold(0.5, problem.horizon).run(problem, instances, progress=reported.append)
    assert reported == [5]
    assert (solutions.status == Status.FEASIBLE).all()
    assert not solutions.decisions["send"][:, -1].any()  # its memory counts the slots
    assert (Foresight().run(problem, instances).objective <= solutions.objective).all()


def test_a_solver_refuses_a_problem_without_its_structure() -> None:
    with pytest.raises(
        Unsupported, match="solver 'foresight' does not serve problem 'multi_server'; it needs the structure Queues"
    ):
        Foresight().require(MultiServer(MultiServerScenario(users=2, servers=1)))
