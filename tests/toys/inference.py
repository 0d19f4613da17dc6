"""An `InferenceProblem`: two phones, each with one question, that share one server; only time costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

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
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.structures.inference import CostWeights, InferenceProblem

PHONES, SERVER_SPEED, LIMIT_S, FAILURE, SNR = 2, 5.0, 4.0, 5.0, 3.0


class Questions(InferenceProblem[Scenario]):
    name = "questions"
    scenario_type = Scenario
    num_agents, places, servers = PHONES, 1, 1
    cost_weights = CostWeights(per_second=1.0, per_joule=0.0, failure=FAILURE, limit_s=LIMIT_S, server_drains=False)
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {"task": ("size",)}
    instance_fields = observation_fields = {"size": ArrayField((PHONES, 1), low=0.1)}

    def sample(self, count: int, seed: int) -> Instances:
        return Instances({"size": np.random.default_rng(seed).uniform(0.5, 6.0, (count, PHONES, 1))})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({}))

    def observe(self, instances: Instances, state: State) -> Observation:
        return Observation(instances)

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        size, away = instances["size"][..., 0], decision["server"][..., 0] == 1
        cpu, band = decision["cpu_share"][..., 0], decision["bandwidth_share"][..., 0]
        cpu_there, band = (s * away / np.maximum((s * away).sum(axis=-1, keepdims=True), 1.0) for s in (cpu, band))
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(band > 0, band * np.log2(1.0 + SNR / band), 0.0)
            time_s = np.where(away, size / SERVER_SPEED / cpu_there + 0.2 * size / rate, size / cpu)
        cost = np.where(time_s <= LIMIT_S * (1 + 1e-9), time_s, FAILURE)
        return State(1, state.values), Outcome(cost.sum(axis=-1), cost)

    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        return {"size": observation["size"] / 6.0}

    def all_tasks(self, instances: Any) -> InferenceTasks:
        return self._tasks(instances["size"][:, None])

    def _tasks(self, size: FloatArray) -> InferenceTasks:
        there = size[..., None]
        return InferenceTasks(
            present=np.ones(size.shape, dtype=np.bool_), local_s=size, local_j=np.zeros_like(size),
            server_s=there / SERVER_SPEED, server_j=np.zeros_like(there), send_s=0.2 * there,
            snr=np.full(size.shape, SNR), power_w=np.zeros(size.shape[:-1]),
        )  # fmt: skip

    def observed_tasks(self, observation: Observation) -> tuple[InferenceTasks, FloatArray]:
        return self._tasks(observation["size"]), np.ones((observation.count, PHONES))

    def start_j(self, instances: Instances) -> FloatArray:
        return np.ones((instances.count, PHONES))
