"""Structure of inference at the edge: agents with several tasks a slot, sharing their own CPU or servers'."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, FloatArray, Instances, IntArray, Observation, ScenarioT
from offloadopt.physics.edge_inference import InferenceTasks
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
    """Agents set where each task is computed and how urgently; shares of CPU and band follow from its size.

    Among tasks that take ``a_i / u_i`` seconds on shares ``u_i`` of one resource, the sum of times is least for shares
    that grow with ``sqrt(a_i)`` (Cauchy-Schwarz), whoever else is there. So a task of ``x`` times the average size asks
    for ``2 priority sqrt(x)`` of its resource, at most all of it. As too much is cut pro rata, equal priorities of up
    to a half share within a few percent of the best, where a policy that sets shares has to find each task's among
    those of others that it does not see.

    Parameters
    ----------
    server : ArrayField
        Of the decision, ``[users, places]``.
    problem : InferenceProblem
    """

    def __init__(self, server: ArrayField, problem: InferenceProblem[Any]) -> None:
        priority = ArrayField(server.shape, low=0.0, high=1.0)
        self.fields = {"server": server, "cpu_priority": priority, "bandwidth_priority": priority}
        self._problem = problem

    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """Shares that grow with the root of the task's size."""
        most_cpu, most_band = self._most(observation)
        return Decisions(
            {
                "server": values["server"],
                "cpu_share": np.minimum(values["cpu_priority"] * most_cpu, 1.0),
                "bandwidth_share": np.minimum(values["bandwidth_priority"] * most_band, 1.0),
            }
        )

    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """Priorities that lead to shares, or the highest where none does; 0 where there is no task."""
        priorities, present = {}, self._problem.observed_tasks(observation)[0].present
        for kind, most in zip(("cpu", "bandwidth"), self._most(observation), strict=True):
            share = decisions[f"{kind}_share"]
            there = present & (most > 0)
            priorities[f"{kind}_priority"] = np.minimum(
                np.divide(share, most, out=np.zeros_like(share), where=there), 1.0
            )
        return {"server": decisions["server"], **priorities}

    def allowed(self, observation: Observation) -> Allowed:
        """As the problem says."""
        return self._problem.allowed(observation)

    def _most(self, observation: Observation) -> tuple[FloatArray, FloatArray]:
        """What tasks ask for with the highest priority."""
        cpu, band = self._problem.sizes(observation)
        return 2.0 * np.sqrt(cpu), 2.0 * np.sqrt(band)


class InferenceProblem(AgentProblem[ScenarioT]):
    """Users' tasks on own CPU or on servers, within time limits and what is left in batteries that nothing recharges.

    Options count 0 for the own CPU and j for server j. Shares of a CPU or band that add up to more than 1 are cut pro
    rata, and whatever does not meet its limits fails, so that every decision is possible.
    """

    @property
    @abstractmethod
    def cost_weights(self) -> CostWeights:
        """What a second, a joule and a failure cost."""

    @abstractmethod
    def all_tasks(self, instances: Instances) -> InferenceTasks:
        """All tasks, arrays that lead with ``[count, horizon]``; ``[count, 1]`` where there is one slot."""

    @abstractmethod
    def observed_tasks(self, observation: Observation) -> tuple[InferenceTasks, FloatArray]:
        """The slot's tasks, arrays that lead with ``[count]``, and what batteries hold ``[count, users]`` in J."""

    @abstractmethod
    def start_j(self, instances: Instances) -> FloatArray:
        """[count, users] what batteries hold at first."""

    @cached_property
    def decision_fields(self) -> Mapping[str, ArrayField]:
        """Where each task is computed, and on which shares of CPU and band, ``[users, places]``."""
        tasks = (self.num_agents, self.places)
        share = ArrayField(tasks, low=0.0, high=1.0)
        server = ArrayField(tasks, low=0, high=self.servers, integer=True)
        return {"server": server, "cpu_share": share, "bandwidth_share": share}

    def choose(self, server: IntArray, cpu_share: FloatArray, band_share: FloatArray) -> Decisions:
        """The decisions for options and shares ``[count, horizon, users, places]``; who fails has no CPU."""
        arrays = {"server": server, "cpu_share": cpu_share, "bandwidth_share": band_share}
        return Decisions({name: values[:, 0] if self.horizon == 1 else values for name, values in arrays.items()})

    def twin_instances(self, instances: Instances) -> Instances:
        """The same instances as the digital twin knows them; by default it knows what there is."""
        return instances

    def sizes(self, observation: Observation) -> tuple[FloatArray, FloatArray]:
        """Cycles and bits of the slot's tasks ``[count, users, places]``, in those of an average task.

        By default all tasks count as average ones.
        """
        present = self.observed_tasks(observation)[0].present.astype(np.float64)
        return present, present

    @cached_property
    def controls(self) -> Mapping[str, Controls]:
        """The decision itself, or priorities."""
        return {**super().controls, "priority": PriorityControls(self.decision_fields["server"], self)}

    @property
    @abstractmethod
    def places(self) -> int:
        """Tasks that a user can have in a slot."""

    @property
    @abstractmethod
    def servers(self) -> int:
        """Servers besides the own CPU."""

    @property
    def one_slot(self) -> Self:
        """The same problem with a single slot; by default the scenario's field ``horizon`` says how many there are."""
        return self if self.horizon == 1 else type(self)(self.scenario.replace(horizon=1))
