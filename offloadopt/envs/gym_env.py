"""One episode at a time: Gymnasium's `Env`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from offloadopt.core import Problem
from offloadopt.envs import rewards
from offloadopt.envs.episodes import Episodes
from offloadopt.envs.score_view import ScoreView
from offloadopt.envs.views import FieldView, View, each


class ProblemEnv(gymnasium.Env[Any, Any]):
    """Any problem as a Gymnasium environment; every episode is a fresh instance.

    A problem with a horizon is truncated when it ends, a one-shot problem terminates. ``info`` holds the slot's
    ``cost`` and its ``violations`` and ``metrics`` by name; a violated constraint does not change the reward.

    Parameters
    ----------
    problem : Problem
    seed : int
        Of nature's draws until ``reset`` is given another.
    reward : {"negative-cost", "reciprocal-cost"}
    view : View, optional
        What is seen and how actions are read; the problem's own arrays unless given.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self, problem: Problem[Any], *, seed: int = 0, reward: str = "negative-cost", view: View | None = None
    ) -> None:
        self.problem = problem
        self.view = FieldView(problem) if view is None else view
        self.observation_space = self.view.observation_space
        self.action_space = self.view.action_space
        self._reward = rewards.named(reward)
        self._episodes = Episodes(problem, 1, seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; a seed starts nature's draws again. There are no options."""
        super().reset(seed=seed)
        if seed is not None:
            self._episodes.reseed(seed)
        self._episodes.begin()
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Decide one slot."""
        alone = each(lambda values: np.asarray(values)[None], action)
        outcome = self._episodes.step(self.view.decode(self._episodes.observation, alone))
        info = {
            "cost": float(outcome.cost[0]),
            "violations": {name: float(values[0]) for name, values in outcome.violations.items()},
            "metrics": {name: float(values[0]) for name, values in outcome.metrics.items()},
        }
        reward = float(self._reward(outcome)[0])
        return self._observation(), reward, self._episodes.terminated, self._episodes.truncated, info

    def _observation(self) -> Any:
        return each(lambda values: values[0], self.view.observe(self._episodes.observation))


class AssignmentEnv(ProblemEnv):
    """An assignment problem for continuous control: a flat observation, scores in [-1, 1]; see `ScoreView`."""

    def __init__(self, problem: Problem[Any], *, seed: int = 0, reward: str = "negative-cost") -> None:
        super().__init__(problem, seed=seed, reward=reward, view=ScoreView.of(problem))
