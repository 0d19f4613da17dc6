"""View of an assignment problem for continuous control: standardised measurements, and a score for each link."""

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
"""Seed of the sample whose statistics standardise observations; the same for every training."""
STATISTICS_COUNT = 1024
"""Number of instances in that sample."""
VIEW_LIMIT = 5.0
"""Limit of standardised measurements: a link of gain 0, thousands of dB below the mean, is observed as very weak."""


class ScoreView:
    """View with all servers' standardised measurements, and one score in [-1, 1] for each server and task.

    A score is DIRS's probability ``pi_ij`` (arXiv:2005.12364) on another scale, ``pi_ij = (1 + score_ij) / 2``, with
    the same decision rule: a task is assigned to the server with its largest score if that is at least 0
    (``pi_ij >= 0.5``), and is computed locally otherwise. Links that do not exist are ignored. Continuous decisions are
    those of `AssignmentProblem.allocate`, so that every action is a feasible decision.

    Parameters
    ----------
    problem : AssignmentProblem
    center, scale : arrays [servers, features]
        Subtracted from a measurement, and divisor of the difference.
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
        """Create the view with the mean and standard deviation of every measurement in a fixed sample."""
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

    def with_statistics(self, statistics: Mapping[str, FloatArray]) -> Self:
        """Create the view with the given ``center`` and ``scale``."""
        return type(self)(self.problem, statistics["center"], statistics["scale"])

    def observe(self, observation: Observation) -> NDArray[np.float32]:
        """Return standardised measurements ``[count, servers x features]``, server by server."""
        standard = (self.problem.server_view(observation) - self.center) / self.scale
        return standard.clip(-VIEW_LIMIT, VIEW_LIMIT).reshape(observation.count, -1).astype(np.float32)

    def decode(self, observation: Observation, action: Any) -> Decisions:
        """Convert scores ``[count, servers, tasks]`` to an assignment with its optimal continuous decisions."""
        score = self._score.check("score", action, 1)
        check_count(len(score), observation.count)
        linked = self.problem.affinity(observation).transpose(0, 2, 1) > 0
        return self.problem.allocate(observation, vote(np.where(linked, score, -np.inf)))

    def encode(self, observation: Observation, decisions: Decisions) -> NDArray[np.float32]:
        """Return scores of 1 for the links in use and -1 for all others."""
        used = self.problem.assignment(decisions)[:, None] == np.arange(1, self.problem.servers + 1)[:, None]
        return np.where(used, 1.0, -1.0).astype(np.float32)


def vote(score: FloatArray) -> IntArray:
    """Assign each task to the server of its largest score, or to 0 (local) if that is negative.

    Scores are ``[count, servers, tasks]``, the result ``[count, tasks]``.
    """
    return np.where(score.max(axis=1) >= 0.0, score.argmax(axis=1) + 1, 0).astype(np.int64)
