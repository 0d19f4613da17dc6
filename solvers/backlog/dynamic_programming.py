"""Optimal causal policy of a single agent by dynamic programming on a grid.

The agent knows its buffer, its link and its green energy, and the probability law of the future (`BacklogMDP`).
Backward induction over the horizon gives the expected cost of every state on a grid (`backward_induction`): the cost
that ``evaluate`` charges, the terminal cost included. In a roll-out the agent minimises one step ahead from the exact
state, not from the nearest grid point.

The expected cost is an optimum over all causal policies, up to the error of the grid; it bounds the cost of no single
instance, so that nothing is proved. `docs/results/carbon_mimo.md` shows how cost depends on the resolution.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import Decisions, FloatArray, Instances, Observation, Problem, Progress, Solutions, Solver, rollout
from offloadopt.physics.device import Service
from offloadopt.quantities import Factor, Width
from offloadopt.solvers.backlog.backward_induction import (
    CostToGo,
    Resolution,
    bits_and_cost,
    candidate_efforts,
    solve_mdp,
)
from offloadopt.structures.backlog import BacklogProblem


class DynamicProgramming(Solver):
    """Follow the causal policy of least expected cost; ``details`` hold its ``expected_cost``."""

    name = "dynamic-programming"
    serves = BacklogProblem

    buffer_points: Width = Field(default=193, ge=3, description="grid nodes of the buffer, denser near 0")
    gain_points: Width = Field(default=17, ge=4, description="grid nodes of the link's gain, equidistant in amplitude")
    actions: Width = Field(default=33, ge=2, description="candidate efforts in every state, denser near the least")
    unlimited_quanta: Factor = Field(
        default=100.0,
        gt=0,
        description="end of an unlimited buffer's grid in quanta of arrivals; values are linear beyond it",
    )

    def require(self, problem: Problem[Any]) -> None:
        """Raise `Unsupported` for problems without buffers or without a `BacklogMDP`."""
        super().require(problem)
        cast(BacklogProblem[Any], problem).mdp()

    def cost_to_go(self, problem: BacklogProblem[Any]) -> CostToGo:
        """Compute the expected cost to go of every state; cached by MDP and resolution."""
        self.require(problem)
        resolution = Resolution(self.buffer_points, self.gain_points, self.actions, self.unlimited_quanta)
        return solve_mdp(problem.mdp(), resolution)

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Roll the policy out and score it; the time includes backward induction unless its result is cached."""
        problem = cast(BacklogProblem[Any], problem)
        begin = clock()
        cost_to_go = self.cost_to_go(problem)
        slots = iter(range(problem.horizon))

        def decide(observation: Observation) -> Decisions:
            return self._decide(problem, observation, cost_to_go, next(slots))

        decisions = rollout(problem, instances, decide)
        seconds = (clock() - begin) / max(instances.count, 1)
        if progress is not None:
            progress(instances.count)
        first = problem.observe(instances, problem.reset(instances))
        expected = cost_to_go.expected_cost(problem.buffer_bits(first)[:, 0])
        return Solutions.scored(problem, instances, decisions, seconds=seconds, details={"expected_cost": expected})

    def _decide(
        self, problem: BacklogProblem[Any], observation: Observation, cost_to_go: CostToGo, slot: int
    ) -> Decisions:
        service, buffer = problem.service(observation), problem.buffer_bits(observation)
        effort = self._best_effort(service, buffer, cost_to_go, slot)
        return problem.serve(*service.best(effort * service.grid_price, buffer))

    def _best_effort(self, service: Service, buffer: FloatArray, cost_to_go: CostToGo, slot: int) -> FloatArray:
        """Effort ``[count, 1]`` of least cost in the slot plus expected cost to go."""
        clearing_effort = service.effort_for_bits(buffer)
        candidates = np.minimum(candidate_efforts(service, self.actions), clearing_effort[..., None])
        bits, cost = bits_and_cost(service.take((..., None)), candidates)
        remaining_bits = np.maximum(buffer[..., None] - bits, 0.0)
        total = cost + cost_to_go.post_decision_cost(slot, remaining_bits, service.gain_per_w)
        return np.take_along_axis(candidates, np.argmin(total, axis=-1)[..., None], axis=-1)[..., 0]
