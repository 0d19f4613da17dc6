"""Two uncoordinated baselines that can overload servers; the paper does not name its own.

With all other rules a server shares its CPU itself and never allocates more than it has.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from offloadopt.core import Decisions, Observation
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.solvers.base import Rule


class EdgeOnly(Rule):
    """Each user offloads its whole task to the nearest server and requests an even share of all servers' CPU."""

    name = "edge-only"
    serves = PartialMobile

    def decide(self, problem: PartialMobile, observation: Observation, rng: np.random.Generator) -> Decisions:
        """Nearest server, ratio 1, and all servers' CPU over the users, at most that of one server."""
        most = problem.scenario.cpu_server_hz
        server = problem.nearest(observation) - problem.sites
        fair = min(most, most * problem.sites / problem.num_agents)
        return Decisions({"server": server, "ratio": np.ones(server.shape), "cpu_hz": np.full(server.shape, fair)})


class RandomRequests(Rule):
    """Each user draws server, ratio and CPU request; level 0 means local, as in the paper's encoding."""

    name = "random-requests"
    serves = PartialMobile

    levels: int = Field(5, ge=2, description="levels of ratio and CPU, K of Algorithm 2")

    def decide(self, problem: PartialMobile, observation: Observation, rng: np.random.Generator) -> Decisions:
        """Draw uniformly from the paper's grid."""
        shape = (observation.count, problem.num_agents)
        # A stream for each slot's array, so that more instances extend fewer.
        to_ratio, to_cpu, to_server = rng.spawn(3)
        ratio, cpu = (stream.integers(self.levels, size=shape) / (self.levels - 1) for stream in (to_ratio, to_cpu))
        server = to_server.integers(1, problem.sites, size=shape, endpoint=True)
        return Decisions({"server": server, "ratio": ratio, "cpu_hz": cpu * problem.scenario.cpu_server_hz})


RULES = {rule.name: rule for rule in (EdgeOnly, RandomRequests)}
