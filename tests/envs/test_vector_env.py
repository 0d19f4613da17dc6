"""Many environments in step: each row is what the problem says of its own instance."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from offloadopt import registry
from offloadopt.core import Decisions, Outcome, State
from offloadopt.envs import AssignmentVectorEnv, ProblemEnv, ProblemVectorEnv, ScoreView
from offloadopt.envs.episodes import instance_batches
from offloadopt.envs.score_view import vote
from offloadopt.errors import InvalidInput

SMALL = {
    "multi_server": {"users": 4, "servers": 2},
    "carbon_mimo": {"horizon": 4, "users": 3, "antennas": 4},
    "battery_d2d": {"horizon": 12},
}


@pytest.fixture
def small() -> Any:
    return registry.problem("multi_server", users=4, servers=2)


def test_every_row_of_a_one_shot_batch_is_paid_its_own_cost(small: Any) -> None:
    environment = AssignmentVectorEnv(small, 8, reward="reciprocal-cost")
    observation, info = environment.reset(seed=4)
    environment.action_space.seed(0)
    nature, view = instance_batches(small, 8, 4), ScoreView.of(small)
    assert info == {}
    for _ in range(3):
        instances, score = next(nature), environment.action_space.sample()
        assert observation in environment.observation_space
        np.testing.assert_array_equal(observation, view.observe(instances))
        observation, reward, terminated, truncated, info = environment.step(score)
        cost = small.costs(instances).cost(vote(score))
        np.testing.assert_allclose(reward, 1 / cost)
        assert terminated.all()
        assert not truncated.any()
        np.testing.assert_array_equal(info["final_obs"], view.observe(instances))
        np.testing.assert_allclose(info["final_info"]["cost"], cost)
        assert info["final_info"]["violations"]["server_cpu"].shape == (8,)
        assert info["_final_obs"].all()


def test_a_horizon_restarts_in_the_step_that_ends_it(toy: ModuleType) -> None:
    problem = registry.problem("queues")
    environment = ProblemVectorEnv(problem, 5, seed=2)
    assert environment.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    environment.reset()
    environment.action_space.seed(0)
    nature = instance_batches(problem, 5, 2)
    for _ in range(2):
        instances, taken, earned = next(nature), [], np.zeros(5)
        for slot in range(3):
            action = environment.action_space.sample()
            taken.append(Decisions(action))
            observation, reward, terminated, truncated, info = environment.step(action)
            earned += reward
            assert not terminated.any()
            assert truncated.tolist() == [slot == 2] * 5
            assert ("final_obs" in info) == (slot == 2)
            assert observation in environment.observation_space
        outcome = problem.evaluate(instances, Decisions.over_slots(taken))
        np.testing.assert_allclose(earned, -outcome.cost)
        # What waited at the end was seen, and the next episodes have begun.
        assert not np.array_equal(info["final_obs"]["waiting"], observation["waiting"])
        np.testing.assert_allclose(info["final_info"]["cost"], -reward)


def test_the_first_observation_after_a_restart_is_the_next_instances(toy: ModuleType) -> None:
    problem = registry.problem("queues")
    environment = ProblemVectorEnv(problem, 5, seed=2)
    environment.reset()
    for _ in range(3):
        observation, *_ = environment.step({"send": np.zeros((5, 2), dtype=np.int64)})
    nature = instance_batches(problem, 5, 2)
    next(nature)
    np.testing.assert_array_equal(observation["waiting"], next(nature)["initial"])


@pytest.mark.parametrize("name", registry.BUILT_IN["problems"])
def test_every_environment_of_a_batch_plays_what_it_would_play_alone(name: str) -> None:
    """Every preset of every problem: the i-th of five is the i-th episode of one environment with the same seed."""
    kind = registry.get("problems", name)
    for values in kind.scenario_type.presets.values():
        problem = kind(kind.scenario_type(**{**values, **SMALL.get(name, {})}))
        many, alone = ProblemVectorEnv(problem, 5, seed=6), ProblemEnv(problem, seed=6)
        many.action_space.seed(1)
        seen, taken, paid, ends, last = [many.reset()[0]], [], [], [], None
        for _ in range(problem.horizon):
            taken.append(many.action_space.sample())
            assert seen[-1] in many.observation_space
            observation, reward, terminated, truncated, info = many.step(taken[-1])
            seen.append(observation)
            paid.append(reward)
            ends.append((terminated, truncated))
            last = info.get("final_obs")
        seen[-1] = last
        for row in range(5):
            observations = [alone.reset()[0]]
            for slot in range(problem.horizon):
                observation, reward, *end, _ = alone.step({key: array[row] for key, array in taken[slot].items()})
                observations.append(observation)
                assert reward == pytest.approx(paid[slot][row], rel=1e-12)
                assert end == [ends[slot][0][row], ends[slot][1][row]]
            for slot, observation in enumerate(observations):
                for key, array in observation.items():
                    np.testing.assert_allclose(array, seen[slot][key][row], rtol=1e-9)


def test_the_problem_is_asked_once_a_step_however_many_environments(small: Any, monkeypatch: Any) -> None:
    calls: list[int] = []
    step = type(small).step

    def counting(self: Any, instances: Any, state: State, decision: Decisions) -> tuple[State, Outcome]:
        calls.append(instances.count)
        return step(self, instances, state, decision)

    monkeypatch.setattr(type(small), "step", counting)
    environment = AssignmentVectorEnv(small, 100)
    environment.reset()
    environment.step(environment.action_space.sample())
    assert calls == [100]


def test_the_same_seed_gives_the_same_batch(small: Any) -> None:
    first, second = AssignmentVectorEnv(small, 6, seed=1), AssignmentVectorEnv(small, 6, seed=2)
    assert not np.array_equal(first.reset()[0], second.reset()[0])
    assert np.array_equal(first.reset(seed=3)[0], second.reset(seed=3)[0])


def test_actions_for_another_number_of_environments_are_refused(small: Any) -> None:
    environment = AssignmentVectorEnv(small, 6)
    environment.reset()
    with pytest.raises(InvalidInput, match="actions for 5 instances; allowed: 6"):
        environment.step(np.zeros((5, 2, 4)))
    with pytest.raises(InvalidInput, match="count = 0"):
        AssignmentVectorEnv(small, 0)
