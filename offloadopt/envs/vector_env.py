"""Gymnasium's `VectorEnv` of any problem: synchronous episodes without a Python loop over environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from offloadopt.core import FloatArray, Outcome, Problem
from offloadopt.envs import rewards
from offloadopt.envs.episodes import Episodes
from offloadopt.envs.score_view import ScoreView
from offloadopt.envs.views import FieldView, View

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


class ProblemVectorEnv(VectorEnv[Any, Any, Any]):
    """Vectorised environment: ``count`` instances of any problem, stepped as one batch.

    All episodes end in the same slot. The step that ends them begins the next ones (Gymnasium's same-step autoreset):
    it returns the first observation of the next episodes, and in ``info`` the last observation of the ended ones as
    ``final_obs [count, ...]`` and their cost, violations and metrics as ``final_info``. In other slots ``info`` holds
    these three itself.

    Parameters
    ----------
    problem : Problem
    count : int
        Number of environments.
    seed : int
        Seed of the instances, all from one stream, until ``reset`` is given another.
    reward : {"negative-cost", "reciprocal-cost"}
    view : View, optional
        Translation of observations and actions; the problem's own arrays (`FieldView`) unless given.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        problem: Problem[Any],
        count: int,
        *,
        seed: int = 0,
        reward: str = "negative-cost",
        view: View | None = None,
    ) -> None:
        self.problem = problem
        self.view = FieldView(problem) if view is None else view
        self.num_envs = count
        self._reward = rewards.reward_function(reward)
        self._episodes = Episodes(problem, count, seed)
        self.single_observation_space = self.view.observation_space
        self.single_action_space = self.view.action_space
        self.observation_space = batch_space(self.single_observation_space, count)
        self.action_space = batch_space(self.single_action_space, count)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin new episodes; a seed restarts the sequence of instances. ``options`` are ignored."""
        super().reset(seed=seed)
        if seed is not None:
            self._episodes.reseed(seed)
        self._episodes.begin()
        return self._observation(), {}

    def step(self, actions: Any) -> tuple[Any, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Decide one slot of every episode."""
        episodes = self._episodes
        outcome = episodes.step(self.view.decode(episodes.observation, actions))
        terminated = np.full(self.num_envs, episodes.terminated)
        truncated = np.full(self.num_envs, episodes.truncated)
        info = _info(outcome)
        if episodes.ended:
            info = {"final_obs": self._observation(), "final_info": self._with_masks(info)}
            episodes.begin()
        return self._observation(), self._reward(outcome), terminated, truncated, self._with_masks(info)

    def _observation(self) -> Any:
        return self.view.observe(self._episodes.observation)

    def _with_masks(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Add Gymnasium's mask of the environments that have each entry: always all of them."""
        return {**info, **{f"_{name}": np.ones(self.num_envs, dtype=np.bool_) for name in info}}


class AssignmentVectorEnv(ProblemVectorEnv):
    """Vectorised environment of an assignment problem: flat observations, scores as actions (`ScoreView`)."""

    def __init__(self, problem: Problem[Any], count: int, *, seed: int = 0, reward: str = "negative-cost") -> None:
        super().__init__(problem, count, seed=seed, reward=reward, view=ScoreView.of(problem))


def _info(outcome: Outcome) -> dict[str, Any]:
    return {"cost": outcome.cost, "violations": dict(outcome.violations), "metrics": dict(outcome.metrics)}
