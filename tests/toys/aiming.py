"""Agents that aim at what they see: a problem whose best decision is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from offloadopt.core import (
    ArrayField,
    Batch,
    Decisions,
    FloatArray,
    Instances,
    Observation,
    Outcome,
    Scenario,
    State,
)
from offloadopt.structures.agents import AgentProblem


class AimingScenario(Scenario):
    agents: int = 2
    horizon: int = 5
    integer: bool = False


class Aiming(AgentProblem[AimingScenario]):
    """Agent ``i`` sees ``x`` in [0, 1] and decides ``(u, v)`` in [-1, 3]^2: ``(u - g)^2 + (v - 1.5)^2``.

    ``g`` is ``2 x`` for agents of even number and ``2 - 2 x`` for the others; the least cost is 0.
    """

    name = "aiming"
    scenario_type = AimingScenario
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {"own": ("x",), "blind": ("one",)}

    @property
    def horizon(self) -> int:
        return self.scenario.horizon

    @property
    def num_agents(self) -> int:
        return self.scenario.agents

    @property
    def instance_fields(self) -> Mapping[str, ArrayField]:
        return {"x": ArrayField((self.num_agents,), 0.0, 1.0)}

    @property
    def decision_fields(self) -> Mapping[str, ArrayField]:
        return {"aim": ArrayField((self.num_agents, 2), -1.0, 3.0, integer=self.scenario.integer)}

    @property
    def observation_fields(self) -> Mapping[str, ArrayField]:
        return self.instance_fields

    def sample(self, count: int, seed: int) -> Instances:
        slots = (self.horizon,) if self.horizon > 1 else ()
        return Instances({"x": np.random.default_rng(seed).random((count, *slots, self.num_agents))})

    def _now(self, instances: Instances, state: State) -> FloatArray:
        return instances["x"] if self.horizon == 1 else instances["x"][:, state.slot]

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({"nothing": np.zeros(instances.count)}))

    def observe(self, instances: Instances, state: State) -> Observation:
        return Observation({"x": self._now(instances, state)})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        x = self._now(instances, state)
        goal = np.where(np.arange(self.num_agents) % 2 == 0, 2 * x, 2 - 2 * x)
        cost = (decision["aim"][..., 0] - goal) ** 2 + (decision["aim"][..., 1] - 1.5) ** 2
        return State(state.slot + 1, state.values), Outcome(cost.sum(axis=-1), cost)

    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        return {"x": observation["x"], "one": np.ones_like(observation["x"])}
