"""An `AssignmentProblem` with negative costs: sensors sell data over gateways that share their band by value.

Sensor i on gateway j with the share ``s`` of its band sells for ``w_i sqrt(g_ij s)``, kept local for ``0.5 w_i``. Costs
are what is sold, with a minus. Optimal shares are proportional to ``w_i^2 g_ij`` (Cauchy-Schwarz).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from offloadopt.core import ArrayField, Batch, Decisions, FloatArray, Instances, IntArray, Outcome, Scenario, State
from offloadopt.structures.assignment import AssignmentProblem

SENSORS, GATEWAYS = 4, 2


@dataclass(frozen=True)
class Sales:
    """Costs of assignments by squared values ``[count, sensors, gateways]`` and weights ``[count, sensors]``."""

    value: FloatArray
    weight: FloatArray

    def cost(self, assignment: IntArray) -> FloatArray:
        middle = (1,) * (assignment.ndim - 2)
        here = assignment[..., None] == np.arange(1, GATEWAYS + 1)
        value = self.value.reshape(len(self.value), *middle, SENSORS, GATEWAYS)
        kept = 0.5 * self.weight.reshape(len(self.weight), *middle, SENSORS) * (assignment == 0)
        return -np.sqrt((value * here).sum(axis=-2)).sum(axis=-1) - kept.sum(axis=-1)

    def take(self, rows: Any) -> Sales:
        return Sales(self.value[rows], self.weight[rows])


class DataMarket(AssignmentProblem[Scenario]):
    name = "data_market"
    scenario_type = Scenario
    tasks, servers, num_agents = SENSORS, GATEWAYS, SENSORS
    instance_fields = observation_fields = {
        "gain": ArrayField((SENSORS, GATEWAYS), low=0.0),
        "weight": ArrayField((SENSORS,), low=0.0),
    }
    decision_fields = {
        "gateway": ArrayField((SENSORS,), low=0, high=GATEWAYS, integer=True),
        "share": ArrayField((SENSORS,), low=0.0, high=1.0),
    }

    def sample(self, count: int, seed: int) -> Instances:
        gain, weight = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
        draws = {"gain": gain.uniform(0.1, 1.0, (count, SENSORS, GATEWAYS))}
        return Instances({**draws, "weight": weight.uniform(1.0, 2.0, (count, SENSORS))})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({}))

    def observe(self, instances: Instances, state: State) -> Any:
        return instances

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        here = decision["gateway"][..., None] == np.arange(1, GATEWAYS + 1)
        sold = (np.sqrt(instances["gain"] * decision["share"][..., None]) * here).sum(axis=-1)
        cost = -instances["weight"] * np.where(here.any(axis=-1), sold, 0.5)
        excess = np.maximum((decision["share"][..., None] * here).sum(axis=1).max(axis=-1) - 1.0, 0.0)
        return State(1, state.values), Outcome(cost.sum(axis=-1), cost, {"band": excess})

    def assignment(self, decisions: Decisions) -> IntArray:
        return decisions["gateway"]

    def allocate(self, observation: Any, assignment: IntArray) -> Decisions:
        here = assignment[..., None] == np.arange(1, GATEWAYS + 1)
        value = self.costs(observation).value * here
        total = value.sum(axis=1, keepdims=True)
        share = np.divide(value, total, out=np.zeros_like(value), where=total > 0).sum(axis=-1)
        return Decisions({"gateway": assignment, "share": share})

    def costs(self, observation: Any) -> Sales:
        return Sales(observation["weight"][..., None] ** 2 * observation["gain"], observation["weight"])
