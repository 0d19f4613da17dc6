"""Post-disaster offloading of battery-powered devices: local, device-to-device or edge execution, and CPU modes.

Tang, Huang, Zhan, Min, Duan, Lei: "Battery-care resource allocation and task offloading in multi-agent post-disaster
MEC environment", IEEE WCNC 2024, arXiv:2312.15380. Its text names every quantity; the bodies of the equations and Table
II are missing from the copy at hand. Equation numbers are the paper's, their bodies follow from its definitions.

In every slot each mobile device (MD) with a task selects the device that executes it and that device's CPU mode.
Choices of the model where the paper is silent or gives no well-posed problem (for values see `scenario`):

=================  ==================================================================================================
what               choice and reason
=================  ==================================================================================================
receivers          each has a band of its own, edge devices too ("identical bandwidth to each receiver")
(1) to (4)         the rate follows from the mean SNR, success from its Rayleigh fading: ``exp(-threshold / SNR)``. The
                   threshold lets a lone transmission over the D2D reach succeed with 0.9; on fewer subchannels there
                   is less noise, so that crowded receivers are slower and surer
not sent           a disconnected device sends nothing, nor does one whose target is disconnected, a mobile device out
                   of reach, or one with more transmitters than subchannels: the task is dropped
lost               a signal that fades was sent: its energy is spent, nothing is received
queues             tasks take their place by (slot, arrival, number of the device) when they are planned, and keep it
(9)                cycles left at the deadline run in the fastest mode. Nothing else punishes lateness
(11)               the static power is proportional to the dynamic one; both together are the processor's rated power
                   (25 W, 95 W) in the fastest mode, so that the static factor drops out. Both cores of an edge device
                   do one task at one frequency: twice the cycles at the power of the package
batteries          energy is booked when a task is planned: first what the slot's transmitters send, then task by task
                   as they queue. A device with too little spends what it has, and the task fails there. 500 J, half to
                   completely full at first: large ones are never empty within 100 slots (50 tasks of 10 J), and
                   batteries that are equally full leave little to share
failure            drop, empty battery, or, for tasks done elsewhere, a disconnection of the target or the owner in any
                   slot until the task is finished, within the horizon. The target works for nothing then. A
                   disconnected device can execute its own tasks
observation        a battery without what is booked; 0 of a disconnected device, also of oneself (Section II-A)
(12), (13)         with each piece's mean level, as printed: within a piece the level does not deviate. A typical task
                   takes 2 % of a battery, and its damage is 2 % less than by Millner's integral
(14)               ``I tau / (2 Q) = E / (2 E_max)`` at the nominal voltage
(18)               ``T_max / T_longest`` times all energy spent on the task, in vain or not
=================  ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Batch, Decisions, FloatArray, Instances, IntArray, Observation, Outcome, State
from offloadopt.physics.fifo import CHOSEN, PIECES, RECEIVE, WAIT, Jobs, Runs, serve
from offloadopt.pictures.gantt import Timeline
from offloadopt.problems.battery_d2d import structure
from offloadopt.problems.battery_d2d.devices import DeviceModel
from offloadopt.problems.battery_d2d.scenario import BatteryD2DScenario
from offloadopt.problems.battery_d2d.transmissions import Transmissions, of_device, transmit
from offloadopt.quantities import Bits, Cycles, Seconds
from offloadopt.structures.actions import Allowed
from offloadopt.structures.task_queues import ExpectedCosts, HindsightData, TaskQueueProblem

KINDS = 3
"""Kinds of tasks: real-time, interactive, and delay-tolerant."""
DEVICE_FEATURES = ("transmitters_before", "battery", "backlog", "connected")
"""Features of targets that are the same for every observing device."""


class BatteryD2D(DeviceModel, TaskQueueProblem[BatteryD2DScenario]):
    """Targets and CPU modes for the tasks of ``users`` mobile devices over ``horizon`` slots.

    Devices are numbered: mobile devices 0 to users - 1, then the edge devices. A target is seen from its device: 0 is
    the device itself, 1 to users - 1 are the other mobile devices, the nearest first, then the edge devices.

    Instance arrays: ``position_m [count, users, 2]``, ``start_j [count, devices]``; per slot
    ``[count, horizon, users]`` ``arrives`` (0 or 1), ``bits``, ``cycles``, ``deadline_s``, ``kind`` (1 to 3) and
    ``link_draw`` (a transmission succeeds where it is below the probability of success);
    ``connected [count, horizon, devices]`` (0 or 1). Decision arrays: ``target``, ``mode [count, horizon, users]``;
    they count where a task arrives.

    Metrics are sums over tasks, booked in the slot that plans them: counts (``tasks``, ``failures``, ``drops``,
    ``late``, by kind ``tasks_1``, ``finished_1``), ``delay_1_s`` of finished tasks, energies, ``degradation`` in
    battery lives, and the four terms of the cost, from ``cost_energy`` to ``cost_degradation``.
    """

    name = "battery_d2d"
    scenario_type = BatteryD2DScenario
    main_metrics = (
        "tasks",
        "failures",
        "drops",
        "late",
        "delay_1_s",
        "delay_2_s",
        "delay_3_s",
        "energy_j",
        "degradation",
    )
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "paper": ("arrives", "bits", "cycles", "deadline", "kind", "distance", "transmitters_before", "battery"),
        "full": (
            *("arrives", "bits", "cycles", "deadline", "kind", "distance", "transmitters_before", "battery"),
            *("backlog", "connected"),
        ),
    }

    @cached_property
    def instance_fields(self) -> Mapping[str, ArrayField]:
        """Places, batteries, tasks, connections and the draws of fading."""
        s, each = self.scenario, (self.num_agents,)
        return {
            "position_m": ArrayField((s.users, 2), low=0.0, high=s.room_m, unit="m", per_slot=False).named(
                "where each mobile device is; edge devices stand in the middle of the room", "users", "x y"
            ),
            "start_j": ArrayField((self.devices,), low=0.0, high=s.battery_j, unit="J", per_slot=False).named(
                "energy in each battery at the begin, mobile devices first, then edge devices", "devices"
            ),
            "arrives": ArrayField(each, low=0, high=1, integer=True).named("1 where a task arrives", "users"),
            "bits": ArrayField.of(Bits, each, low=0.0).named("size of the task", "users"),
            "cycles": ArrayField.of(Cycles, each, low=0.0).named("CPU cycles of the task", "users"),
            "deadline_s": ArrayField.of(Seconds, each, low=0.0).named("deadline, from the slot's begin", "users"),
            "kind": ArrayField(each, low=1, high=KINDS, integer=True).named(
                "1 real-time, 2 interactive, 3 delay-tolerant", "users"
            ),
            "connected": ArrayField((self.devices,), low=0, high=1, integer=True).named(
                "1 where the device is connected, 0 where the disaster cut it off", "devices"
            ),
            "link_draw": ArrayField(each, low=0.0, high=1.0).named(
                "fading: a transmission succeeds where this is below its probability of success", "users"
            ),
        }

    @cached_property
    def decision_fields(self) -> Mapping[str, ArrayField]:
        """Target of each task, and the mode of the target's CPU."""
        return {
            "target": ArrayField((self.num_agents,), low=0, high=self.devices - 1, integer=True),
            "mode": ArrayField((self.num_agents,), low=0, high=self.modes - 1, integer=True),
        }

    @cached_property
    def observation_fields(self) -> Mapping[str, ArrayField]:
        """Observation of a mobile device: its task, and the state of every target; 0 where there is no task."""
        s, each, targets = self.scenario, (self.num_agents,), (self.num_agents, self.devices)
        return {
            "arrives": ArrayField(each, low=0, high=1, integer=True),
            "bits": ArrayField(each, low=0.0, unit="bit"),
            "cycles": ArrayField(each, low=0.0, unit="cycle"),
            "deadline_s": ArrayField(each, low=0.0, unit="s"),
            "kind": ArrayField(each, low=0, high=KINDS, integer=True),
            "distance_m": ArrayField(targets, low=0.0, unit="m"),
            "transmitters_before": ArrayField(targets, low=0, high=s.users, integer=True),
            "battery_j": ArrayField(targets, low=0.0, high=s.battery_j, unit="J"),
            "backlog_s": ArrayField(targets, low=0.0, unit="s"),
            "connected": ArrayField(targets, low=0, high=1, integer=True),
        }

    # ----------------------------------------------------------------------------------------------------- instances

    def sample(self, count: int, seed: int) -> Instances:
        """Sample uniform positions and batteries, and tasks and disconnections slot by slot."""
        self.check_sample(count, seed)
        s = self.scenario
        # One stream per array, so that a longer sample begins with the shorter one.
        streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(9)]
        place, start, arrival, bits, cycles, deadline, kind, connection, link = streams
        shape = (count, s.horizon, s.users)
        kinds = kind.integers(1, KINDS + 1, size=shape)
        shortest, longest = np.asarray(s.deadline_min_s)[kinds - 1], np.asarray(s.deadline_max_s)[kinds - 1]
        connected = connection.random((count, s.horizon, self.devices)) >= s.disconnect_chance
        return Instances(
            {
                "position_m": place.uniform(0.0, s.room_m, size=(count, s.users, 2)),
                "start_j": s.battery_j * start.uniform(s.start_share, 1.0, size=(count, self.devices)),
                "arrives": (arrival.random(shape) < s.task_chance).astype(np.int64),
                "bits": bits.uniform(s.bits_min, s.bits_max, size=shape),
                "cycles": cycles.uniform(s.cycles_min, s.cycles_max, size=shape),
                "deadline_s": shortest + (longest - shortest) * deadline.random(shape),
                "kind": kinds,
                "connected": connected.astype(np.int64),
                "link_draw": link.random(shape),
            }
        )

    def device(self, instances: Instances, target: IntArray) -> IntArray:
        """Convert targets ``[count, ..., users]`` to device numbers."""
        order = self.targets(instances)[0]
        order = order.reshape(len(order), *(1,) * (target.ndim - 2), *order.shape[1:])
        return np.asarray(np.take_along_axis(order, target[..., None], axis=-1)[..., 0])

    def target(self, instances: Instances, device: IntArray) -> IntArray:
        """Convert device numbers ``[count, ..., users]`` to targets of their users."""
        target_of = np.argsort(self.targets(instances)[0], axis=-1)
        target_of = target_of.reshape(len(target_of), *(1,) * (device.ndim - 2), *target_of.shape[1:])
        return np.asarray(np.take_along_axis(target_of, device[..., None], axis=-1)[..., 0])

    # ---------------------------------------------------------------------------------------------------- evaluation

    def reset(self, instances: Instances) -> State:
        """Start with empty queues; the state holds each device's next disconnection, which fails tasks of others."""
        count = instances.count
        device, distance = self.targets(instances)
        values = {
            "device": device,
            "distance_m": distance,
            "next_down": self.next_down(instances),
            "battery_j": instances["start_j"],
            "free_s": np.zeros((count, self.devices)),
            "transmitters_before": np.zeros((count, self.devices), dtype=np.int64),
        }
        return State(0, Batch(values))

    def observe(self, instances: Instances, state: State) -> Observation:
        """Return the slot's tasks, and each mobile device's targets in its own order."""
        slot, values, device = state.slot, state.values, state.values["device"]
        arrives, connected = instances["arrives"][:, slot], instances["connected"][:, slot]
        backlog = np.maximum(values["free_s"] - slot * self.scenario.slot_s, 0.0)
        return Observation(
            {
                "arrives": arrives,
                **{name: instances[name][:, slot] * arrives for name in ("bits", "cycles", "deadline_s", "kind")},
                "distance_m": values["distance_m"],
                "transmitters_before": _by_target(values["transmitters_before"], device),
                "battery_j": _by_target(values["battery_j"] * connected, device),
                "backlog_s": _by_target(backlog, device),
                "connected": _by_target(connected, device),
            }
        )

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        """Process the slot's tasks; the outcome of each, however late, is determined and charged now."""
        outcome, runs, sent, _ = self._processed(instances, state, decision)
        following = {"battery_j": runs.battery_j, "free_s": runs.free_s, "transmitters_before": sent.transmitters}
        return State(state.slot + 1, Batch({**state.values, **following})), outcome

    def _processed(
        self, instances: Instances, state: State, decision: Decisions
    ) -> tuple[Outcome, Runs, Transmissions, NDArray[np.bool_]]:
        """Process the slot's tasks: the outcome, executions, transmissions, and which tasks fail."""
        s, slot, values = self.scenario, state.slot, state.values
        now = Batch({name: instances[name][:, slot] for name, spec in self.instance_fields.items() if spec.per_slot})
        begin_s, tasks, mode = slot * s.slot_s, now["arrives"] == 1, decision["mode"]
        sent = transmit(self, now, values, decision["target"])
        here = tasks & (decision["target"] == 0)

        battery_j = np.array(values["battery_j"])
        battery_j[:, : s.users] -= sent.energy_j
        receive_s = np.where(sent.received, sent.seconds, 0.0)
        (speed_hz, mode_w), (full_hz, full_w) = self.speeds(sent.cellular, mode), self.speeds(sent.cellular, 0)
        jobs = Jobs(
            device=np.where(here | sent.received, sent.device, -1),
            arrival_s=begin_s + receive_s,
            deadline_s=begin_s + now["deadline_s"],
            cycles=now["cycles"],
            speed_hz=speed_hz,
            power_w=mode_w,
            full_hz=full_hz,
            full_w=full_w,
            receive_s=receive_s,
            receive_w=sent.power_w,
        )
        runs = serve(jobs, values["free_s"], battery_j)  # (7) to (11)

        last_slot = np.maximum(np.ceil(runs.finish_s / s.slot_s) - 1.0, slot)
        next_down = values["next_down"][:, slot]
        down = np.minimum(next_down[:, : s.users], of_device(next_down, sent.device)) <= last_slot
        failed = tasks & ~(here | sent.received) | runs.exhausted | (sent.received & down)

        # A battery that receives waits with the task; at home the task begins with its execution.
        seconds = np.where((np.arange(PIECES) == WAIT) & here[..., None], 0.0, runs.seconds)
        sending = self.damage(values["battery_j"][:, : s.users], sent.energy_j[..., None], sent.seconds[..., None])
        doing = self.damage(runs.before_j, runs.energy_j, seconds)
        outcome = self._charge(now, sent, runs, failed, runs.finish_s - begin_s, sending + doing)  # (19)
        return outcome, runs, sent, failed

    def timeline(self, instances: Instances, decisions: Decisions) -> Timeline:
        """Return the executions of one instance's tasks, and the batteries at the slots' begins."""
        slot_s, state, slots = self.scenario.slot_s, self.reset(instances), []
        battery_j = [state.values["battery_j"][0]]
        for slot in range(self.horizon):
            decision = decisions if self.horizon == 1 else decisions.at_slot(slot)
            _, runs, sent, failed = self._processed(instances, state, decision)
            run_s = runs.seconds[0, :, CHOSEN:].sum(axis=-1)
            ran = run_s > 0
            end_s = np.where(ran, runs.finish_s[0], slot * slot_s)
            deadline_s = slot * slot_s + instances["deadline_s"][0].reshape(self.horizon, -1)[slot]
            tasks = instances["arrives"][0].reshape(self.horizon, -1)[slot] == 1
            late = tasks & ~failed[0] & (end_s > deadline_s)
            owner = np.arange(self.num_agents)
            device = np.where(ran, sent.device[0], -1)
            slots.append([each[tasks] for each in (device, owner, end_s - run_s * ran, end_s, failed[0], late)])
            state, _ = self.step(instances, state, decision)
            battery_j.append(state.values["battery_j"][0])
        device, owner, begin_s, end_s, failed, late = (np.concatenate(each) for each in zip(*slots, strict=True))
        return Timeline(device, owner, begin_s, end_s, failed, late, np.stack(battery_j), slot_s)

    def _charge(
        self,
        now: Batch,
        sent: Transmissions,
        runs: Runs,
        failed: NDArray[np.bool_],
        delay_s: FloatArray,
        degradation: FloatArray,
    ) -> Outcome:
        """Compute the cost (20) of the slot's tasks, its terms, and the metrics."""
        s, tasks = self.scenario, now["arrives"] == 1
        finished = tasks & ~failed
        receive_j, execute_j = runs.energy_j[..., RECEIVE], runs.energy_j[..., CHOSEN:].sum(axis=-1)
        energy_j = sent.energy_j + receive_j + execute_j
        prioritised_j = now["deadline_s"] / self.longest_deadline_s * energy_j  # (18)
        terms = {
            "cost_energy": s.energy_weight * prioritised_j,
            "cost_failures": s.failure_weight * failed,
            "cost_drops": s.drop_weight * sent.dropped,
            "cost_degradation": s.ageing_weight * degradation,
        }
        cost = np.sum(list(terms.values()), axis=0)  # (20)
        metrics = {
            "tasks": tasks,
            "failures": failed,
            "drops": sent.dropped,
            "late": finished & (delay_s > now["deadline_s"]),
            "energy_j": energy_j,
            "transmit_j": sent.energy_j,
            "receive_j": receive_j,
            "execute_j": execute_j,
            "prioritised_energy_j": prioritised_j,
            "degradation": degradation,
            **terms,
        }
        for kind in range(1, KINDS + 1):
            of_kind = now["kind"] == kind
            metrics[f"tasks_{kind}"] = tasks & of_kind
            metrics[f"finished_{kind}"] = finished & of_kind
            metrics[f"delay_{kind}_s"] = np.where(finished & of_kind, delay_s, 0.0)
        summed = {name: np.asarray(amount, dtype=np.float64).sum(axis=-1) for name, amount in metrics.items()}
        return Outcome(cost.sum(axis=-1), cost, {}, summed)

    # ----------------------------------------------------------------------------------------------------- structure

    def allowed(self, observation: Observation) -> Allowed:
        """Return the allowed targets (within reach) and modes; without a task the first of both, as neither matters."""
        there = (observation["arrives"] == 1)[..., None]
        target, mode = self.within_reach(observation) & there, np.repeat(there, self.modes, axis=-1)
        target[..., 0] = mode[..., 0] = True
        return {"target": target, "mode": mode}

    def choose(self, target: IntArray, mode: IntArray) -> Decisions:
        """Return the decisions for targets and modes ``[count, ..., users]``."""
        return Decisions({"target": target, "mode": mode})

    def expected_costs(self, observation: Observation) -> ExpectedCosts:
        """Compute the expected cost of each target and mode (see `structure`)."""
        return structure.expected_costs(self, observation)

    def hindsight_data(self, instances: Instances) -> HindsightData:
        """Return all tasks, links and disconnections of instances (see `structure`)."""
        return structure.hindsight_data(self, instances)

    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        """Compute features ``[count, users]`` and ``[count, users, targets or kinds]``, as shares of the largest."""
        s = self.scenario
        return {
            "arrives": observation["arrives"].astype(np.float64),
            "bits": observation["bits"] / s.bits_max,
            "cycles": observation["cycles"] / s.cycles_max,
            "deadline": observation["deadline_s"] / self.longest_deadline_s,
            "kind": (observation["kind"][..., None] == np.arange(1, KINDS + 1)).astype(np.float64),
            "distance": observation["distance_m"][..., 1:] / s.d2d_m,  # the own device's distance is always 0
            "transmitters_before": observation["transmitters_before"] / s.subchannels,
            "battery": observation["battery_j"] / s.battery_j,
            "backlog": np.log1p(observation["backlog_s"]),
            "connected": observation["connected"].astype(np.float64),
        }

    def global_view(self, observation: Observation, name: str) -> FloatArray:
        """Return the union of the agents' observations: each device's state once, distances of every agent."""
        features, parts = self.features(observation), []
        for feature in self.view_features(name):
            values = features[feature]
            if feature in DEVICE_FEATURES:
                values = np.concatenate([values[..., 0], values[:, 0, self.num_agents :]], axis=-1)
            parts.append(values.reshape(len(values), -1))
        return np.concatenate(parts, axis=-1)


def _by_target(values: NDArray[Any], device: IntArray) -> NDArray[Any]:
    """Arrange ``values [count, devices]`` in the order of targets, ``[count, users, devices]``."""
    return np.take_along_axis(values[:, None], device, axis=-1)
