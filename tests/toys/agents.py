"""An `AgentProblem`: thermostats that set a fan's level and a heater's power against the weather of two slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from offloadopt.core import ArrayField, Batch, Decisions, FloatArray, Instances, Observation, Outcome, Scenario, State
from offloadopt.structures.agents import AgentProblem

ROOMS, LEVELS = 2, 3


class Thermostats(AgentProblem[Scenario]):
    """The warmth of a room follows weather, heater and fan; deviations from 0 cost their square, power its amount."""

    name = "thermostats"
    scenario_type = Scenario
    horizon, num_agents = 2, ROOMS
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {"warmth": ("warmth",), "full": ("warmth", "hot")}
    instance_fields = {"weather": ArrayField((ROOMS,), low=-2.0, high=2.0)}
    observation_fields = {"warmth": ArrayField((ROOMS,))}
    decision_fields = {
        "fan": ArrayField((ROOMS,), low=0, high=LEVELS - 1, integer=True),
        "heater": ArrayField((ROOMS,), low=0.0, high=2.0),
    }

    def sample(self, count: int, seed: int) -> Instances:
        return Instances({"weather": np.random.default_rng(seed).uniform(-2.0, 2.0, (count, self.horizon, ROOMS))})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({"warmth": instances["weather"][:, 0]}))

    def observe(self, instances: Instances, state: State) -> Observation:
        return Observation({"warmth": state.values["warmth"]})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        warmth = state.values["warmth"] + decision["heater"] - decision["fan"]
        cost = warmth**2 + 0.1 * decision["heater"] + 0.1 * decision["fan"]
        coming = instances["weather"][:, min(state.slot + 1, self.horizon - 1)]
        return State(state.slot + 1, Batch({"warmth": 0.5 * warmth + coming})), Outcome(cost.sum(axis=-1), cost)

    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        return {"warmth": observation["warmth"] / 2.0, "hot": (observation["warmth"] > 0).astype(np.float64)}

    def allowed(self, observation: Observation) -> Any:
        """The fan runs in warm rooms alone."""
        fan = np.repeat((observation["warmth"] > 0)[..., None], LEVELS, axis=-1)
        fan[..., 0] = True
        return {"fan": fan}
