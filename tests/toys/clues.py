"""Agents that must answer a clue by one number and two whole numbers; the least cost is 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from offloadopt.core import (
    ArrayField,
    Batch,
    Decisions,
    FloatArray,
    Instances,
    Observation,
    Outcome,
    Policy,
    Problem,
    Scenario,
    State,
)
from offloadopt.structures.agents import AgentProblem

MUST_GUESS = 0.05
"""Cost of an agent and slot that counts as solved: 0 is possible, the best constant costs 0.33 + 0.5."""


class GuessScenario(Scenario):
    agents: int = Field(3, ge=1)
    slots: int = Field(4, ge=1)
    delay: int = Field(0, ge=0, description="slots after which a decision must fit what was seen")
    unit: float = Field(1.0, gt=0, description="of costs")


class Guess(AgentProblem[GuessScenario]):
    """Level (from 2 to 6) and two modes (of 1 to 3) must fit a clue; costs are squared errors and wrong modes.

    A clue ``c`` in [-1, 1] asks for level ``4 + c`` and, by its sign, for modes (3, 2) or (1, 2).
    """

    name = "guess"
    scenario_type = GuessScenario
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {"clue": ("clue",), "blind": ("noise",)}

    @property
    def horizon(self) -> int:
        return self.scenario.slots

    @property
    def num_agents(self) -> int:
        return self.scenario.agents

    @property
    def instance_fields(self) -> Mapping[str, ArrayField]:
        return {"clue": ArrayField((self.num_agents,), low=-1.0, high=1.0), "noise": ArrayField((self.num_agents,))}

    @property
    def observation_fields(self) -> Mapping[str, ArrayField]:
        return self.instance_fields

    @property
    def decision_fields(self) -> Mapping[str, ArrayField]:
        return {
            "level": ArrayField((self.num_agents,), low=2.0, high=6.0),
            "modes": ArrayField((self.num_agents, 2), low=1, high=3, integer=True),
        }

    def sample(self, count: int, seed: int) -> Instances:
        clue, noise = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
        slots = (self.horizon,) if self.horizon > 1 else ()
        shape = (count, *slots, self.num_agents)
        return Instances({"clue": clue.uniform(-1, 1, shape), "noise": noise.uniform(-1, 1, shape)})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({"none": np.zeros(instances.count)}))

    def observe(self, instances: Instances, state: State) -> Observation:
        return Observation({name: self._at(instances[name], state.slot) for name in ("clue", "noise")})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        past = state.slot - self.scenario.delay
        clue = self._at(instances["clue"], max(past, 0))
        modes = np.stack([np.where(clue > 0, 3, 1), np.full(clue.shape, 2)], axis=-1)
        cost = (decision["level"] - 4.0 - clue) ** 2 + (decision["modes"] != modes).sum(axis=-1)
        cost = self.scenario.unit * cost * (past >= 0)
        return State(state.slot + 1, state.values), Outcome(cost.sum(axis=-1), cost)

    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        return dict(observation)

    def best(self, instances: Instances) -> Decisions:
        """What the clues ask for, without delay."""
        clue = instances["clue"]
        modes = np.stack([np.where(clue > 0, 3, 1), np.full(clue.shape, 2)], axis=-1)
        return Decisions({"level": 4.0 + clue, "modes": modes})

    def _at(self, values: np.ndarray[Any, Any], slot: int) -> np.ndarray[Any, Any]:
        return values[:, slot] if self.horizon > 1 else values


def guess(**values: Any) -> Guess:
    return Guess(GuessScenario(**values))


class OddGuess(Guess):
    """Mode 2 is forbidden to the first entry, mode 1 to the second when the clue is positive."""

    def allowed(self, observation: Observation) -> Mapping[str, np.ndarray[Any, Any]]:
        options = np.ones((len(observation["clue"]), self.num_agents, 2, 3), dtype=np.bool_)
        options[:, :, 0, 1] = False
        options[:, :, 1, 0] = observation["clue"] <= 0
        return {"modes": options}

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        clue, modes = self._at(instances["clue"], state.slot), decision["modes"]
        assert not (modes[..., 0] == 2).any()
        assert not ((modes[..., 1] == 1) & (clue > 0)).any()
        return super().step(instances, state, decision)


def cost(policy: Policy, problem: Problem[Any]) -> float:
    """Mean cost of an agent in a slot."""
    objective = policy.run(problem, problem.sample(200, seed=99)).objective.mean()
    return float(objective / problem.num_agents / problem.horizon)
