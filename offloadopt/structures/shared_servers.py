"""Structure of shared servers: bandwidth is shared equally among a server's users, and its CPU optimally."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, Instances, IntArray, Observation, ScenarioT
from offloadopt.physics.task_splitting import Splitting, share_cpu
from offloadopt.structures.assignment import AssignmentCosts, SlotwiseProblem


class SharedServersProblem(SlotwiseProblem[ScenarioT]):
    """Servers whose users share the bandwidth equally and the CPU optimally, with full or partial offloading.

    The cost of a task on a server depends on the number of its users and on the task's share of its CPU. Option ``j``
    of the assignment is balanced partial offloading to server j, option ``sites + j`` full offloading; local computing
    costs 1.
    """

    @abstractmethod
    def splitting(self, observation: Observation | Instances) -> Splitting:
        """Return tasks by server and its number of users, arrays that broadcast to ``[count, tasks, sites, tasks]``.

        ``cpu_max_hz`` is each server's CPU, shared by its tasks.
        """

    def costs(self, observation: Observation | Instances) -> AssignmentCosts:
        """Return costs of assignments, with every server's CPU shared optimally among its tasks."""
        every = (slice(None),) * 4
        return SharedServersCosts(self.splitting(observation).take(every))


@dataclass(frozen=True)
class SharedServersCosts:
    """Costs of assignments of tasks to shared servers.

    Attributes
    ----------
    splitting : Splitting
        Arrays ``[count, tasks, sites, tasks]`` by task, server and number of users of the server.
    """

    splitting: Splitting

    def cost(self, assignment: IntArray) -> FloatArray:
        """Compute the cost ``[count, ...]`` of assignments ``[count, ..., tasks]``."""
        count, tasks = len(assignment), assignment.shape[-1]
        rows = np.repeat(np.arange(count), int(np.prod(assignment.shape[1:-1])))
        server, whole, cpu_hz, chosen = self.allocate(assignment.reshape(-1, tasks), rows)
        away = (server >= 0) & (cpu_hz > 0)
        cost = np.where(away, chosen.mode_cost(whole, cpu_hz), 1.0).sum(axis=-1)
        return np.asarray(cost.reshape(assignment.shape[:-1]))

    def take(self, rows: Any) -> SharedServersCosts:
        """Return the selected instances."""
        return SharedServersCosts(self.splitting.take(rows))

    def allocate(
        self, assignment: IntArray, rows: IntArray | None = None
    ) -> tuple[IntArray, NDArray[np.bool_], FloatArray, Splitting]:
        """Share each server's CPU optimally among the tasks assigned to it.

        Parameters
        ----------
        assignment : int array [some, tasks]
        rows : int array [some], optional
            The instance of each assignment; by default one assignment per instance.

        Returns
        -------
        server : int array [some, tasks]
            From 0; -1 for local tasks, also where the link is missing.
        whole : bool array [some, tasks]
            Whether the task is offloaded in full, not by the balanced ratio.
        cpu_hz : array [some, tasks]
            Shares of the server's CPU.
        tasks : Splitting
            Arrays ``[some, tasks]``, for the number of users of each task's server.
        """
        options = self.splitting
        count, tasks, sites, _ = options.send_s.shape
        row = (np.arange(count) if rows is None else rows)[:, None]
        site, whole, task = np.maximum(assignment - 1, 0) % sites, assignment > sites, np.arange(tasks)
        # A task without a link stays local and takes no part of the bandwidth.
        linked = (assignment > 0) & np.isfinite(options.send_s[row, task, site, 0])
        here = linked[..., None] & (site[..., None] == np.arange(sites))
        users = np.maximum(np.take_along_axis(here.sum(axis=1), site, axis=-1), 1)
        chosen, server = options.take((row, task, site, users - 1)), np.where(linked, site, -1)
        return server, whole, share_cpu(server, whole, chosen.packed(), options.time_weight, options.cpu_max_hz), chosen
