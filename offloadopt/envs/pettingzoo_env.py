"""PettingZoo's `ParallelEnv` of a problem whose agents observe and act for themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from offloadopt.core import Decisions, Problem
from offloadopt.envs.agent_decisions import AgentDecisions, as_agent_problem
from offloadopt.envs.episodes import Episodes
from offloadopt.errors import InvalidInput, UnknownName, nearest

StepResult = tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]
"""By agent: observation, reward, terminated, truncated, info."""


class ProblemParallelEnv(ParallelEnv[str, Any, Any]):
    """Multi-agent environment of an `AgentProblem`; every episode is a new instance.

    Agent i is named ``agent_i``. It observes row i of the problem's view and decides row i of every decision array.
    Its action space is:

    * one `Box` in the arrays' own units, array after array, if all arrays are continuous;
    * one `MultiDiscrete`, or `Discrete` for a single number, if all arrays hold integers within limits;
    * otherwise a `Dict` with an entry for each array.

    An agent's reward is minus its own cost, without the terminal cost of the horizon's end. ``infos`` hold the agent's
    ``cost`` and, the same for all agents, the slot's ``violations`` and ``metrics``, which are sums over the agents.
    The end of the horizon is a truncation.

    Parameters
    ----------
    problem : AgentProblem
    seed : int
        Seed of the instances until ``reset`` is given another.
    view : str, optional
        Name of the agents' view; the problem's first unless given.
    """

    def __init__(self, problem: Problem[Any], *, seed: int = 0, view: str | None = None) -> None:
        self.problem = as_agent_problem(problem)
        self.view = next(iter(self.problem.views)) if view is None else view
        self.metadata = {"name": problem.name, "render_modes": []}
        self.render_mode = None
        self.possible_agents = [f"agent_{number}" for number in range(problem.num_agents)]
        self.agents: list[str] = []
        self._decisions = AgentDecisions(self.problem)
        shape = (self.problem.view_size(self.view),)
        self.observation_spaces: dict[str, spaces.Space[Any]] = {
            agent: spaces.Box(-np.inf, np.inf, shape, np.float32) for agent in self.possible_agents
        }
        self.action_spaces: dict[str, spaces.Space[Any]] = {
            agent: _action_space(self._decisions) for agent in self.possible_agents
        }
        self._episodes = Episodes(problem, 1, seed)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Space of an agent's observations."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Space of an agent's actions."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin an episode; a seed restarts the sequence of instances. ``options`` are ignored."""
        if seed is not None:
            self._episodes.reseed(seed)
        self._episodes.begin()
        self.agents = list(self.possible_agents)
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Decide one slot for all agents at once."""
        self._episodes.require_running()
        outcome = self._episodes.step(self._decode(actions))
        shared = {
            "violations": {name: float(values[0]) for name, values in outcome.violations.items()},
            "metrics": {name: float(values[0]) for name, values in outcome.metrics.items()},
        }
        costs = dict(zip(self.agents, outcome.agent_cost[0].tolist(), strict=True))
        result = (
            self._observations(),
            dict(zip(self.agents, (-outcome.running_cost[0]).tolist(), strict=True)),
            dict.fromkeys(self.agents, self._episodes.terminated),
            dict.fromkeys(self.agents, self._episodes.truncated),
            {agent: {"cost": cost, **shared} for agent, cost in costs.items()},
        )
        if self._episodes.ended:
            self.agents = []
        return result

    def _observations(self) -> dict[str, NDArray[np.float32]]:
        rows = self.problem.view(self._episodes.observation, self.view)[0].astype(np.float32)
        return dict(zip(self.agents, rows, strict=True))

    def _decode(self, actions: Mapping[str, Any]) -> Decisions:
        for agent in actions:
            if agent not in self.agents:
                raise UnknownName(f"action of an unknown agent {agent!r}; {nearest(str(agent), self.agents)}")
        for agent in self.agents:
            if agent not in actions:
                raise InvalidInput(f"action of {agent!r} is missing; needed: one of each of the {len(self.agents)}")
        rows = [self._arrays_of(agent, actions[agent]) for agent in self.agents]
        return Decisions({name: np.stack([row[name] for row in rows])[None] for name in self._decisions.fields})

    def _arrays_of(self, agent: str, action: Any) -> dict[str, NDArray[Any]]:
        """Convert an agent's action to its part of each decision array, and check it."""
        arrays = action if isinstance(self.action_spaces[agent], spaces.Dict) else self._split(agent, action)
        needed = ", ".join(self._decisions.fields)
        if not isinstance(arrays, Mapping) or set(arrays) != set(self._decisions.fields):
            raise InvalidInput(f"action of {agent!r} is not a dict of exactly {needed}")
        return {
            name: spec.check(f"{name} of {agent!r}", np.asarray(arrays[name])[None], 1)[0]
            for name, spec in self._decisions.fields.items()
        }

    def _split(self, agent: str, action: Any) -> dict[str, NDArray[Any]]:
        flat, shape = np.asarray(action), self.action_spaces[agent].shape
        if flat.shape != shape:
            raise InvalidInput(f"action of {agent!r} has shape {list(flat.shape)}; allowed: {list(shape or ())}")
        return self._decisions.split(flat.reshape(self._decisions.size))


def _action_space(decisions: AgentDecisions) -> spaces.Space[Any]:
    """Build the space of one agent's actions."""
    low, high = decisions.limits
    if decisions.all_continuous:
        return spaces.Box(low, high, dtype=np.float64)
    if decisions.all_integer and np.isfinite([low, high]).all():
        first, counts = low.astype(np.int64), (high - low).astype(np.int64) + 1
        if decisions.size == 1:
            return spaces.Discrete(int(counts[0]), start=int(first[0]))
        return spaces.MultiDiscrete(counts, start=first)
    return spaces.Dict({name: spec.space() for name, spec in decisions.fields.items()})
