"""An assignment problem as continuous-control libraries want it: a flat vector in, a score for each link out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, FloatArray, IntArray, Observation, Problem
from offloadopt.envs.views import check_count
from offloadopt.errors import Unsupported
from offloadopt.structures.assignment import AssignmentProblem

STATISTICS_SEED = 2005_12364
"""Of the sample by whose statistics views are standardised; the same for every training."""
STATISTICS_COUNT = 1024
VIEW_LIMIT = 5.0
"""Standardised measurements are cut off here: a dead link, at thousands of dB, then looks like a very weak one."""


class ScoreView:
    """Every server's measurements, standardised, against one score in [-1, 1] for each server and task.

    A score is DIRS's probability ``pi_ij`` (arXiv:2005.12364) on another scale, ``pi_ij = (1 + score_ij) / 2``, and is
    read by the same vote: a task goes to the server with its largest score if that is at least 0 (``pi_ij >= 0.5``),
    and stays local otherwise. Links that do not exist have no vote. Continuous decisions are
    `AssignmentProblem.allocate`'s, so that every action is a feasible decision.

    Parameters
    ----------
    problem : AssignmentProblem
    center, scale : arrays [servers, features]
        What is taken from a measurement, and by what the rest is divided.
    """

    observation_space: spaces.Box
    action_space: spaces.Box

    def __init__(self, problem: AssignmentProblem[Any], center: FloatArray, scale: FloatArray) -> None:
        self.problem = problem
        self.center = center
        self.scale = scale
        self.observation_space = spaces.Box(-VIEW_LIMIT, VIEW_LIMIT, (center.size,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (problem.servers, problem.tasks), np.float32)
        self._score = ArrayField((problem.servers, problem.tasks), low=-1.0, high=1.0)

    @classmethod
    def of(cls, problem: Problem[Any]) -> Self:
        """The view with the mean and standard deviation of every measurement in a fixed sample."""
        if not isinstance(problem, AssignmentProblem):
            raise Unsupported(f"problem {problem.name!r} has no servers to give scores to; it needs AssignmentProblem")
        sample = problem.sample(STATISTICS_COUNT, STATISTICS_SEED)
        view = problem.server_view(problem.observe(sample, problem.reset(sample)))
        deviation = view.std(axis=0)
        return cls(problem, view.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    @property
    def statistics(self) -> Mapping[str, FloatArray]:
        """``center`` and ``scale``."""
        return {"center": self.center, "scale": self.scale}

    def restored(self, statistics: Mapping[str, FloatArray]) -> Self:
        """The view with these ``center`` and ``scale``."""
        return type(self)(self.problem, statistics["center"], statistics["scale"])

    def observe(self, observation: Observation) -> NDArray[np.float32]:
        """``[count, servers x features]``, server by server."""
        standard = (self.problem.server_view(observation) - self.center) / self.scale
        return standard.clip(-VIEW_LIMIT, VIEW_LIMIT).reshape(observation.count, -1).astype(np.float32)

    def decode(self, observation: Observation, action: Any) -> Decisions:
        """The vote's assignment with its optimal continuous decisions, for scores ``[count, servers, tasks]``."""
        score = self._score.check("score", action, 1)
        check_count(len(score), observation.count)
        linked = self.problem.affinity(observation).transpose(0, 2, 1) > 0
        return self.problem.allocate(observation, vote(np.where(linked, score, -np.inf)))


def vote(score: FloatArray) -> IntArray:
    """Options ``[count, tasks]`` of scores ``[count, servers, tasks]``: the best server, or 0 if it scores below 0."""
    return np.where(score.max(axis=1) >= 0.0, score.argmax(axis=1) + 1, 0).astype(np.int64)
