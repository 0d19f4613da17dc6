"""One slot of `partial_mobile`, its tasks as kernels take them, and a bound from arbitrary prices."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import Instances, Observation
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.problems.partial_mobile.scenario import QUINCUNX_M, PartialMobileScenario
from offloadopt.solvers.shared_servers.dual_bound import (
    DualBound,
    SlotTasks,
    bound_at,
)


def one_slot(users: int, servers: int, **changes: Any) -> PartialMobile:
    return PartialMobile(PartialMobileScenario(users=users, horizon=1, sites_m=QUINCUNX_M[:servers], **changes))


def slot_tasks(problem: PartialMobile, instance: Instances) -> SlotTasks:
    modes = problem.splitting(instance).take(0)
    return SlotTasks(modes.packed(), modes.time_weight, modes.cpu_max_hz)


def every_assignment(problem: PartialMobile, instance: Instances) -> tuple[np.ndarray, np.ndarray]:
    """All assignments ``[some, tasks]`` and their costs."""
    every = np.array(list(itertools.product(range(2 * problem.sites + 1), repeat=problem.tasks)))
    return every, problem.costs(Observation(instance)).cost(every[None])[0]


def loose_bound(problem: PartialMobile, instance: Instances, seed: int) -> tuple[DualBound, np.ndarray, np.ndarray]:
    """A bound from arbitrary task prices, all assignments ``[some, tasks]`` and their costs."""
    rng, (every, cost) = np.random.default_rng(seed), every_assignment(problem, instance)
    task_price = np.minimum(1.0, cost.min() / problem.tasks * rng.uniform(0.8, 1.2, problem.tasks))
    start = np.full((problem.sites, problem.tasks), 1e-10)
    return bound_at(slot_tasks(problem, instance), task_price, start, Deadline()), every, cost
