"""Structure of task buffers that agents serve by local computing and by offloading, at the cost of energy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from offloadopt.core import Decisions, FloatArray, Instances, Observation, ScenarioT, Table
from offloadopt.errors import Unsupported
from offloadopt.physics.device import Device, Service
from offloadopt.physics.mimo import Uplink
from offloadopt.pictures import Panel
from offloadopt.pictures.over_slots import draw_lines, draw_stacked
from offloadopt.structures.actions import Controls, EnergyControls
from offloadopt.structures.agents import AgentProblem

NEAR_CAPACITY = 0.4
"""Share of a buffer's capacity from which on pictures show the capacity."""


@dataclass(frozen=True)
class Backlog:
    """Independent agents, each with a buffer of bits that is served slot by slot.

    ``B' = min(max(B - served, 0) + arrivals, capacity)``; bits above the capacity are lost. The cost of an instance is
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
        Cost of a bit in the buffer at a slot's end, of a lost bit, and of a bit left at the end of the horizon.
    fixed_cost : array [count, agents]
    battery_j : float
        Capacity in J of a battery, initially empty, that stores unused green energy; 0 for none.
    waste_price : float
        Cost of a joule of green energy that is neither used nor stored. Without a battery it is part of the service's
        green price.
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
    """Distribution of a random number of quanta, independent in every slot.

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
    """Markov decision process of a single agent: the distributions from which a `Backlog` is drawn.

    Costs are those of the backlog. The link is an array of antennas under Rayleigh fading: each antenna's amplitude is
    complex Gaussian and AR(1) over slots, the gains add up. Green energy is free, and unused green energy costs
    ``waste_price``.

    Attributes
    ----------
    horizon : int
    device : Device
    antennas : int
    gain_per_w : float
        Mean gain of one antenna in 1/W.
    correlation : float
        Correlation of an antenna's amplitude between successive slots.
    arrivals, green : DiscreteDistribution
        Arrivals in bits and green energy in J per slot.
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
        """Return the service for given gains in 1/W and green energies in J."""
        return Service(self.device, gain_per_w, green_j, np.asarray(-self.waste_price), np.asarray(self.grid_price))


class BacklogProblem(AgentProblem[ScenarioT]):
    """Agents that spend energy to serve their buffers, by local computing and by offloading."""

    @property
    @abstractmethod
    def device(self) -> Device:
        """Constants of the agents' hardware."""

    @property
    def capacity_bits(self) -> float:
        """Capacity of a buffer in bits; ``inf`` where it is unlimited."""
        return np.inf

    @property
    def battery_j(self) -> float:
        """Capacity in J of each agent's battery for unused green energy; 0 for none."""
        return 0.0

    @property
    def waste_price(self) -> float:
        """Cost of a joule of green energy that is neither used nor stored."""
        return 0.0

    @abstractmethod
    def service(self, observation: Observation) -> Service:
        """Return each agent's options of service in this slot and their prices, arrays ``[count, agents]``."""

    @abstractmethod
    def buffer_bits(self, observation: Observation) -> FloatArray:
        """Return the bits in the buffers ``[count, agents]``."""

    @abstractmethod
    def serve(self, local_w: FloatArray, offload_w: FloatArray) -> Decisions:
        """Return the decisions with these powers in W, ``[count, ..., agents]``."""

    @abstractmethod
    def powers(self, decisions: Decisions) -> tuple[FloatArray, FloatArray]:
        """Return the powers of CPU and transmitter in W of decisions."""

    def table(self, instances: Instances, decisions: Decisions) -> Table:
        """Tell each agent's mean powers, its mean buffer at the slots' begins, and its cost over the horizon."""
        local_w, offload_w = (np.reshape(power[0], (self.horizon, -1)) for power in self.powers(decisions))
        slots = list(self.rollout_of(instances, decisions))
        return Table(
            {
                "agent": np.arange(self.num_agents),
                "mean_local_w": local_w.mean(axis=0),
                "mean_offload_w": offload_w.mean(axis=0),
                "mean_buffer_bits": np.mean([self.buffer_bits(seen)[0] for seen, _, _ in slots], axis=0),
                "cost": np.sum([outcome.agent_cost[0] for _, _, outcome in slots], axis=0),
            }
        )

    def panels(self, instances: Instances, decisions: Decisions) -> list[Panel]:
        """Draw the buffers, and the energy that is spent beside the green energy that is there."""
        slots = list(self.rollout_of(instances, decisions))
        bits = np.stack([self.buffer_bits(observation)[0] for observation, _, _ in slots])
        green_j = np.array([float(np.sum(self.service(observation).green_j[0])) for observation, _, _ in slots])
        spent_w = [np.sum(np.stack(self.powers(decision))[:, 0], axis=-1) for _, decision, _ in slots]
        local_j, offload_j = self.device.slot_s * np.stack(spent_w, axis=1)
        capacity_kbit = 1e-3 * self.capacity_bits
        far = 1e-3 * bits.max() < NEAR_CAPACITY * capacity_kbit
        agents = {f"agent {n}": 1e-3 * bits[:, n] for n in range(self.num_agents)}
        return [
            Panel("buffers", "Buffers at the begin of each slot", partial(
                draw_lines, series=agents, unit="kbit", limit=None if far else capacity_kbit)),
            Panel(
                "energy",
                "Energy of all agents",
                partial(
                    draw_stacked, amounts={"CPU": local_j, "transmitter": offload_j}, unit="J", line=green_j,
                    line_name="green energy",
                ),
            ),
        ]  # fmt: skip

    @cached_property
    def controls(self) -> Mapping[str, Controls]:
        """Controls: the decision itself, or energy and its division between CPU and transmitter."""
        return {**super().controls, "energy": EnergyControls(self)}

    @abstractmethod
    def backlog(self, instances: Instances, gain_per_w: FloatArray | None = None) -> Backlog:
        """Return the whole horizon as independent buffers.

        Parameters
        ----------
        instances : Instances
        gain_per_w : array [count, horizon, agents], optional
            SINR per watt of each agent in 1/W; needed where it depends on the others' powers.

        Raises
        ------
        Unsupported
            If one agent's power affects the service of another, and no gains are given.
        """

    def uplink(self, instances: Instances) -> Uplink | None:
        """Return the channels ``[count, horizon, ...]`` of agents that disturb each other; none where they do not."""
        return None

    def estimated_uplink(self, observation: Observation) -> Uplink | None:
        """Return a slot's channels ``[count, ...]`` as the receiver knows them; none where agents do not disturb."""
        return None

    def mdp(self) -> BacklogMDP:
        """Return the Markov decision process of a single agent.

        Raises
        ------
        Unsupported
            If instances are not drawn from such a process, or there are several agents.
        """
        raise Unsupported(f"problem {self.name!r} does not state the law of its future")
