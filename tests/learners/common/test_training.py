"""Training progress: budgets in steps and seconds, callbacks, and what is recorded of episodes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt.core import Budget, Outcome
from offloadopt.learners.common.training import REPORT_EVERY, TrainingProgress, episode_metrics, minibatches


def test_a_budget_in_steps_is_rounded_up_to_iterations() -> None:
    tracker = TrainingProgress(time.monotonic(), 100, Budget(steps=10), decisions=4)
    assert tracker.total == 3
    tracker.advance(1, None)
    assert (tracker.iteration, tracker.step, tracker.left) == (1, 4, 2)
    assert tracker.spent == pytest.approx(1 / 3)


def test_a_budget_in_seconds_counts_from_the_beginning() -> None:
    tracker = TrainingProgress(time.monotonic() - 5.0, 100, Budget(seconds=4.0))
    assert tracker.spent >= 1.25


def test_progress_adds_up_and_records_stand_at_every_tenth_iteration() -> None:
    progressed: list[int] = []
    recorded: list[int] = []
    tracker = TrainingProgress(
        time.monotonic(), 25, progress=progressed.append, record=lambda step, _: recorded.append(step), decisions=2
    )
    while tracker.left:
        tracker.advance(1, lambda: {"episode/cost": 0.0})
    tracker.finish(dict)
    assert recorded == [2 * REPORT_EVERY, 4 * REPORT_EVERY]
    assert sum(progressed) == tracker.step == 50


def test_the_recorded_cost_is_that_of_one_agent_in_one_slot(aiming: Any) -> None:
    problem = aiming(horizon=1, agents=3)
    cost = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    outcomes = [Outcome(cost.sum(axis=1), cost), Outcome(2 * cost.sum(axis=1), 2 * cost)]
    found = episode_metrics(outcomes)
    assert problem.num_agents == 3
    assert found["episode/objective"] == pytest.approx(3 * cost.sum() / 2)
    assert found["episode/cost"] == pytest.approx(1.5 * cost.mean())


def test_a_pass_over_the_demonstrations_takes_each_at_most_once() -> None:
    batches = minibatches(10, 3, torch.Generator().manual_seed(0))
    first, second = ([next(batches) for _ in range(3)] for _ in range(2))
    for one_pass in (first, second):
        rows = torch.cat(one_pass).tolist()
        assert len(rows) == len(set(rows)) == 9
        assert set(rows) <= set(range(10))
    assert torch.cat(first).tolist() != torch.cat(second).tolist()
    assert sorted(next(minibatches(4, 256, torch.Generator())).tolist()) == [0, 1, 2, 3]
