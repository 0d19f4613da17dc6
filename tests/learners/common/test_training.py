"""The template of trainings: budgets, demonstrations, checkpoints, callbacks, and what is recorded of episodes."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations, Observation, Outcome, Policy, Problem
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import training as training_module
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.training import (
    REPORT_EVERY,
    IterativeLearner,
    Training,
    TrainingProgress,
    episode_metrics,
    minibatches,
)


class Counting(Training):
    """A weight that every iteration draws closer to the examples, and what the template called."""

    state_fields = ("weight", "calls")

    def __init__(self, seed: int, examples: Any) -> None:
        super().__init__(examples)
        self.rng = np.random.default_rng(seed)
        self.weight = np.array([self.rng.random()])
        self.calls = 0

    def prepare(self, tracker: TrainingProgress) -> None:
        if self.examples is not None:
            self.weight = self.weight + 10.0 * self.examples.count
        tracker.record({"train/weight": float(self.weight[0])})

    def advance(self, tracker: TrainingProgress) -> None:
        self.calls += 1
        self.weight = 0.5 * self.weight + np.random.default_rng(tracker.iteration).random(1)
        assert torch.get_num_threads() == 1
        tracker.advance(1, lambda: {"train/weight": float(self.weight[0])})

    def policy(self, origin: Origin) -> Any:
        return self, origin


class Shown:
    """Examples of which only the number counts."""

    def __init__(self, count: int) -> None:
        self.count = count

    def arrays(self) -> dict[str, Any]:
        return {"count": np.array([self.count])}


class Counter(IterativeLearner):
    name = "counter"
    serves = Problem
    policy_type = Policy
    uses_demonstrations = True

    def default_steps(self, problem: Problem[Any]) -> int:
        return 40

    def decisions(self, problem: Problem[Any]) -> int:
        return 4

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> Shown:
        return Shown(demonstrations.instances.count)

    def make_training(self, problem: Any, seed: int, examples: Any, tracker: TrainingProgress) -> Counting:
        return Counting(seed, examples)


class Killed(BaseException):
    """Stands for whatever ends a process."""


def shown(problem: Any, count: int) -> Demonstrations:
    instances = problem.sample(count, 0)
    solutions = registry.solver("random", problem).run(problem, instances)
    return Demonstrations(instances, Observation({"x": instances["x"]}), solutions)


def test_the_template_trains_until_the_budget_is_spent_and_writes_the_origin(aiming: Any) -> None:
    problem, points = aiming(), []
    training, origin = Counter().fit(
        problem, budget=Budget(steps=50), seed=3, record=lambda step, found: points.append((step, found))
    )
    assert training.calls == 13  # 50 decisions, 4 in an iteration
    assert origin.training == {"seed": 3, "steps": 52, "demonstrations": 0}
    assert [step for step, _ in points] == [0, 40]
    assert Counter().fit(problem)[0].calls == 10
    assert Counter().fit(problem, budget=Budget(seconds=1e-9))[0].calls == 0


def test_demonstrations_are_read_once_and_imitated_before_the_first_iteration(aiming: Any) -> None:
    problem = aiming()
    alone, _ = Counter().fit(problem, seed=3)
    imitating, origin = Counter().fit(problem, seed=3, demonstrations=shown(problem, 2))
    assert imitating.weight == pytest.approx(alone.weight + 20.0 * 0.5**10)
    assert origin.training["demonstrations"] == 2
    with pytest.raises(InvalidInput, match="the demonstrations are empty"):
        Counter().fit(problem, demonstrations=shown(problem, 0))


def test_a_killed_training_continues_without_preparing_again(
    aiming: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "SAVE_EVERY_S", 0.0)
    problem, demonstrations = aiming(), shown(aiming(), 2)

    def kill(step: int, _: Mapping[str, float]) -> None:
        if step:
            raise Killed

    options: dict[str, Any] = {"demonstrations": demonstrations, "budget": Budget(steps=100), "seed": 5}
    whole, _ = Counter().fit(problem, **options)
    with pytest.raises(Killed):
        Counter().fit(problem, record=kill, checkpoint=tmp_path / "state", **options)
    resumed, origin = Counter().fit(problem, checkpoint=tmp_path / "state", **options)
    assert (resumed.weight, resumed.calls, origin.training["steps"]) == (whole.weight, 25, 100)


def test_ctrl_c_keeps_the_iteration_that_it_comes_in(
    aiming: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, advance = aiming(), Counting.advance
    whole, _ = Counter().fit(problem, seed=5)

    def interrupted(training: Counting, tracker: TrainingProgress) -> None:
        if training.calls == 3:
            signal.raise_signal(signal.SIGINT)
        advance(training, tracker)

    monkeypatch.setattr(Counting, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt, match="the same call continues"):
        Counter().fit(problem, seed=5, checkpoint=tmp_path / "state")
    called: list[int] = []

    def counted(training: Counting, tracker: TrainingProgress) -> None:
        called.append(tracker.iteration)
        advance(training, tracker)

    monkeypatch.setattr(Counting, "advance", counted)
    resumed, _ = Counter().fit(problem, seed=5, checkpoint=tmp_path / "state")
    assert called == list(range(4, 10))
    assert resumed.weight == whole.weight


def test_seconds_of_a_preparation_come_off_the_budget() -> None:
    tracker = TrainingProgress(time.monotonic() - 5.0, 100, 8.0)
    assert tracker.spent >= 0.625
    tracker.begin_again(6.0)
    assert tracker.seconds == pytest.approx(2.0)
    assert tracker.spent < 0.5
    assert tracker.in_time
    tracker.begin_again(9.0)
    assert not tracker.in_time


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
