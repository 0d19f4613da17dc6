"""Offline optimum of buffers with the whole future known: a reference that no online policy can beat.

Where users do not disturb each other (`BacklogProblem`), one buffer at a time:

* `taut_string`: without a battery the plan follows the price of a bit, found exactly in a millisecond;
* `convex_program`: with a battery, a convex programme of two coupled balances, solved by cvxpy and Clarabel;
* `dual_bound`: the proof. Prices of bits and joules give a lower bound, evaluated independently of any solver and less
  a margin for rounding. Where no bit is lost the bound meets the cost;
* `overflow_paths`, `overflow_patterns`: a buffer loses bits only when it is full, which makes the problem nonconvex.
  Without a battery a shortest path over the full slots closes the gap. With one, all choices of full slots are tried
  where at most `overflow_patterns.MOST_SLOTS` slots can be full; otherwise a gap remains and the status is `BOUNDED`.
  A gap also remains where a battery meets a grid price that changes within the horizon, as the battery must be drawn on
  before the grid.

Where they do, `interference` plans them in turn and bounds what all of them can send together; a gap remains.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from offloadopt.core import Instances
from offloadopt.quantities import Factor
from offloadopt.solvers.backlog.buffer_plans import BufferSearches
from offloadopt.solvers.backlog.interference import InterferenceSearches
from offloadopt.solvers.base import InstanceSolver, Searches
from offloadopt.structures.backlog import BacklogProblem


class BacklogExact(InstanceSolver):
    """Optimise the powers of the whole horizon in hindsight, with a proved lower bound."""

    name = "exact"
    serves = BacklogProblem
    proves = True
    hindsight = True

    relative_gap: Factor = Field(1e-4, ge=0, description="a decision is optimal when its bound is this close")

    def separates(self, problem: Any) -> bool:
        """Whether each instance is solved on its own: without batteries, whose programme has units of all instances."""
        return bool(problem.battery_j == 0)

    def searches(self, problem: BacklogProblem[Any], instances: Instances, seed: int) -> Searches:
        """Prepare the plans of all buffers; ``details["bit_price"]`` holds the price of a waiting bit.

        Buffers that are not planned within the time limit stay idle, with the bound of prices 0.
        """
        uplink = problem.uplink(instances)
        if uplink is not None:
            return InterferenceSearches(problem, instances, uplink)
        return BufferSearches(problem, instances, problem.backlog(instances))
