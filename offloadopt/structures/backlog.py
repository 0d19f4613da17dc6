"""Structure of buffers that agents empty by CPU and over the air, at the cost of energy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from offloadopt.core import Decisions, FloatArray, Instances, Observation, ScenarioT
from offloadopt.errors import Unsupported
from offloadopt.physics.device import Device, Service
from offloadopt.structures.actions import Controls, EnergyControls
from offloadopt.structures.agents import AgentProblem


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
class DiscreteDistribution:
    """A random amount in whole quanta, drawn afresh in every slot.

    Attributes
    ----------
    unit : float
        Size of a quantum.
    probabilities : tuple of float
        Probability of 0, 1, 2, ... quanta; they add up to 1.
    """

    unit: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class BacklogMDP:
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
    arrivals, green : DiscreteDistribution
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
    arrivals: DiscreteDistribution
    green: DiscreteDistribution
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
    def battery_j(self) -> float:
        """Capacity of each agent's battery for unused green energy; 0 for none."""
        return 0.0

    @property
    def waste_price(self) -> float:
        """Cost of a joule of green energy that is neither used nor kept."""
        return 0.0

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
        energy = EnergyControls(self.num_agents, self.device, self.service, self.serve, self.powers)
        return {**super().controls, "energy": energy}

    @abstractmethod
    def backlog(self, instances: Instances) -> Backlog:
        """The whole horizon as independent buffers.

        Raises
        ------
        Unsupported
            Where one agent's power changes what another can do.
        """

    def mdp(self) -> BacklogMDP:
        """The law of a lone agent's future.

        Raises
        ------
        Unsupported
            Where nature follows no such law, or agents are several.
        """
        raise Unsupported(f"problem {self.name!r} does not state the law of its future")
