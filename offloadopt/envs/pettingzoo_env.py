"""Many agents, each with its own observation and action: PettingZoo's `ParallelEnv`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from offloadopt.core import Decisions, Problem
from offloadopt.envs.entries import Entries, agents_of
from offloadopt.envs.episodes import Episodes
from offloadopt.errors import InvalidInput, UnknownName, nearest

StepResult = tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]
"""By agent: observation, reward, whether terminated, whether truncated, what else is known."""


class ProblemParallelEnv(ParallelEnv[str, Any, Any]):
    """One episode of any problem of agents; every episode is a fresh instance.

    Agent i is named ``agent_i``. It sees row i of the problem's view and decides row i of every decision array:

    * continuous arrays alone are one `Box` in their own units, array after array;
    * arrays of whole numbers alone are one `MultiDiscrete`, or `Discrete` where there is a single number to decide;
    * otherwise a `Dict` has an entry for each array.

    It is paid minus its own cost. ``infos`` hold that ``cost`` and, the same for all agents, the slot's ``violations``
    and ``metrics``, which are sums over the agents. A horizon that ends is a truncation.

    Parameters
    ----------
    problem : AgentProblem
    seed : int
        Of nature's draws until ``reset`` is given another.
    view : str, optional
        What agents see, the problem's first view unless given.
    """

    def __init__(self, problem: Problem[Any], *, seed: int = 0, view: str | None = None) -> None:
        self.problem = agents_of(problem)
        self.view = next(iter(self.problem.views)) if view is None else view
        self.metadata = {"name": problem.name, "render_modes": []}
        self.render_mode = None
        self.possible_agents = [f"agent_{number}" for number in range(problem.num_agents)]
        self.agents: list[str] = []
        self._entries = Entries(self.problem)
        seen = (self.problem.view_size(self.view),)
        self.observation_spaces: dict[str, spaces.Space[Any]] = {
            agent: spaces.Box(-np.inf, np.inf, seen, np.float32) for agent in self.possible_agents
        }
        self.action_spaces: dict[str, spaces.Space[Any]] = {
            agent: _space(self._entries) for agent in self.possible_agents
        }
        self._episodes = Episodes(problem, 1, seed)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """What an agent's observation looks like."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """What an agent's action looks like."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin an episode; a seed starts nature's draws again. There are no options."""
        if seed is not None:
            self._episodes.reseed(seed)
        self._episodes.begin()
        self.agents = list(self.possible_agents)
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Decide one slot for all agents at once."""
        self._episodes.running()
        outcome = self._episodes.step(self._decide(actions))
        shared = {
            "violations": {name: float(values[0]) for name, values in outcome.violations.items()},
            "metrics": {name: float(values[0]) for name, values in outcome.metrics.items()},
        }
        costs = dict(zip(self.agents, outcome.agent_cost[0].tolist(), strict=True))
        told = (
            self._observations(),
            dict(zip(self.agents, (-outcome.running_cost[0]).tolist(), strict=True)),
            dict.fromkeys(self.agents, self._episodes.terminated),
            dict.fromkeys(self.agents, self._episodes.truncated),
            {agent: {"cost": cost, **shared} for agent, cost in costs.items()},
        )
        if self._episodes.ended:
            self.agents = []
        return told

    def _observations(self) -> dict[str, NDArray[np.float32]]:
        rows = self.problem.view(self._episodes.observation, self.view)[0].astype(np.float32)
        return dict(zip(self.agents, rows, strict=True))

    def _decide(self, actions: Mapping[str, Any]) -> Decisions:
        for agent in actions:
            if agent not in self.agents:
                raise UnknownName(f"action of an unknown agent {agent!r}; {nearest(str(agent), self.agents)}")
        for agent in self.agents:
            if agent not in actions:
                raise InvalidInput(f"action of {agent!r} is missing; needed: one of each of the {len(self.agents)}")
        rows = [self._own(agent, actions[agent]) for agent in self.agents]
        return Decisions({name: np.stack([row[name] for row in rows])[None] for name in self._entries.fields})

    def _own(self, agent: str, action: Any) -> dict[str, NDArray[Any]]:
        """An agent's entries of each decision array, checked."""
        given = action if isinstance(self.action_spaces[agent], spaces.Dict) else self._split(agent, action)
        needed = ", ".join(self._entries.fields)
        if not isinstance(given, Mapping) or set(given) != set(self._entries.fields):
            raise InvalidInput(f"action of {agent!r} is not a dict of exactly {needed}")
        return {
            name: spec.check(f"{name} of {agent!r}", np.asarray(given[name])[None], 1)[0]
            for name, spec in self._entries.fields.items()
        }

    def _split(self, agent: str, action: Any) -> dict[str, NDArray[Any]]:
        flat, wanted = np.asarray(action), self.action_spaces[agent].shape
        if flat.shape != wanted:
            raise InvalidInput(f"action of {agent!r} has shape {list(flat.shape)}; allowed: {list(wanted or ())}")
        return self._entries.split(flat.reshape(self._entries.width))


def _space(entries: Entries) -> spaces.Space[Any]:
    """The space of one agent's actions."""
    low, high = entries.limits
    if entries.integer == {False}:
        return spaces.Box(low, high, dtype=np.float64)
    if entries.integer == {True} and np.isfinite([low, high]).all():
        first, counts = low.astype(np.int64), (high - low).astype(np.int64) + 1
        if entries.width == 1:
            return spaces.Discrete(int(counts[0]), start=int(first[0]))
        return spaces.MultiDiscrete(counts, start=first)
    return spaces.Dict({name: spec.space() for name, spec in entries.fields.items()})
