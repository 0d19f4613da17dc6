"""A `BacklogProblem`: buoys without radio that compute measurements by sunlight and from a generator.

A buoy's buffer is full at first and nothing arrives, so that equal slots share the bits equally (convex energy).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from offloadopt.core import ArrayField, Batch, Decisions, FloatArray, Instances, Observation, Outcome, Scenario, State
from offloadopt.physics.device import Device, Service
from offloadopt.structures.backlog import Backlog, BacklogProblem

BUOYS, SLOTS, GRID_PRICE, FINAL_PRICE = 2, 3, 2.0, 1.5


class Buoys(BacklogProblem[Scenario]):
    name = "buoys"
    scenario_type = Scenario
    horizon, num_agents = SLOTS, BUOYS
    device = Device(slot_s=1.0, bandwidth_hz=1.0, kappa=0.02, cycles_per_bit=1.0, local_max_w=9.0, offload_max_w=1.0)
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {"buffer": ("buffer", "sun")}
    instance_fields = {
        "bits": ArrayField((BUOYS,), low=0.0, unit="bit", per_slot=False),
        "sun_j": ArrayField((BUOYS,), low=0.0, unit="J", per_slot=False),
    }
    observation_fields = {"bits": ArrayField((BUOYS,), low=0.0), "sun_j": ArrayField((BUOYS,), low=0.0)}
    decision_fields = {
        "local_w": ArrayField((BUOYS,), low=0.0, high=9.0, unit="W"),
        "offload_w": ArrayField((BUOYS,), low=0.0, high=1.0, unit="W"),
    }

    def sample(self, count: int, seed: int) -> Instances:
        bits, sun = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
        draws = {"bits": bits.uniform(4.0, 12.0, (count, BUOYS))}
        return Instances({**draws, "sun_j": sun.uniform(0.0, 1.0, (count, BUOYS))})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({"bits": instances["bits"]}))

    def observe(self, instances: Instances, state: State) -> Observation:
        return Observation({"bits": state.values["bits"], "sun_j": instances["sun_j"]})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        left = np.maximum(state.values["bits"] - np.cbrt(decision["local_w"] / 0.02), 0.0)
        cost = GRID_PRICE * np.maximum(decision["local_w"] + decision["offload_w"] - instances["sun_j"], 0.0)
        end = FINAL_PRICE * left * (state.slot + 1 == SLOTS)
        return State(state.slot + 1, Batch({"bits": left})), Outcome((cost + end).sum(axis=-1), cost + end)

    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        return {"buffer": observation["bits"] / 12.0, "sun": observation["sun_j"]}

    def service(self, observation: Observation) -> Service:
        return self._service(observation["sun_j"])

    def _service(self, sun_j: FloatArray) -> Service:
        return Service(self.device, np.zeros_like(sun_j), sun_j, np.asarray(0.0), np.asarray(GRID_PRICE))

    def buffer_bits(self, observation: Observation) -> FloatArray:
        return observation["bits"]

    def serve(self, local_w: FloatArray, offload_w: FloatArray) -> Decisions:
        return Decisions({"local_w": np.clip(local_w, 0.0, 9.0), "offload_w": np.clip(offload_w, 0.0, 1.0)})

    def powers(self, decisions: Decisions) -> tuple[FloatArray, FloatArray]:
        return decisions["local_w"], decisions["offload_w"]

    def backlog(self, instances: Instances) -> Backlog:
        service = self._service(np.repeat(instances["sun_j"][:, None], SLOTS, axis=1))
        nothing = np.zeros_like(service.green_j)
        return Backlog(service, instances["bits"], nothing, np.inf, 0.0, 0.0, FINAL_PRICE, nothing[:, 0])
