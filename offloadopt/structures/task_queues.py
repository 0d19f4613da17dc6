"""Structure of task queues: the target device and CPU mode of each task, on battery-powered devices with queues.

Online rules use `ExpectedCosts`, planning in hindsight uses `HindsightData`. Targets are numbered relative to the
agent: the first is the agent's own device, the last are devices without tasks of their own. Hindsight data number
devices absolutely: the agents' own devices first, in their order.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, FloatArray, Instances, IntArray, Observation, ScenarioT, Table
from offloadopt.core.tables import task_table
from offloadopt.physics.ageing import Ageing
from offloadopt.pictures import Panel
from offloadopt.pictures.gantt import Timeline, draw_gantt
from offloadopt.pictures.over_slots import draw_lines
from offloadopt.structures.agents import AgentProblem

NO_AGEING = Ageing(per_cycle=0.0, deviation=1.0, level=0.0)
"""Ageing model of batteries without ageing."""


@dataclass(frozen=True)
class ExpectedCosts:
    """Expected cost of each option of a slot's tasks, given the agent's own row of the observation.

    The expectation is over unobserved randomness (fading, later disconnections), with no other agent transmitting.
    Arrays are ``[count, agents, targets, modes]``.

    Attributes
    ----------
    cost : array
        Expected cost; ``inf`` where the option is not allowed.
    own_j, target_j : array
        Expected energy in J of the transmission, from the agent's own battery, and of all else, from the target's.
    used_share : array [count, agents, targets]
        Missing charge of each target's battery relative to its capacity, 1 where it is not observed.
    """

    cost: FloatArray
    own_j: FloatArray
    target_j: FloatArray
    used_share: FloatArray


@dataclass(frozen=True)
class HindsightData:
    """All tasks of whole instances, with the outcome of each possible transmission.

    A transmission takes ``send_s`` seconds at ``link_w``, from the battery of the agent, and likewise from the device's
    battery if the task is received. Tasks queue in the order of (slot, arrival, agent). Execution begins when the
    device has executed all tasks queued before; cycles left at the deadline run in the fastest mode. When a device's
    battery is exhausted, this task and all later ones fail there, and the remaining energy is spent. The energy of a
    slot's transmissions is booked before that of its executions.

    Attributes
    ----------
    arrives : bool array [count, horizon, agents]
    begin_s : array [horizon]
        Begin of each slot in s.
    deadline_s : array [count, horizon, agents]
        Time in s from which a task runs in the fastest mode.
    cycles : array [count, horizon, agents]
    joule_price : array [count, horizon, agents]
        Cost of a joule spent on the task.
    linked : bool array [count, horizon, agents, devices]
        Devices to which a task can be sent, without the agent's own.
    send_s : array [count, horizon, agents, devices, agents]
        Transmission time in s by the number (1, 2, ...) of agents that send to the device in this slot; ``inf`` for too
        many: the task is dropped.
    received : bool array [count, horizon, agents, devices, agents]
        Whether the transmission succeeds, likewise; if not, the task is dropped after the whole transmission.
    until_s : array [count, horizon, agents, devices]
        Time in s after which an offloaded task can no longer be finished; ``inf`` for no limit.
    link_w : array [devices]
        Power in W of a transmission to a device, and of its reception.
    speed_hz, power_w : array [devices, modes]
        Speed in cycles/s and power in W of CPU modes, the fastest first.
    start_j : array [count, devices]
        Initial energies of batteries in J.
    capacity_j : float
        Capacity of every battery in J.
    ageing : Ageing
        Ageing model of every battery.
    ageing_price : float
        Cost of a whole battery life.
    failure_cost, drop_cost : float
        Cost of a failed task, and additional cost of a dropped one.
    """

    arrives: NDArray[np.bool_]
    begin_s: FloatArray
    deadline_s: FloatArray
    cycles: FloatArray
    joule_price: FloatArray
    linked: NDArray[np.bool_]
    send_s: FloatArray
    received: NDArray[np.bool_]
    until_s: FloatArray
    link_w: FloatArray
    speed_hz: FloatArray
    power_w: FloatArray
    start_j: FloatArray
    capacity_j: float
    failure_cost: float
    drop_cost: float = 0.0
    ageing: Ageing = NO_AGEING
    ageing_price: float = 0.0

    @property
    def num_agents(self) -> int:
        """Number of agents, each with a device."""
        return int(self.arrives.shape[2])

    @property
    def devices(self) -> int:
        """Number of devices."""
        return len(self.link_w)

    @property
    def modes(self) -> int:
        """Number of CPU modes of each device."""
        return int(self.speed_hz.shape[1])


class TaskQueueProblem(AgentProblem[ScenarioT]):
    """Offloading of agents' tasks to devices with queues and batteries.

    The outcome of a slot's tasks is computed in that slot: ``agent_cost`` of a step is the whole cost of each agent's
    task, also where it is executed later.
    """

    @property
    @abstractmethod
    def devices(self) -> int:
        """Number of targets of a task."""

    @property
    @abstractmethod
    def modes(self) -> int:
        """Number of CPU modes, the fastest first."""

    @abstractmethod
    def expected_costs(self, observation: Observation) -> ExpectedCosts:
        """Compute the expected cost of each option."""

    def device_names(self) -> NDArray[np.str_]:
        """Return the devices' names ``[devices]`` for display: those of agents, then the others."""
        agents, others = self.num_agents, self.devices - self.num_agents
        return np.array([*(f"device {n}" for n in range(agents)), *(f"edge {n}" for n in range(others))])

    def table(self, instances: Instances, decisions: Decisions) -> Table:
        """Tell which device executes each task that arrives, in which mode, and what it costs."""
        target, mode = self.targets_and_modes(decisions)
        device = self.device(instances, target)[0].reshape(self.horizon, self.num_agents)
        own = device == np.arange(self.num_agents)
        arrives = self.hindsight_data(instances).arrives[0]
        table = task_table(
            self,
            instances,
            decisions,
            "agent",
            (),
            where=np.where(own, "itself", self.device_names()[device]),
            rows=arrives,
        )
        mode_of = mode[0].reshape(self.horizon, self.num_agents)[arrives]
        columns = dict(table.columns)
        cost = columns.pop("cost")
        return Table({**columns, "mode": mode_of, "cost": cost}, table.counted, "tasks")

    def timeline(self, instances: Instances, decisions: Decisions) -> Timeline | None:
        """Return when which device executes each task of one instance; None where the problem does not tell."""
        return None

    def panels(self, instances: Instances, decisions: Decisions) -> list[Panel]:
        """Draw when which device executes whose task, and the energy in the batteries below."""
        timeline = self.timeline(instances, decisions)
        if timeline is None:
            return super().panels(instances, decisions)
        names = self.device_names().tolist()
        batteries = {name: timeline.battery_j[:, n] for n, name in enumerate(names)}
        gantt = partial(draw_gantt, timeline=timeline, devices=names, owners=self.num_agents)
        return [
            Panel("gantt", "Which device executes whose task when", gantt, 0.6 + 0.32 * self.devices),
            Panel(
                "batteries", "Energy in the batteries", partial(draw_lines, series=batteries, unit="J", at_borders=True)
            ),
        ]

    def targets_and_modes(self, decisions: Decisions) -> tuple[IntArray, IntArray]:
        """Return targets and modes ``[count, ..., agents]`` of decisions, by default the arrays of these names."""
        return decisions["target"], decisions["mode"]

    @abstractmethod
    def choose(self, target: IntArray, mode: IntArray) -> Decisions:
        """Return the decisions for targets and modes ``[count, ..., agents]``."""

    @abstractmethod
    def device(self, instances: Instances, target: IntArray) -> IntArray:
        """Return the device numbers of targets ``[count, ..., agents]``."""

    @abstractmethod
    def target(self, instances: Instances, device: IntArray) -> IntArray:
        """Return the targets of device numbers ``[count, ..., agents]``, relative to the agents."""

    @abstractmethod
    def hindsight_data(self, instances: Instances) -> HindsightData:
        """Return the data of the whole horizon, for planning in hindsight."""
