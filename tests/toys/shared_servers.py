"""A `SharedServersProblem`: cameras of a factory that share cables to two industrial computers."""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import ArrayField, Batch, Decisions, Instances, IntArray, Outcome, Scenario, State
from offloadopt.physics.task_splitting import Splitting
from offloadopt.structures.shared_servers import SharedServersCosts, SharedServersProblem

CAMERAS, CPU_HZ, CYCLES_PER_BIT = 3, 4.0, 2.0
CABLE = np.array([6.0, 3.0])  # bit/s of each computer's cable, shared equally
TIME_WEIGHT, LOCAL_J, SEND_J_PER_S, KAPPA = 0.6, 5.0, 0.4, 0.01


class Factory(SharedServersProblem[Scenario]):
    name = "factory"
    scenario_type = Scenario
    ties_decisions = True
    tasks, servers, num_agents = CAMERAS, 2 * len(CABLE), CAMERAS
    instance_fields = observation_fields = {"bits": ArrayField((CAMERAS,), low=0.1)}
    decision_fields = {
        "computer": ArrayField((CAMERAS,), low=0, high=len(CABLE), integer=True),
        "ratio": ArrayField((CAMERAS,), low=0.0, high=1.0),
        "cpu_hz": ArrayField((CAMERAS,), low=0.0, high=CPU_HZ),
    }

    def sample(self, count: int, seed: int) -> Instances:
        return Instances({"bits": np.random.default_rng(seed).uniform(1.0, 5.0, (count, CAMERAS))})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({}))

    def observe(self, instances: Instances, state: State) -> Any:
        return instances

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        bits, ratio, cpu_hz = instances["bits"], decision["ratio"], decision["cpu_hz"]
        here = (decision["computer"][..., None] == np.arange(1, len(CABLE) + 1)) & (ratio * cpu_hz > 0)[..., None]
        send_s = bits * (here * here.sum(axis=1, keepdims=True) / CABLE).sum(axis=-1)
        away, cycles, local_s = here.any(axis=-1), CYCLES_PER_BIT * bits, bits
        ratio, cpu_hz = np.where(away, ratio, 0.0), np.where(away, cpu_hz, 1.0)
        time_s = np.maximum((1 - ratio) * local_s, ratio * (send_s + cycles / cpu_hz))
        away_j = SEND_J_PER_S * send_s + KAPPA * cpu_hz**2 * cycles
        energy_j = (1 - ratio) * LOCAL_J + ratio * away_j
        cost = TIME_WEIGHT * time_s / local_s + (1 - TIME_WEIGHT) * energy_j / LOCAL_J
        excess = np.maximum((here * cpu_hz[..., None]).sum(axis=1).max(axis=-1) / CPU_HZ - 1.0, 0.0)
        return State(1, state.values), Outcome(cost.sum(axis=-1), cost, {"cpu": excess})

    def assignment(self, decisions: Decisions) -> IntArray:
        away = (decisions["computer"] > 0) & (decisions["ratio"] * decisions["cpu_hz"] > 0)
        return np.where(away, decisions["computer"] + len(CABLE) * (decisions["ratio"] >= 1.0), 0)

    def allocate(self, observation: Any, assignment: IntArray) -> Decisions:
        costs = self.costs(observation)
        assert isinstance(costs, SharedServersCosts)
        server, whole, cpu_hz, tasks = costs.allocate(assignment)
        ratio = np.where(server >= 0, np.where(whole, 1.0, tasks.balanced_ratio(cpu_hz)), 0.0)
        return Decisions({"computer": server + 1, "ratio": ratio, "cpu_hz": cpu_hz})

    def splitting(self, observation: Any) -> Splitting:
        bits = observation["bits"][..., None, None]
        send_s = bits * np.arange(1, CAMERAS + 1) / CABLE[:, None]
        return Splitting(
            local_s=bits,
            local_j=np.full_like(bits, LOCAL_J),
            send_s=send_s,
            send_j=SEND_J_PER_S * send_s,
            cycles=CYCLES_PER_BIT * bits,
            kappa=KAPPA,
            time_weight=TIME_WEIGHT,
            cpu_max_hz=CPU_HZ,
        )
