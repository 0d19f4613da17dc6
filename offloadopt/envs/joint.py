"""All agents at once, as continuous-control libraries want them: a flat vector in, a flat vector in [-1, 1] out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, FloatArray, Observation, Problem
from offloadopt.envs.entries import Entries, agents_of
from offloadopt.envs.views import check_count
from offloadopt.errors import Unsupported


class AgentsView:
    """Every agent's view, agent by agent, against every agent's continuous decisions on a scale from -1 to 1.

    A centre that decides for all: it sees each agent's view, and nothing more. Observations are the problem's
    `AgentProblem.features` as they are; an action's -1 and 1 are the lowest and the highest value of its entry.

    Parameters
    ----------
    problem : AgentProblem
        Its decisions must be continuous and have limits.
    name : str, optional
        Of the agents' view, the problem's first unless given.
    """

    observation_space: spaces.Box
    action_space: spaces.Box

    def __init__(self, problem: Problem[Any], name: str | None = None) -> None:
        self.problem = agents_of(problem)
        self.name = next(iter(self.problem.views)) if name is None else name
        seen = self.problem.agents * self.problem.view_size(self.name)
        self._entries = Entries(self.problem)
        for array, spec in self._entries.fields.items():
            if spec.integer or not np.isfinite([spec.low, spec.high]).all():
                why = "whole numbers" if spec.integer else f"{spec.low:g} to {spec.high:g}"
                raise Unsupported(f"{array} of {problem.name!r} takes {why}; this view needs real numbers with limits")
        self._low, self._high = self._entries.limits
        decided = (self.problem.agents * self._entries.width,)
        self.observation_space = spaces.Box(-np.inf, np.inf, (seen,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, decided, np.float32)
        self._action = ArrayField(decided, low=-1.0, high=1.0)

    @property
    def statistics(self) -> Mapping[str, FloatArray]:
        """Nothing but the problem is needed to see the same again."""
        return {}

    def restored(self, statistics: Mapping[str, FloatArray]) -> Self:
        """Itself."""
        return self

    def observe(self, observation: Observation) -> NDArray[np.float32]:
        """``[count, agents x features]``, agent by agent."""
        seen = self.problem.view(observation, self.name)
        return seen.reshape(observation.count, -1).astype(np.float32)

    def decide(self, observation: Observation, action: Any) -> Decisions:
        """The decisions of actions ``[count, agents x entries]``, agent by agent."""
        flat = self._action.check("action", action, 1)
        check_count(len(flat), observation.count)
        share = flat.reshape(len(flat), self.problem.agents, -1)
        # Weighted by both ends, so that -1 and 1 meet them exactly.
        values = 0.5 * ((1.0 - share) * self._low + (1.0 + share) * self._high)
        return Decisions(self._entries.split(values.clip(self._low, self._high)))
