"""Gymnasium's `Env` of any problem: one episode at a time."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from offloadopt.core import Problem
from offloadopt.envs import rewards
from offloadopt.envs.episodes import Episodes
from offloadopt.envs.score_view import ScoreView
from offloadopt.envs.views import FieldView, View, map_arrays


class ProblemEnv(gymnasium.Env[Any, Any]):
    """Gymnasium environment of any problem; every episode is a new instance.

    An episode with a horizon is truncated at its end, a one-shot problem terminates. ``info`` holds the slot's ``cost``
    and its ``violations`` and ``metrics`` by name; a violated constraint does not change the reward.

    Parameters
    ----------
    problem : Problem
    seed : int
        Seed of the instances until ``reset`` is given another.
    reward : {"negative-cost", "reciprocal-cost"}
    view : View, optional
        Translation of observations and actions; the problem's own arrays (`FieldView`) unless given.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self, problem: Problem[Any], *, seed: int = 0, reward: str = "negative-cost", view: View | None = None
    ) -> None:
        self.problem = problem
        self.view = FieldView(problem) if view is None else view
        self.observation_space = self.view.observation_space
        self.action_space = self.view.action_space
        self._reward = rewards.reward_function(reward)
        self._episodes = Episodes(problem, 1, seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; a seed restarts the sequence of instances. ``options`` are ignored."""
        super().reset(seed=seed)
        if seed is not None:
            self._episodes.reseed(seed)
        self._episodes.begin()
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Decide one slot."""
        batch = map_arrays(lambda values: np.asarray(values)[None], action)
        outcome = self._episodes.step(self.view.decode(self._episodes.observation, batch))
        info = {
            "cost": float(outcome.cost[0]),
            "violations": {name: float(values[0]) for name, values in outcome.violations.items()},
            "metrics": {name: float(values[0]) for name, values in outcome.metrics.items()},
        }
        reward = float(self._reward(outcome)[0])
        return self._observation(), reward, self._episodes.terminated, self._episodes.truncated, info

    def _observation(self) -> Any:
        return map_arrays(lambda values: values[0], self.view.observe(self._episodes.observation))


class AssignmentEnv(ProblemEnv):
    """Gymnasium environment of an assignment problem: flat observations, scores as actions (`ScoreView`)."""

    def __init__(self, problem: Problem[Any], *, seed: int = 0, reward: str = "negative-cost") -> None:
        super().__init__(problem, seed=seed, reward=reward, view=ScoreView.of(problem))
