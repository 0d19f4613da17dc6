"""Structure that problems share and solvers exploit: tasks that choose servers, agents that empty buffers.

A solver asks for the weakest structure it can use, never for a problem by name.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from offloadopt.controls import Allowed, Controls, DirectControls, EnergyControls
from offloadopt.core import Decisions, FloatArray, Instances, IntArray, Observation, Problem, ScenarioT
from offloadopt.errors import UnknownName, Unsupported, nearest
from offloadopt.physics.service import Device, Service

if TYPE_CHECKING:
    from offloadopt.physics.partial import Splitting


class AssignmentCosts(Protocol):
    """What every assignment of a batch of instances costs once all continuous decisions are optimal."""

    def cost(self, assignment: IntArray) -> FloatArray:
        """Cost ``[count, ...]`` of assignments ``[count, ..., tasks]``."""

    def take(self, rows: Any) -> Self:
        """The chosen instances."""


class AssignmentProblem(Problem[ScenarioT]):
    """Each task chooses one option; everything continuous follows optimally from the assignment.

    Option 0 computes locally, option ``j >= 1`` on server ``j``; where a server can be used in several ways, each of
    them counts as a server here. All methods take the observation of one slot, which
    for a one-shot problem holds the same arrays as the instance.
    """

    ties_decisions: ClassVar[bool] = False
    """Whether an option ties continuous decisions to each other, so that no single one of them is free."""

    @property
    @abstractmethod
    def tasks(self) -> int:
        """Number of tasks in one slot."""

    @property
    @abstractmethod
    def servers(self) -> int:
        """Number of servers; a task has ``servers + 1`` options."""

    @abstractmethod
    def assignment(self, decisions: Decisions) -> IntArray:
        """[count, tasks] the options that decisions choose."""

    @abstractmethod
    def allocate(self, observation: Observation | Instances, assignment: IntArray) -> Decisions:
        """The optimal continuous decisions for an assignment ``[count, tasks]``."""

    @abstractmethod
    def costs(self, observation: Observation | Instances) -> AssignmentCosts:
        """The cost of any assignment, prepared for many evaluations."""

    @abstractmethod
    def server_view(self, observation: Observation | Instances) -> FloatArray:
        """[count, servers, features] what the agent on each server can measure by itself."""

    @abstractmethod
    def affinity(self, observation: Observation | Instances) -> FloatArray:
        """[count, tasks, servers] link quality scaled to [0, 1] over each task's links."""

    @abstractmethod
    def nearest(self, observation: Observation | Instances) -> IntArray:
        """[count, tasks] the option (1 to servers) of each task's nearest server."""

    @abstractmethod
    def demand(self, observation: Observation | Instances) -> tuple[FloatArray, FloatArray]:
        """Demand ``[count, tasks]`` and each server's capacity ``[servers]`` in one unit, for admission rules."""


@dataclass(frozen=True)
class PricedAssignment:
    """Assignment costs in which servers charge for load: ``sum_i c[i, a_i] + sum_j L_j^2 / F_j``.

    ``L_j`` is the sum of ``s_i`` over the tasks on server j. This is what optimal sharing of a capacity ``F_j`` among
    tasks that cost ``s_i^2 / f_i`` comes to (Cauchy-Schwarz: ``f_i = F_j s_i / L_j``). A server's price enters as its
    root ``v_j`` (at the optimum ``L_j / F_j``): ``L^2/F >= 2 v L - F v^2`` holds for every ``v``, so that each vector
    of prices gives a lower bound which is linear in the assignment.

    Attributes
    ----------
    option_cost : array [count, tasks, servers + 1]
        Cost of each option without the load; ``inf`` marks an option that does not exist. Option 0 loads no server.
    load : array [count, tasks]
        ``s_i > 0``, the load of a task wherever it is offloaded.
    capacity : array [count, servers]
        ``F_j > 0``.
    """

    option_cost: FloatArray
    load: FloatArray
    capacity: FloatArray

    @property
    def count(self) -> int:
        """Number of instances."""
        return len(self.load)

    def loads(self, assignment: IntArray) -> FloatArray:
        """[count, ..., servers] the load that assignments ``[count, ..., tasks]`` put on each server."""
        middle = (1,) * (assignment.ndim - 2)
        tasks, servers = self.option_cost.shape[1], self.capacity.shape[1]
        load = self.load.reshape(self.count, *middle, tasks)
        return np.stack([np.sum(load * (assignment == j), axis=-1) for j in range(1, servers + 1)], axis=-1)

    def cost(self, assignment: IntArray) -> FloatArray:
        """Cost ``[count, ...]`` of assignments ``[count, ..., tasks]``."""
        middle = (1,) * (assignment.ndim - 2)
        options = self.option_cost.reshape(self.count, *middle, *self.option_cost.shape[1:])
        chosen = np.take_along_axis(options, assignment[..., None], axis=-1)[..., 0]
        capacity = self.capacity.reshape(self.count, *middle, self.capacity.shape[1])
        return np.asarray(chosen.sum(axis=-1) + np.sum(self.loads(assignment) ** 2 / capacity, axis=-1))

    def take(self, rows: slice | IntArray | NDArray[np.bool_]) -> PricedAssignment:
        """The chosen instances."""
        return PricedAssignment(self.option_cost[rows], self.load[rows], self.capacity[rows])


class PricedAssignmentProblem(AssignmentProblem[ScenarioT]):
    """An assignment problem whose costs are a `PricedAssignment`."""

    @abstractmethod
    def costs(self, observation: Observation | Instances) -> PricedAssignment:
        """The priced form of the whole one-shot problem."""


class SlotwiseProblem(AssignmentProblem[ScenarioT]):
    """A horizon of assignments that have nothing to do with each other once nature is known.

    Whoever knows whole instances decides their slots one by one, as instances of `one_slot`.
    """

    @property
    @abstractmethod
    def one_slot(self) -> Self:
        """The same problem with a single slot."""

    def slots(self, instances: Instances) -> Instances:
        """All slots of all instances as instances of `one_slot`, instance by instance."""
        return Instances({name: array.reshape(-1, *array.shape[2:]) for name, array in instances.items()})


class AgentProblem(Problem[ScenarioT]):
    """Agents that decide for themselves: every array of a slot's observation and decision leads with the agents.

    What agent i may know is row i of the observation, so that whoever reads rows alone decides without a centre.
    """

    views: ClassVar[Mapping[str, tuple[str, ...]]]
    """What an agent's policy may read, as names of `features`; the first view is the paper's."""

    @abstractmethod
    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        """Numbers of order one, each from the agent's own row of the observation.

        A feature is one number ``[count, agents]`` or several ``[count, agents, numbers]``.
        """

    @cached_property
    def controls(self) -> Mapping[str, Controls]:
        """In what terms an agent's policy may decide; the first is the decision itself."""
        return {"decision": DirectControls(self.decision_fields, self.allowed)}

    def allowed(self, observation: Observation) -> Allowed:
        """Which options ``[count, agents, options]`` of the decision's whole numbers can be chosen; here all.

        A problem still says what an option costs that is chosen all the same.
        """
        return {}

    def view(self, observation: Observation, name: str) -> FloatArray:
        """[count, agents, numbers] of a view."""
        features = self.features(observation)
        seen = [features[feature] for feature in self.view_features(name)]
        return np.concatenate([part if part.ndim == 3 else part[..., None] for part in seen], axis=-1)

    def view_size(self, name: str) -> int:
        """Numbers in a view."""
        return int(self.view(self.empty_observation(), name).shape[-1])

    def whole_view(self, observation: Observation, name: str) -> FloatArray:
        """[count, numbers] what a centre sees that sees all agents' views; here these in a row."""
        view = self.view(observation, name)
        return view.reshape(len(view), -1)

    def empty_observation(self) -> Observation:
        """An observation of zeros, to see what views look like."""
        return Observation({name: np.zeros((1, *field.shape)) for name, field in self.observation_fields.items()})

    def controls_named(self, name: str | None) -> Controls:
        """The controls of a name, the decision itself for none; an unknown one is refused with the nearest known."""
        if name is None:
            return next(iter(self.controls.values()))
        if name not in self.controls:
            raise UnknownName(f"no controls {name!r} of {self.name}; {nearest(name, self.controls)}")
        return self.controls[name]

    def view_features(self, name: str) -> tuple[str, ...]:
        """The features of a view; an unknown one is refused with the nearest known one."""
        if name not in self.views:
            raise UnknownName(f"no view {name!r} of {self.name}; {nearest(name, self.views)}")
        return self.views[name]


class JointProblem(Problem[ScenarioT]):
    """Agents for whom a centre decides: it sees everything, and each agent's decision is a few numbers in [0, 1].

    A state consists of numbers of every agent and numbers of what they have in common, each with a scale factor.
    """

    @property
    @abstractmethod
    def choices(self) -> tuple[int | None, ...]:
        """For each coordinate the number of options that it chooses from, in order; ``None`` for a quantity."""

    @property
    @abstractmethod
    def user_factors(self) -> FloatArray:
        """[features] what the agents' numbers are multiplied by to be of order one."""

    @property
    @abstractmethod
    def common_factors(self) -> FloatArray:
        """[features] what the common numbers are multiplied by."""

    @abstractmethod
    def user_state(self, observation: Observation) -> FloatArray:
        """[count, agents, features] of every agent, in the problem's units."""

    @abstractmethod
    def common_state(self, observation: Observation) -> FloatArray:
        """[count, features] of what they have in common, in the problem's units."""

    @abstractmethod
    def decode(self, coordinates: FloatArray) -> Decisions:
        """The decisions of coordinates ``[count, agents, coordinates]`` in [0, 1]; the nearest option counts."""

    @abstractmethod
    def encode(self, decisions: Decisions) -> FloatArray:
        """[..., agents, coordinates] that lead to decisions; NaN where any number does."""


@dataclass(frozen=True)
class Backlog:
    """Agents that do not touch each other, each with a buffer of bits to be emptied slot by slot.

    ``B' = min(max(B - served, 0) + arrivals, capacity)``; what exceeds the capacity is lost. Instances' costs are
    ``sum over slots, agents of energy cost + holding_price B' + overflow_price lost`` plus ``final_price`` times the
    bits left at the end and ``fixed_cost``, which no decision changes.

    Attributes
    ----------
    service : Service
        Arrays ``[count, horizon, agents]``.
    start_bits : array [count, agents]
    arrival_bits : array [count, horizon, agents]
    capacity_bits : float
        ``inf`` for an unlimited buffer.
    holding_price, overflow_price, final_price : float
        Cost of a bit kept over a slot's end, lost, and left at the end of the horizon.
    fixed_cost : array [count, agents]
    battery_j : float
        Capacity of a battery, empty at first, that keeps unused green energy; 0 for none.
    waste_price : float
        Cost of a joule of green energy that is neither used nor kept. Without a battery the service's green price
        carries it already.
    """

    service: Service
    start_bits: FloatArray
    arrival_bits: FloatArray
    capacity_bits: float
    holding_price: float
    overflow_price: float
    final_price: float
    fixed_cost: FloatArray
    battery_j: float = 0.0
    waste_price: float = 0.0


@dataclass(frozen=True)
class Quanta:
    """A random amount in whole quanta, drawn afresh in every slot.

    Attributes
    ----------
    unit : float
        Size of a quantum.
    chances : tuple of float
        Probability of 0, 1, 2, ... quanta; they add up to 1.
    """

    unit: float
    chances: tuple[float, ...]


@dataclass(frozen=True)
class BacklogLaw:
    """What a lone agent can know of its future: the law that draws the numbers of a `Backlog`.

    Costs are the backlog's. The link is an array of antennas under Rayleigh fading: each antenna's amplitude is complex
    Gaussian and AR(1) over slots, the gains add up. Green energy is free, unused green energy costs ``waste_price``.

    Attributes
    ----------
    horizon : int
    device : Device
    antennas : int
    gain_per_w : float
        Mean gain of one antenna in 1/W.
    correlation : float
        Of an antenna's amplitude from slot to slot.
    arrivals, green : Quanta
        In bits and in J.
    grid_price, waste_price : float
        Cost of a joule.
    capacity_bits : float
        ``inf`` for an unlimited buffer.
    holding_price, overflow_price, final_price : float
        Cost of a bit.
    """

    horizon: int
    device: Device
    antennas: int
    gain_per_w: float
    correlation: float
    arrivals: Quanta
    green: Quanta
    grid_price: float
    waste_price: float
    capacity_bits: float
    holding_price: float
    overflow_price: float
    final_price: float

    def service(self, gain_per_w: FloatArray, green_j: FloatArray) -> Service:
        """What can be done with a gain and green energy."""
        return Service(self.device, gain_per_w, green_j, np.asarray(-self.waste_price), np.asarray(self.grid_price))


class BacklogProblem(AgentProblem[ScenarioT]):
    """Agents that spend energy to empty their buffers, by CPU and over the air."""

    @property
    @abstractmethod
    def device(self) -> Device:
        """What agents' hardware can do."""

    @property
    @abstractmethod
    def battery_j(self) -> float:
        """Capacity of each agent's battery for unused green energy; 0 for none."""

    @property
    @abstractmethod
    def waste_price(self) -> float:
        """Cost of a joule of green energy that is neither used nor kept."""

    @abstractmethod
    def service(self, observation: Observation) -> Service:
        """What each agent can do now and what it costs, arrays ``[count, agents]``."""

    @abstractmethod
    def buffer_bits(self, observation: Observation) -> FloatArray:
        """[count, agents] bits that wait."""

    @abstractmethod
    def serve(self, local_w: FloatArray, offload_w: FloatArray) -> Decisions:
        """The decisions that set these powers, ``[count, ..., agents]``."""

    @abstractmethod
    def powers(self, decisions: Decisions) -> tuple[FloatArray, FloatArray]:
        """The powers of CPU and transmitter that decisions set."""

    @cached_property
    def controls(self) -> Mapping[str, Controls]:
        """The decision itself, or energy and how it is shared."""
        energy = EnergyControls(self.agents, self.device, self.service, self.serve, self.powers)
        return {**super().controls, "energy": energy}

    @abstractmethod
    def backlog(self, instances: Instances) -> Backlog:
        """The whole horizon as independent buffers.

        Raises
        ------
        Unsupported
            Where one agent's power changes what another can do.
        """

    def law(self) -> BacklogLaw:
        """The law of a lone agent's future.

        Raises
        ------
        Unsupported
            Where nature follows no such law, or agents are several.
        """
        raise Unsupported(f"problem {self.name!r} does not state the law of its future")


class SharedServersProblem(SlotwiseProblem[ScenarioT]):
    """Servers whose users share one resource equally and a CPU as priced, each task whole or split.

    What a task costs on a server depends on how many share it and on its CPU. Option ``j`` of the assignment is the
    balanced split on server j, option ``sites + j`` everything; computing locally costs 1.
    """

    @abstractmethod
    def sharing(self, observation: Observation | Instances) -> Splitting:
        """Tasks by server and number of users there, arrays that broadcast to ``[count, tasks, sites, tasks]``.

        ``cpu_max_hz`` is each server's CPU, shared by its tasks.
        """
