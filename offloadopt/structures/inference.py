"""Structure of edge inference: several tasks per agent and slot, which share the agent's CPU or a server's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, FloatArray, Instances, IntArray, Observation, ScenarioT, Table
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.pictures import Panel
from offloadopt.pictures.over_slots import draw_lines
from offloadopt.pictures.shares import draw_shares, draw_shares_over_slots
from offloadopt.structures.actions import Allowed, Controls
from offloadopt.structures.agents import AgentProblem


@dataclass(frozen=True)
class CostWeights:
    """Weights of a slot's cost: ``per_second T + per_joule E`` for a task within the limits, ``failure`` for others.

    Attributes
    ----------
    per_second, per_joule, failure : float
    limit_s : float
        C6.
    server_drains : bool
        Whether a server's energy drains the user's battery, too.
    """

    per_second: float
    per_joule: float
    failure: float
    limit_s: float
    server_drains: bool


class PriorityControls(Controls):
    """Controls of inference: server and priorities of each task; shares of CPU and band follow from its size.

    Among tasks that take ``a_i / u_i`` seconds on shares ``u_i`` of one resource, the sum of times is least for shares
    proportional to ``sqrt(a_i)`` (Cauchy-Schwarz), for any set of tasks. A task of ``x`` times the average size
    therefore requests ``2 priority sqrt(x)`` of its resource, at most all of it. As requests above 1 in total are cut
    pro rata, equal priorities give shares within a few percent of the optimum, whereas a policy that sets shares has to
    find each task's share relative to those of other agents, which it does not observe.

    Parameters
    ----------
    server : ArrayField
        Field ``server`` of the decision, ``[users, places]``.
    problem : InferenceProblem
    """

    def __init__(self, server: ArrayField, problem: InferenceProblem[Any]) -> None:
        priority = ArrayField(server.shape, low=0.0, high=1.0)
        self.fields = {"server": server, "cpu_priority": priority, "bandwidth_priority": priority}
        self._problem = problem

    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """Compute shares proportional to the root of the task's size."""
        max_cpu, max_band = self._max_shares(observation)
        return Decisions(
            {
                "server": values["server"],
                "cpu_share": np.minimum(values["cpu_priority"] * max_cpu, 1.0),
                "bandwidth_share": np.minimum(values["bandwidth_priority"] * max_band, 1.0),
            }
        )

    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """Compute priorities of shares, the highest where a share is out of reach, and 0 in places without a task."""
        priorities, present = {}, self._problem.observed_tasks(observation)[0].present
        for kind, most in zip(("cpu", "bandwidth"), self._max_shares(observation), strict=True):
            share = decisions[f"{kind}_share"]
            there = present & (most > 0)
            priorities[f"{kind}_priority"] = np.minimum(
                np.divide(share, most, out=np.zeros_like(share), where=there), 1.0
            )
        return {"server": decisions["server"], **priorities}

    def allowed(self, observation: Observation) -> Allowed:
        """Return the problem's masks."""
        return self._problem.allowed(observation)

    def _max_shares(self, observation: Observation) -> tuple[FloatArray, FloatArray]:
        """Compute the shares of CPU and band that tasks request with the highest priority."""
        cpu, band = self._problem.sizes(observation)
        return 2.0 * np.sqrt(cpu), 2.0 * np.sqrt(band)


class InferenceProblem(AgentProblem[ScenarioT]):
    """Placement of users' tasks on their own CPU or on servers, within time limits and batteries without recharge.

    Option 0 is the user's own CPU, option j is server j. Shares of a CPU or band that add up to more than 1 are cut pro
    rata, and a task that misses its limits fails, so that every decision is feasible.
    """

    @property
    @abstractmethod
    def cost_weights(self) -> CostWeights:
        """Weights of time, energy and failures."""

    @abstractmethod
    def all_tasks(self, instances: Instances) -> InferenceTasks:
        """Return all tasks, arrays that begin with ``[count, horizon]``; ``[count, 1]`` where there is one slot."""

    @abstractmethod
    def observed_tasks(self, observation: Observation) -> tuple[InferenceTasks, FloatArray]:
        """Return the slot's tasks, arrays that begin with ``[count]``, and battery energies ``[count, users]`` in J."""

    @abstractmethod
    def start_j(self, instances: Instances) -> FloatArray:
        """Return the initial energies in batteries ``[count, users]`` in J."""

    @cached_property
    def decision_fields(self) -> Mapping[str, ArrayField]:
        """Server of each task and its shares of CPU and band, ``[users, places]``."""
        tasks = (self.num_agents, self.places)
        share = ArrayField(tasks, low=0.0, high=1.0)
        server = ArrayField(tasks, low=0, high=self.servers, integer=True)
        return {"server": server, "cpu_share": share, "bandwidth_share": share}

    def choose(self, server: IntArray, cpu_share: FloatArray, band_share: FloatArray) -> Decisions:
        """Return decisions for servers and shares ``[count, horizon, users, places]``; without CPU a task fails."""
        arrays = {"server": server, "cpu_share": cpu_share, "bandwidth_share": band_share}
        return Decisions({name: values[:, 0] if self.horizon == 1 else values for name, values in arrays.items()})

    def table(self, instances: Instances, decisions: Decisions) -> Table:
        """Tell where each task is computed, on which shares; places without a task have no row."""
        shape = (self.horizon, self.num_agents, self.places)
        slot, agent, place = np.indices(shape)
        server, *shares = (decisions[name][0].reshape(shape) for name in ("server", "cpu_share", "bandwidth_share"))
        where = np.where(server == 0, "own CPU", np.char.add("server ", server.astype(str)))
        columns = {"agent": agent, "task": place, "where": where, "cpu_share": shares[0], "bandwidth_share": shares[1]}
        if self.horizon > 1:
            columns = {"slot": slot, **columns}
        present = np.broadcast_to(self.all_tasks(instances).present[0], shape)
        return Table({name: column[present] for name, column in columns.items()}, "where", "tasks")

    def panels(self, instances: Instances, decisions: Decisions) -> list[Panel]:
        """Draw the shares of each server's CPU and band, and with several slots the energy in the batteries.

        There is no map: an instance holds the length of each link alone, which places in a plane need not have.
        """
        shape = (self.horizon, self.num_agents, self.places)
        server = np.where(self.all_tasks(instances).present[0], decisions["server"][0].reshape(shape), 0)
        names = [f"server {j}" for j in range(1, self.servers + 1)]
        panels = []
        for kind, title in (("cpu", "CPU of each server"), ("bandwidth", "Band of each server")):
            share = decisions[f"{kind}_share"][0].reshape(shape)
            here = server[..., None] == np.arange(1, self.servers + 1)
            asked = np.sum(share[..., None] * here, axis=(1, 2))  # what adds up to more than 1 is cut pro rata
            of_server = share[..., None] * here / np.maximum(asked, 1.0)[:, None, None]
            draw = partial(draw_shares_over_slots, share=of_server.sum(axis=2), servers=names)
            if self.horizon == 1:
                owner = np.repeat(np.arange(self.num_agents), self.places)
                tasks = {"server": server[0].reshape(-1) - 1, "share": of_server[0].sum(axis=-1).reshape(-1)}
                draw = partial(draw_shares, owner=owner, servers=names, **tasks)
            panels.append(Panel(kind, title, draw, 0.7 + 0.35 * self.servers))
        if self.horizon > 1:
            slots = self.rollout_of(instances, decisions)
            held_j = np.stack([self.observed_tasks(observation)[1][0] for observation, _, _ in slots])
            users = {f"user {n}": held_j[:, n] for n in range(self.num_agents)}
            panels.append(Panel("batteries", "Energy in the batteries", partial(draw_lines, series=users, unit="J")))
        return panels

    def twin_instances(self, instances: Instances) -> Instances:
        """Return the instances as the digital twin represents them; by default without error."""
        return instances

    def sizes(self, observation: Observation) -> tuple[FloatArray, FloatArray]:
        """Return cycles and bits of the slot's tasks ``[count, users, places]``, relative to an average task.

        By default all tasks count as average.
        """
        present = self.observed_tasks(observation)[0].present.astype(np.float64)
        return present, present

    @cached_property
    def controls(self) -> Mapping[str, Controls]:
        """Controls: the decision itself, or priorities."""
        return {**super().controls, "priority": PriorityControls(self.decision_fields["server"], self)}

    @property
    @abstractmethod
    def places(self) -> int:
        """Largest number of tasks of a user in a slot."""

    @property
    @abstractmethod
    def servers(self) -> int:
        """Number of servers."""

    @property
    def one_slot(self) -> Self:
        """The same problem with a single slot; by default the scenario's field ``horizon`` says how many there are."""
        return self if self.horizon == 1 else type(self)(self.scenario.replace(horizon=1))
