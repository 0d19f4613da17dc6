"""Two baselines that coordinate nothing, so that servers can be overloaded; the paper does not name its own.

All other rules leave the sharing of a server to the server, which never promises more CPU than it has.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from offloadopt.core import Decisions, Observation
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.solvers.base import Rule


class EdgeOnly(Rule):
    """Everybody sends everything to the nearest server, and asks for the CPU that an even spread would leave."""

    name = "edge-only"
    serves = PartialMobile

    def decide(self, problem: PartialMobile, observation: Observation, rng: np.random.Generator) -> Decisions:
        """All servers' CPU divided by the users, and no more than one server has."""
        most = problem.scenario.cpu_server_hz
        server = problem.nearest(observation) - problem.sites
        fair = min(most, most * problem.sites / problem.num_agents)
        return Decisions({"server": server, "ratio": np.ones(server.shape), "cpu_hz": np.full(server.shape, fair)})


class RandomRequests(Rule):
    """Everybody draws a server, a ratio and a request for CPU; a level of 0 means local, as in the paper's encoding."""

    name = "random-requests"
    serves = PartialMobile

    levels: int = Field(5, ge=2, description="levels of ratio and CPU, K of Algorithm 2")

    def decide(self, problem: PartialMobile, observation: Observation, rng: np.random.Generator) -> Decisions:
        """Uniform on the paper's grid."""
        shape = (observation.count, problem.num_agents)
        # A stream for each slot's array, so that more instances extend fewer.
        to_ratio, to_cpu, to_server = rng.spawn(3)
        ratio, cpu = (stream.integers(self.levels, size=shape) / (self.levels - 1) for stream in (to_ratio, to_cpu))
        server = to_server.integers(1, problem.sites, size=shape, endpoint=True)
        return Decisions({"server": server, "ratio": ratio, "cpu_hz": cpu * problem.scenario.cpu_server_hz})


RULES = {rule.name: rule for rule in (EdgeOnly, RandomRequests)}
