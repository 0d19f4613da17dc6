"""The best that a lone agent can do without knowing the future: dynamic programming on a grid.

The agent knows its buffer, its link and its green energy, and the law of what is to come (`BacklogMDP`). Backward
induction over the horizon gives the expected cost of every state on a grid (`backward_induction`); it is
the very cost that ``evaluate`` charges, the terminal_cost at the end included. In a roll-out the agent looks one step
ahead from the state as it is, not as the grid has it.

The expected cost is an optimum over all causal policies, up to the grid; it bounds no single instance, so nothing is
proved. Refinement of the grid (``carbon_mimo``, one user with 4 antennas, 3 quanta a slot; preset ``paper`` at 60 m
over 100 slots, ``ancestor`` at 100 m over 200; the mean cost is that of the same 2,000 instances in all rows, with
standard errors of 0.0044 and 5.1; the default is marked):

===========  =========  =======  ==============  ==========  ==============  ==========
..                               paper                       ancestor
-------------------------------  --------------------------  --------------------------
buffer       gain       actions  expected cost   mean cost   expected cost   mean cost
===========  =========  =======  ==============  ==========  ==============  ==========
25           5          9        1.38809         1.34373     1724.6          1672.8
49           9          17       1.36202         1.34370     1672.9          1659.5
97           9          33       1.35442         1.34365     1663.3          1656.3
97           17         33       1.35402         1.34364     1662.2          1656.2
193          17         17       1.35186         1.34367     1663.7          1659.3
193 *        17 *       33 *     1.35184         1.34363     1660.3          1656.2
193          33         33       1.35178         1.34364     1660.3          1656.1
193          17         65       1.35184         1.34363     1659.6          1655.3
385          17         33       1.35147         1.34363     1660.0          1656.2
385          33         65       1.35142         1.34363     1659.1          1655.3
===========  =========  =======  ==============  ==========  ==============  ==========

The grid errs in the estimated cost, here upwards and by about 0.1 % or less at the default; the decisions taken from it
are hardly better on a finer one.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import (
    Decisions,
    FloatArray,
    Instances,
    Observation,
    Problem,
    Progress,
    Solutions,
    Solver,
    rollout,
)
from offloadopt.physics.device import Service
from offloadopt.solvers.backlog import backward_induction as backlog_grid
from offloadopt.solvers.backlog.backward_induction import Plan, Resolution
from offloadopt.structures.backlog import BacklogProblem


class DynamicProgramming(Solver):
    """The causal policy of least expected cost; the solutions' details hold this cost for the bits at the start."""

    name = "dynamic-programming"
    serves = BacklogProblem

    buffer_points: int = Field(default=193, ge=3, description="nodes of the buffer, denser near 0")
    gain_points: int = Field(default=17, ge=4, description="nodes of the link's gain, even in amplitude")
    actions: int = Field(default=33, ge=2, description="efforts tried in every state, denser near the least")
    unlimited_quanta: float = Field(
        default=100.0, gt=0, description="end of an unlimited buffer's grid in quanta of arrivals; linear beyond it"
    )

    def require(self, problem: Problem[Any]) -> None:
        """Refuse problems without buffers, and those whose future follows no law that a lone agent knows."""
        super().require(problem)
        cast(BacklogProblem[Any], problem).mdp()

    def plan(self, problem: BacklogProblem[Any]) -> Plan:
        """The expected cost of every state, found once for a law and a resolution."""
        self.require(problem)
        resolution = Resolution(self.buffer_points, self.gain_points, self.actions, self.unlimited_quanta)
        return backlog_grid.solve(problem.mdp(), resolution)

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Roll the policy out and score it. The time of a plan that is not yet known counts."""
        problem = cast(BacklogProblem[Any], problem)
        begin = clock()
        plan = self.plan(problem)
        slots = iter(range(problem.horizon))

        def decide(observation: Observation) -> Decisions:
            return self._decide(problem, observation, plan, next(slots))

        decisions = rollout(problem, instances, decide)
        seconds = (clock() - begin) / max(instances.count, 1)
        if progress is not None:
            progress(instances.count)
        first = problem.observe(instances, problem.reset(instances))
        expected = plan.expected_cost(problem.buffer_bits(first)[:, 0])
        return Solutions.scored(problem, instances, decisions, seconds=seconds, details={"expected_cost": expected})

    def _decide(self, problem: BacklogProblem[Any], observation: Observation, plan: Plan, slot: int) -> Decisions:
        service, buffer = problem.service(observation), problem.buffer_bits(observation)
        effort = self._best_effort(service, buffer, plan, slot)
        return problem.serve(*service.best(effort * service.grid_price, buffer))

    def _best_effort(self, service: Service, buffer: FloatArray, plan: Plan, slot: int) -> FloatArray:
        """Effort ``[count, 1]`` of least cost now and, by the plan, later."""
        clearing = service.effort_for_bits(buffer)
        tried = np.minimum(backlog_grid.efforts(service, self.actions), clearing[..., None])
        bits, cost = backlog_grid.outcomes(service.take((..., None)), tried)
        left = np.maximum(buffer[..., None] - bits, 0.0)
        total = cost + plan.cost_after(slot, left, service.gain_per_w)
        return np.take_along_axis(tried, np.argmin(total, axis=-1)[..., None], axis=-1)[..., 0]
