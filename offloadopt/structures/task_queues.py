"""Agents whose tasks queue at devices that live on batteries: whom a task is given to, and how fast it is done there.

What rules and plans need to know of such a problem. Targets are seen from the agent: the first is the agent's own
device, the last are devices that have no tasks of their own. Plans speak of devices instead, which are the same for
all: the agents' own ones first, in their order.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, FloatArray, Instances, IntArray, Observation, ScenarioT
from offloadopt.physics.ageing import Ageing
from offloadopt.structures.agents import AgentProblem

NO_AGEING = Ageing(per_cycle=0.0, deviation=1.0, level=0.0)
"""Batteries whose use takes nothing of their life."""


@dataclass(frozen=True)
class ExpectedCosts:
    """What each option of a slot's tasks is expected to come to, as far as the agent's own row tells.

    Expected over what the agent cannot see: fading, and disconnections to come. It supposes that nobody else sends
    anything. Arrays are ``[count, agents, targets, modes]``.

    Attributes
    ----------
    cost : array
        Expected cost; ``inf`` where the option is not allowed.
    own_j, target_j : array
        Expected energy that sending takes from the agent's own battery, and the rest, that the target's gives.
    used_share : array [count, agents, targets]
        Share of its capacity that is missing in each target's battery, 1 where it cannot be seen.
    """

    cost: FloatArray
    own_j: FloatArray
    target_j: FloatArray
    used_share: FloatArray


@dataclass(frozen=True)
class HindsightData:
    """All tasks of whole instances, with what becomes of them wherever they are sent.

    A task that is sent takes ``send_s`` at ``link_w``, from the battery of its agent, and from the device's battery if
    it is received. Tasks queue in the order of (slot, arrival, agent). Execution begins once the device has done all
    that queued before; cycles that are left at the deadline run in the fastest mode. A device whose battery ends fails
    this task and all after it, and spends what is left. Energy that a slot's tasks need to be sent is booked first.

    Attributes
    ----------
    arrives : bool array [count, horizon, agents]
    begin_s : array [horizon]
        When each slot begins.
    deadline_s : array [count, horizon, agents]
        Instant from which on a task is hurried.
    cycles : array [count, horizon, agents]
    joule_price : array [count, horizon, agents]
        Cost of a joule that is spent on the task.
    linked : bool array [count, horizon, agents, devices]
        To whom a task can be sent; not to oneself.
    send_s : array [count, horizon, agents, devices, agents]
        By how many (1, 2, ...) send to the device in this slot; ``inf`` where that is too many: the task is dropped.
    received : bool array [count, horizon, agents, devices, agents]
        Whether it arrives; if not, it is dropped after all was sent.
    until_s : array [count, horizon, agents, devices]
        A task that is sent and finished later than this has failed; ``inf`` if never.
    link_w : array [devices]
        Power of sending to a device, and of its reception.
    speed_hz, power_w : array [devices, modes]
        The fastest mode first.
    start_j : array [count, devices]
    capacity_j : float
    ageing : Ageing
    ageing_price : float
        Cost of a battery's life.
    failure_cost, drop_cost : float
        Of a failed task, and what a dropped one costs in addition.
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
        """Speeds of each device."""
        return int(self.speed_hz.shape[1])


class TaskQueueProblem(AgentProblem[ScenarioT]):
    """Agents that give their tasks to devices with queues and batteries.

    What becomes of a slot's tasks is settled in that slot: ``agent_cost`` of a step is what each agent's task costs.
    """

    @property
    @abstractmethod
    def devices(self) -> int:
        """Number of targets of a task."""

    @property
    @abstractmethod
    def modes(self) -> int:
        """Speeds to choose from, the fastest first."""

    @abstractmethod
    def expected_costs(self, observation: Observation) -> ExpectedCosts:
        """What each option is expected to come to."""

    @abstractmethod
    def choose(self, target: IntArray, mode: IntArray) -> Decisions:
        """The decisions for targets and modes ``[count, ..., agents]``."""

    @abstractmethod
    def device(self, instances: Instances, target: IntArray) -> IntArray:
        """The devices that targets ``[count, ..., agents]`` stand for."""

    @abstractmethod
    def target(self, instances: Instances, device: IntArray) -> IntArray:
        """The targets that devices ``[count, ..., agents]`` are to their agents."""

    @abstractmethod
    def hindsight_data(self, instances: Instances) -> HindsightData:
        """The whole horizon, for who knows the future."""
