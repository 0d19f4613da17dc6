"""View of a central controller: the observations and the decisions of all agents as flat vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, FloatArray, Observation, Problem
from offloadopt.envs.agent_decisions import AgentDecisions, as_agent_problem
from offloadopt.envs.views import check_count
from offloadopt.errors import Unsupported


class AgentsView:
    """View of a central controller that observes all agents' views and decides for all agents.

    Observations are the problem's `AgentProblem.features` of the view, agent by agent. Where all decisions
    are integers, an action chooses an option of each of them (`MultiDiscrete`, 0 for the lowest). Otherwise, or if
    ``continuous``, an action is a vector in which -1 and 1 are the lowest and the highest value of an entry; integers
    are rounded to the nearest.

    Options that are not allowed (`AgentProblem.allowed`) are not masked: any can be chosen, at the cost that the
    problem states.

    Parameters
    ----------
    problem : AgentProblem
        Its decisions must have limits.
    name : str, optional
        Name of the agents' view; the problem's first unless given.
    continuous : bool
        Whether integers are decided by numbers in [-1, 1] too, for algorithms that have continuous actions only.

    Raises
    ------
    Unsupported
        If the problem has no agents, or a decision has no limits.
    """

    observation_space: spaces.Box
    action_space: spaces.Box | spaces.MultiDiscrete

    def __init__(self, problem: Problem[Any], name: str | None = None, *, continuous: bool = False) -> None:
        self.problem = as_agent_problem(problem)
        self.name = next(iter(self.problem.views)) if name is None else name
        observed = self.problem.num_agents * self.problem.view_size(self.name)
        self._decisions = AgentDecisions(self.problem)
        for array, spec in self._decisions.fields.items():
            if not np.isfinite([spec.low, spec.high]).all():
                limits = f"{spec.low:g} to {spec.high:g}"
                raise Unsupported(f"{array} of {problem.name!r} takes {limits}; this view needs decisions with limits")
        self._low, self._high = self._decisions.limits
        self.observation_space = spaces.Box(-np.inf, np.inf, (observed,), np.float32)
        decision_shape = (self.problem.num_agents * self._decisions.size,)
        if self._decisions.all_integer and not continuous:
            options = (self._high - self._low).astype(np.int64) + 1
            self.action_space = spaces.MultiDiscrete(np.tile(options, self.problem.num_agents))
            self._action = ArrayField(decision_shape, low=0, integer=True)
        else:
            self.action_space = spaces.Box(-1.0, 1.0, decision_shape, np.float32)
            self._action = ArrayField(decision_shape, low=-1.0, high=1.0)

    @property
    def statistics(self) -> Mapping[str, FloatArray]:
        """Empty: this view depends on nothing but the problem."""
        return {}

    def with_statistics(self, statistics: Mapping[str, FloatArray]) -> Self:
        """Return the view itself."""
        return self

    def observe(self, observation: Observation) -> NDArray[np.float32]:
        """Return the agents' views ``[count, agents x features]``, agent by agent."""
        views = self.problem.view(observation, self.name)
        return views.reshape(observation.count, -1).astype(np.float32)

    def decode(self, observation: Observation, action: Any) -> Decisions:
        """Convert actions ``[count, agents x entries]``, agent by agent, to decisions."""
        flat = self._action.check("action", action, 1)
        check_count(len(flat), observation.count)
        actions = flat.reshape(len(flat), self.problem.num_agents, -1)
        if isinstance(self.action_space, spaces.MultiDiscrete):
            values = self._low + actions
        else:
            # A weighted mean of both limits, so that -1 and 1 give them exactly.
            values = 0.5 * ((1.0 - actions) * self._low + (1.0 + actions) * self._high)
            values = values.clip(self._low, self._high)
        fields, decided = self.problem.decision_fields, self._decisions.split(values)
        rounded = {name: np.rint(part) if fields[name].integer else part for name, part in decided.items()}
        return Decisions({name: fields[name].check(name, part, 1) for name, part in rounded.items()})

    def encode(self, observation: Observation, decisions: Decisions) -> NDArray[Any]:
        """Convert decisions to actions ``[count, agents x entries]``, agent by agent."""
        values = self._decisions.join(decisions)
        if isinstance(self.action_space, spaces.MultiDiscrete):
            return (values - self._low).astype(np.int64).reshape(len(values), -1)
        span = np.where(self._high > self._low, self._high - self._low, 1.0)
        return (2.0 * (values - self._low) / span - 1.0).astype(np.float32).reshape(len(values), -1)
