"""Structure of assignments: each task takes one option, and continuous decisions are optimal for the assignment."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, FloatArray, Instances, IntArray, Observation, Problem, ScenarioT, Table
from offloadopt.core.tables import task_table
from offloadopt.pictures import Panel
from offloadopt.pictures.over_slots import draw_stacked
from offloadopt.pictures.places import draw_choices


class AssignmentCosts(Protocol):
    """Costs of assignments for a batch of instances, with optimal continuous decisions."""

    def cost(self, assignment: IntArray) -> FloatArray:
        """Compute the cost ``[count, ...]`` of assignments ``[count, ..., tasks]``."""

    def take(self, rows: Any) -> Self:
        """Return the selected instances."""


class AssignmentProblem(Problem[ScenarioT]):
    """Each task takes one option; the optimal continuous decisions follow from the assignment.

    Option 0 computes locally, option ``j >= 1`` on server ``j``; where a server can be used in several modes, each mode
    counts as a server here. All methods take the observation of one slot, which for a one-shot problem has the same
    arrays as the instance.
    """

    ties_decisions: ClassVar[bool] = False
    """Whether an option couples the continuous decisions, so that none of them can be changed alone."""

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
        """Numbers of tasks, servers and, if there are several, slots."""
        return {"tasks": self.tasks, "servers": self.servers, **({"slots": self.horizon} if self.horizon > 1 else {})}

    @property
    def option_names(self) -> tuple[str, ...]:
        """Names of the options for display."""
        return ("local", *(f"server {j}" for j in range(1, self.servers + 1)))

    def describe(self, decisions: Decisions) -> list[str]:
        """List the tasks of each option in one instance with one slot, otherwise the fraction of tasks per option."""
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

    def table(self, instances: Instances, decisions: Decisions) -> Table:
        """Tell where each task is computed, with its continuous decisions and its cost."""
        slots = Decisions(
            {name: array.reshape(-1, *array.shape[1 + (self.horizon > 1) :]) for name, array in decisions.items()}
        )
        where = np.asarray(self.option_names)[self.assignment(slots)]
        others = [name for name, spec in self.decision_fields.items() if not spec.integer]
        return task_table(self, instances, decisions, "task", others, where=where)

    def panels(self, instances: Instances, decisions: Decisions) -> list[Panel]:
        """Draw which option each task takes in the first slot, and over the slots how many take each."""
        slots = Decisions(
            {name: array.reshape(-1, *array.shape[1 + (self.horizon > 1) :]) for name, array in decisions.items()}
        )
        chosen = self.assignment(slots)
        first, title = self.observe(instances, self.reset(instances)), "Which option each task takes"
        quality = np.pad(self.affinity(first)[0], ((0, 0), (1, 0)))
        options = partial(draw_choices, chosen=chosen[0], options=self.option_names, quality=quality)
        panels = [
            Panel("options", title if self.horizon == 1 else f"{title} in slot 0", options, 0.5 + 0.3 * self.servers)
        ]
        if self.horizon > 1:
            counts = {
                name: np.sum(chosen == option, axis=1).astype(np.float64)
                for option, name in enumerate(self.option_names)
            }
            taken = {name: count for name, count in counts.items() if count.any()}
            draw = partial(draw_stacked, amounts=taken, unit="tasks")
            panels.append(Panel("counts", "How many tasks take each option", draw))
        return panels

    @abstractmethod
    def assignment(self, decisions: Decisions) -> IntArray:
        """Return the options ``[count, tasks]`` of decisions."""

    @abstractmethod
    def allocate(self, observation: Observation | Instances, assignment: IntArray) -> Decisions:
        """Compute the optimal decisions for an assignment ``[count, tasks]``."""

    @abstractmethod
    def costs(self, observation: Observation | Instances) -> AssignmentCosts:
        """Return the costs of assignments, prepared for many evaluations."""

    def lone_costs(self, observation: Observation | Instances) -> FloatArray:
        """Compute the cost ``[count, tasks, servers]`` of offloading one task alone, less that of computing it locally.

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
        """Compute the features ``[count, servers, features]`` that the agent of each server can measure.

        By default the `lone_costs` of the server's tasks, the highest of all where an option does not exist.
        """
        costs = self.lone_costs(observation)
        highest = np.max(costs, axis=(1, 2), keepdims=True, initial=0.0, where=np.isfinite(costs))
        return np.where(np.isfinite(costs), costs, highest).transpose(0, 2, 1)

    def affinity(self, observation: Observation | Instances) -> FloatArray:
        """Compute link qualities ``[count, tasks, servers]`` within [0, 1] for each task, 0 where there is no link.

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
        """Return each task's nearest server ``[count, tasks]``, 1 to servers; by default that of largest affinity."""
        return np.asarray(np.argmax(self.affinity(observation), axis=-1) + 1, dtype=np.int64)

    def demand(self, observation: Observation | Instances) -> tuple[FloatArray, FloatArray]:
        """Return demands ``[count, tasks]`` and servers' capacities ``[servers]`` in one unit, for admission rules.

        By default every server admits all tasks.
        """
        return np.ones((observation.count, self.tasks)), np.full(self.servers, float(self.tasks))


@dataclass(frozen=True)
class PricedAssignment:
    """Costs of assignments with quadratic server loads: ``sum_i c[i, a_i] + sum_j L_j^2 / F_j``.

    ``L_j`` is the sum of ``s_i`` over the tasks on server j. The second term is the least cost of sharing a capacity
    ``F_j`` among tasks that cost ``s_i^2 / f_i`` (Cauchy-Schwarz: ``f_i = F_j s_i / L_j``). A server's price enters as
    its root ``v_j`` (at the optimum ``L_j / F_j``): ``L^2/F >= 2 v L - F v^2`` holds for every ``v``, so that each
    vector of prices gives a lower bound that is linear in the assignment.

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
        """Compute the servers' loads ``[count, ..., servers]`` of assignments ``[count, ..., tasks]``."""
        middle = (1,) * (assignment.ndim - 2)
        tasks, servers = self.option_cost.shape[1], self.capacity.shape[1]
        load = self.load.reshape(self.count, *middle, tasks)
        return np.stack([np.sum(load * (assignment == j), axis=-1) for j in range(1, servers + 1)], axis=-1)

    def cost(self, assignment: IntArray) -> FloatArray:
        """Compute the cost ``[count, ...]`` of assignments ``[count, ..., tasks]``."""
        middle = (1,) * (assignment.ndim - 2)
        options = self.option_cost.reshape(self.count, *middle, *self.option_cost.shape[1:])
        chosen = np.take_along_axis(options, assignment[..., None], axis=-1)[..., 0]
        capacity = self.capacity.reshape(self.count, *middle, self.capacity.shape[1])
        return np.asarray(chosen.sum(axis=-1) + np.sum(self.loads(assignment) ** 2 / capacity, axis=-1))

    def take(self, rows: slice | IntArray | NDArray[np.bool_]) -> PricedAssignment:
        """Return the selected instances."""
        return PricedAssignment(self.option_cost[rows], self.load[rows], self.capacity[rows])


class PricedAssignmentProblem(AssignmentProblem[ScenarioT]):
    """An assignment problem whose costs are a `PricedAssignment`."""

    @abstractmethod
    def costs(self, observation: Observation | Instances) -> PricedAssignment:
        """Return the costs of the one-shot problem as a `PricedAssignment`."""

    def lone_costs(self, observation: Observation | Instances) -> FloatArray:
        """Compute the cost ``[count, tasks, servers]`` of offloading one task alone, less that of local computing."""
        priced = self.costs(observation)
        alone = priced.load[..., None] ** 2 / priced.capacity[:, None]
        return np.asarray(priced.option_cost[..., 1:] + alone - priced.option_cost[..., :1])


class SlotwiseProblem(AssignmentProblem[ScenarioT]):
    """A horizon of assignments whose slots are independent of each other for a given instance.

    With whole instances known, the slots are solved one by one, as instances of `one_slot`.
    """

    @property
    def one_slot(self) -> Self:
        """The same problem with a single slot; by default the scenario's field ``horizon`` says how many there are."""
        return self if self.horizon == 1 else type(self)(self.scenario.replace(horizon=1))

    def slots(self, instances: Instances) -> Instances:
        """Return all slots of all instances as instances of `one_slot`, instance by instance."""
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
