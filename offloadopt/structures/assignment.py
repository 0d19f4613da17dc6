"""Structure of assignments: each task chooses one option, and continuous decisions follow optimally."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, FloatArray, Instances, IntArray, Observation, Problem, ScenarioT


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

    @property
    def dimensions(self) -> Mapping[str, int]:
        """Tasks, servers and, if there are several, slots."""
        return {"tasks": self.tasks, "servers": self.servers, **({"slots": self.horizon} if self.horizon > 1 else {})}

    @property
    def option_names(self) -> tuple[str, ...]:
        """What each option is called, for people."""
        return ("local", *(f"server {j}" for j in range(1, self.servers + 1)))

    def describe(self, decisions: Decisions) -> list[str]:
        """Tasks by option in one instance with one slot, otherwise the share of tasks that each option has."""
        if self.horizon > 1:
            decisions = Decisions({name: array.reshape(-1, *array.shape[2:]) for name, array in decisions.items()})
        chosen = self.assignment(decisions)
        if len(chosen) == 1:
            members = [np.flatnonzero(chosen[0] == option) for option in range(len(self.option_names))]
            width = max(map(len, self.option_names)) + 1
            return [
                f"{name + ':':{width}} {' '.join(map(str, tasks)) or '-'}"
                for name, tasks in zip(self.option_names, members, strict=True)
            ]
        shares = [float(np.mean(chosen == option)) for option in range(len(self.option_names))]
        taken = [f"{name} {share:.1%}" for name, share in zip(self.option_names, shares, strict=True) if share > 0.0]
        return [f"tasks decided: {', '.join(taken)}"]

    @abstractmethod
    def assignment(self, decisions: Decisions) -> IntArray:
        """[count, tasks] the options that decisions choose."""

    @abstractmethod
    def allocate(self, observation: Observation | Instances, assignment: IntArray) -> Decisions:
        """The optimal continuous decisions for an assignment ``[count, tasks]``."""

    @abstractmethod
    def costs(self, observation: Observation | Instances) -> AssignmentCosts:
        """The cost of any assignment, prepared for many evaluations."""

    def lone_costs(self, observation: Observation | Instances) -> FloatArray:
        """[count, tasks, servers] cost of offloading one task less that of computing it locally, all others local.

        ``inf`` where an option does not exist. The defaults of views below are derived from these costs; a problem
        with many tasks, or whose tasks cannot all be computed locally, has views of its own.
        """
        tasks, servers = self.tasks, self.servers
        alone = np.zeros((tasks, servers, tasks), dtype=np.int64)
        for task in range(tasks):
            alone[task, :, task] = np.arange(1, servers + 1)
        every = np.concatenate([np.zeros((1, tasks), dtype=np.int64), alone.reshape(-1, tasks)])
        cost = self.costs(observation).cost(np.broadcast_to(every, (observation.count, *every.shape)))
        return np.asarray((cost[:, 1:] - cost[:, :1]).reshape(-1, tasks, servers))

    def server_view(self, observation: Observation | Instances) -> FloatArray:
        """[count, servers, features] what the agent on each server can measure by itself.

        By default the `lone_costs` of the server's tasks, the highest of all where an option does not exist.
        """
        costs = self.lone_costs(observation)
        highest = np.max(costs, axis=(1, 2), keepdims=True, initial=0.0, where=np.isfinite(costs))
        return np.where(np.isfinite(costs), costs, highest).transpose(0, 2, 1)

    def affinity(self, observation: Observation | Instances) -> FloatArray:
        """[count, tasks, servers] link quality scaled to [0, 1] over each task's links, 0 where there is no link.

        By default it falls from 1 for the server with the least of the `lone_costs` to 0.5 for that with the highest.
        """
        costs = self.lone_costs(observation)
        linked = np.isfinite(costs)
        least = np.min(costs, axis=-1, keepdims=True, initial=np.inf, where=linked)
        highest = np.max(costs, axis=-1, keepdims=True, initial=-np.inf, where=linked)
        span = highest - least
        above = np.divide(costs - least, span, out=np.zeros_like(costs), where=linked & (span > 0))
        return np.where(linked, 1.0 - 0.5 * above, 0.0)

    def nearest(self, observation: Observation | Instances) -> IntArray:
        """[count, tasks] the option (1 to servers) of each task's nearest server, by default that of most affinity."""
        return np.asarray(np.argmax(self.affinity(observation), axis=-1) + 1, dtype=np.int64)

    def demand(self, observation: Observation | Instances) -> tuple[FloatArray, FloatArray]:
        """Demand ``[count, tasks]`` and each server's capacity ``[servers]`` in one unit, for admission rules.

        By default every server admits all tasks.
        """
        return np.ones((observation.count, self.tasks)), np.full(self.servers, float(self.tasks))


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

    def lone_costs(self, observation: Observation | Instances) -> FloatArray:
        """[count, tasks, servers] cost of offloading one task alone less that of computing it locally."""
        priced = self.costs(observation)
        alone = priced.load[..., None] ** 2 / priced.capacity[:, None]
        return np.asarray(priced.option_cost[..., 1:] + alone - priced.option_cost[..., :1])


class SlotwiseProblem(AssignmentProblem[ScenarioT]):
    """A horizon of assignments that have nothing to do with each other once nature is known.

    Whoever knows whole instances decides their slots one by one, as instances of `one_slot`.
    """

    @property
    def one_slot(self) -> Self:
        """The same problem with a single slot; by default the scenario's field ``horizon`` says how many there are."""
        return self if self.horizon == 1 else type(self)(self.scenario.replace(horizon=1))

    def slots(self, instances: Instances) -> Instances:
        """All slots of all instances as instances of `one_slot`, instance by instance."""
        if self.horizon == 1:
            return instances
        fields = self.instance_fields
        return Instances(
            {
                name: array.reshape(-1, *array.shape[2:])
                if fields[name].per_slot
                else np.repeat(array, self.horizon, axis=0)
                for name, array in instances.items()
            }
        )
