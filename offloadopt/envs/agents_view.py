"""All agents at once, as the libraries want them: a flat vector in, a flat vector of shares or of choices out."""

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
    """Every agent's view, agent by agent, against every agent's decisions.

    A centre that decides for all: it sees each agent's view, and nothing more. Observations are the problem's
    `AgentProblem.features` as they are. Where all decisions are whole numbers, an action chooses an option of each of
    them (`MultiDiscrete`, 0 for the lowest). Otherwise, or if it must be ``continuous``, an action is a vector whose -1
    and 1 are the lowest and the highest value of its entry; whole numbers are the nearest ones.

    Nothing here tells which options are allowed (`AgentProblem.allowed`): any can be chosen, at the problem's price.

    Parameters
    ----------
    problem : AgentProblem
        Its decisions must have limits.
    name : str, optional
        Of the agents' view, the problem's first unless given.
    continuous : bool
        Whether whole numbers are shares too, for those who can do nothing else.
    """

    observation_space: spaces.Box
    action_space: spaces.Box | spaces.MultiDiscrete

    def __init__(self, problem: Problem[Any], name: str | None = None, *, continuous: bool = False) -> None:
        self.problem = agents_of(problem)
        self.name = next(iter(self.problem.views)) if name is None else name
        seen = self.problem.num_agents * self.problem.view_size(self.name)
        self._entries = Entries(self.problem)
        for array, spec in self._entries.fields.items():
            if not np.isfinite([spec.low, spec.high]).all():
                limits = f"{spec.low:g} to {spec.high:g}"
                raise Unsupported(f"{array} of {problem.name!r} takes {limits}; this view needs decisions with limits")
        self._low, self._high = self._entries.limits
        self.observation_space = spaces.Box(-np.inf, np.inf, (seen,), np.float32)
        decided = (self.problem.num_agents * self._entries.width,)
        if self._entries.integer == {True} and not continuous:
            options = (self._high - self._low).astype(np.int64) + 1
            self.action_space = spaces.MultiDiscrete(np.tile(options, self.problem.num_agents))
            self._action = ArrayField(decided, low=0, integer=True)
        else:
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

    def decode(self, observation: Observation, action: Any) -> Decisions:
        """The decisions of actions ``[count, agents x entries]``, agent by agent."""
        flat = self._action.check("action", action, 1)
        check_count(len(flat), observation.count)
        given = flat.reshape(len(flat), self.problem.num_agents, -1)
        if isinstance(self.action_space, spaces.MultiDiscrete):
            values = self._low + given
        else:
            # Weighted by both ends, so that -1 and 1 meet them exactly.
            values = 0.5 * ((1.0 - given) * self._low + (1.0 + given) * self._high)
            values = values.clip(self._low, self._high)
        fields, decided = self.problem.decision_fields, self._entries.split(values)
        whole = {name: np.rint(part) if fields[name].integer else part for name, part in decided.items()}
        return Decisions({name: fields[name].check(name, part, 1) for name, part in whole.items()})
