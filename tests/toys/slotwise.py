"""A `SlotwiseProblem`: drones fly home, or wait at a station for its charging time times the number of drones there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.core import ArrayField, Batch, Decisions, FloatArray, Instances, IntArray, Outcome, Scenario, State
from offloadopt.structures.assignment import SlotwiseProblem

DRONES, STATIONS = 3, 2


class ChargingScenario(Scenario):
    horizon: int = Field(3, ge=1)


@dataclass(frozen=True)
class Waiting:
    """Costs of assignments by charging times ``[count, stations]`` and ways home ``[count, drones]``."""

    charge: FloatArray
    home: FloatArray

    def cost(self, assignment: IntArray) -> FloatArray:
        middle = (1,) * (assignment.ndim - 2)
        number = (assignment[..., None] == np.arange(1, STATIONS + 1)).sum(axis=-2)
        home = (assignment == 0) * self.home.reshape(len(self.home), *middle, DRONES)
        return (number**2 * self.charge.reshape(len(self.charge), *middle, STATIONS)).sum(axis=-1) + home.sum(axis=-1)

    def take(self, rows: Any) -> Waiting:
        return Waiting(self.charge[rows], self.home[rows])


class Charging(SlotwiseProblem[ChargingScenario]):
    name = "charging"
    scenario_type = ChargingScenario
    tasks, servers, num_agents = DRONES, STATIONS, DRONES
    # The ways home stay, the stations change from slot to slot.
    instance_fields = {
        "home": ArrayField((DRONES,), low=0.0, per_slot=False),
        "charge": ArrayField((STATIONS,), low=0.0),
    }
    observation_fields = {"home": ArrayField((DRONES,), low=0.0), "charge": ArrayField((STATIONS,), low=0.0)}
    decision_fields = {"station": ArrayField((DRONES,), low=0, high=STATIONS, integer=True)}

    @property
    def horizon(self) -> int:
        return self.scenario.horizon

    def sample(self, count: int, seed: int) -> Instances:
        home, charge = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
        shape = (count, self.horizon, STATIONS) if self.horizon > 1 else (count, STATIONS)
        return Instances({"home": home.uniform(0.5, 3.0, (count, DRONES)), "charge": charge.uniform(0.2, 2.0, shape)})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({}))

    def observe(self, instances: Instances, state: State) -> Any:
        charge = instances["charge"]
        return Batch({"home": instances["home"], "charge": charge[:, state.slot] if self.horizon > 1 else charge})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        now, station = self.observe(instances, state), decision["station"]
        number = (station[:, :, None] == station[:, None]).sum(axis=-1)
        waits = number * np.take_along_axis(now["charge"], np.maximum(station - 1, 0), axis=-1)
        cost = np.where(station > 0, waits, now["home"])
        return State(state.slot + 1, state.values), Outcome(cost.sum(axis=-1), cost)

    def assignment(self, decisions: Decisions) -> IntArray:
        return decisions["station"]

    def allocate(self, observation: Any, assignment: IntArray) -> Decisions:
        return Decisions({"station": assignment})

    def costs(self, observation: Any) -> Waiting:
        return Waiting(observation["charge"], observation["home"])
