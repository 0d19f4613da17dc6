"""A `TaskQueueProblem`: a robot computes its tasks or sends them to a workshop; energy and late returns cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from offloadopt import core
from offloadopt.core import (
    ArrayField,
    Batch,
    Decisions,
    FloatArray,
    Instances,
    IntArray,
    Observation,
    Outcome,
    State,
)
from offloadopt.structures.task_queues import ExpectedCosts, HindsightData, TaskQueueProblem

SLOTS, SEND_S, LINK_W, SHIFT_S, FAILURE = 3, 0.4, 0.5, 3.2, 4.0
SPEED, POWER = np.array([[2.0, 1.0], [3.0, 2.0]]), np.array([[3.0, 1.0], [5.0, 2.0]])  # [robot and workshop, modes]


class Robot(TaskQueueProblem[core.Scenario]):
    name = "robot"
    scenario_type = core.Scenario
    horizon, num_agents, devices, modes = SLOTS, 1, 2, 2
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {"task": ("cycles", "busy")}
    instance_fields = {"cycles": ArrayField((1,), low=0.1)}
    observation_fields = {"cycles": ArrayField((1,), low=0.1), "busy_s": ArrayField((1, 2), low=0.0)}
    decision_fields = {name: ArrayField((1,), low=0, high=1, integer=True) for name in ("target", "mode")}

    def sample(self, count: int, seed: int) -> Instances:
        return Instances({"cycles": np.random.default_rng(seed).uniform(0.5, 2.5, (count, SLOTS, 1))})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({"free_s": np.zeros((instances.count, 2))}))

    def observe(self, instances: Instances, state: State) -> Observation:
        busy_s = np.maximum(state.values["free_s"] - state.slot, 0.0)[:, None]
        return Observation({"cycles": instances["cycles"][:, state.slot], "busy_s": busy_s})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        target, mode, rows = decision["target"][:, 0], decision["mode"][:, 0], np.arange(instances.count)
        free_s = np.array(state.values["free_s"])
        seconds = instances["cycles"][:, state.slot, 0] / SPEED[target, mode]
        end_s = np.maximum(free_s[rows, target], state.slot + SEND_S * target) + seconds
        free_s[rows, target] = end_s
        cost = POWER[target, mode] * seconds + 2.0 * LINK_W * SEND_S * target  # sent, and received
        cost = cost + FAILURE * ((end_s > SHIFT_S) & (target == 1))
        return State(state.slot + 1, Batch({"free_s": free_s})), Outcome(cost, cost[:, None])

    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        return {"cycles": observation["cycles"], "busy": observation["busy_s"]}

    def expected_costs(self, observation: Observation) -> ExpectedCosts:
        execute_j = observation["cycles"][..., None, None] * POWER / SPEED
        sent_j = np.broadcast_to(np.array([0.0, LINK_W * SEND_S])[:, None], execute_j.shape)
        return ExpectedCosts(execute_j + 2 * sent_j, sent_j, execute_j + sent_j, np.zeros(execute_j.shape[:3]))

    def choose(self, target: IntArray, mode: IntArray) -> Decisions:
        return Decisions({"target": target, "mode": mode})

    def device(self, instances: Instances, target: IntArray) -> IntArray:
        return target

    target = device

    def hindsight_data(self, instances: Instances) -> HindsightData:
        tasks, yes = instances["cycles"].shape, np.ones((instances.count, SLOTS, 1, 2, 1), dtype=np.bool_)
        return HindsightData(
            arrives=yes[..., 0, 0], begin_s=np.arange(float(SLOTS)), deadline_s=np.full(tasks, 99.0),
            cycles=instances["cycles"], joule_price=np.ones(tasks), linked=yes[..., 0] & [False, True],
            send_s=SEND_S * yes, received=yes, until_s=SHIFT_S * yes[..., 0], link_w=np.full(2, LINK_W),
            speed_hz=SPEED, power_w=POWER, start_j=np.full((len(yes), 2), 1e3), capacity_j=1e3, failure_cost=FAILURE,
        )  # fmt: skip
