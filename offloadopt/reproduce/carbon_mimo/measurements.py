"""Measurements behind the tables and figures: what is averaged over episodes, and the time of single decisions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from offloadopt.core import FloatArray, Instances, Observation, Solutions
from offloadopt.problems.carbon_mimo import CarbonMimo
from offloadopt.reproduce.measurements import Measurements
from offloadopt.reproduce.training import Json

if TYPE_CHECKING:
    from offloadopt.learners.common.agent_policy import AgentPolicy

BOUND = "hindsight bound"
"""Label of the proved lower bound, which assumes that all random quantities are known beforehand."""
HINDSIGHT = "hindsight"
"""Label of the decisions that are optimal in hindsight."""
TIMED_DECISIONS = 200
"""Number of single decisions that are timed."""


class CarbonMimoMeasurements(Measurements):
    """Episodes of `carbon_mimo`."""

    problem = "carbon_mimo"
    bound = BOUND
    extra = ("users",)

    def averages(self, problem: CarbonMimo, instances: Instances, solutions: Solutions) -> Json:
        """Means over instances, slots and users; carbon by served bit and by joule; shares of arrivals and harvest."""
        outcome = problem.evaluate(instances, solutions.decisions)
        total: dict[str, FloatArray] = dict(outcome.metrics)
        share, harvested = self.share(problem), float(instances["harvest_j"].sum())

        def ratio(part: str, whole: float) -> float:
            return float(total[part].sum()) / whole if whole > 0 else 0.0

        return {
            "cost": float(outcome.cost.mean()) / share,
            "carbon_g_per_bit": ratio("carbon_g", float(total["served_bits"].sum())),
            "carbon_g_per_j": ratio("carbon_g", float(total["energy_j"].sum())),
            "overflow": ratio("overflow_bits", float(total["arrived_bits"].sum())),
            "wasted": ratio("wasted_j", harvested),
            "buffer_quanta": float(total["buffer_bits"].mean()) / problem.num_agents / problem.quantum_bits,
            "power_w": float(total["energy_j"].mean()) / share / problem.scenario.slot_s,
            "served": ratio("served_bits", float(total["arrived_bits"].sum() + instances["start_bits"].sum())),
        }

    def share(self, problem: CarbonMimo) -> int:
        """Slots and users."""
        return problem.horizon * problem.num_agents

    def beside(self, policy: Any, given: Mapping[str, Any]) -> Json:
        """Times of single decisions for each number of ``users``."""
        return {"inference": [time_decisions(policy, given["scenario"], count) for count in given.get("users", ())]}


MEASURE = CarbonMimoMeasurements()


def time_decisions(policy: AgentPolicy, scenario: Mapping[str, Any], users: int) -> Json:
    """Time a slot's decision of one device and of all devices in one batch; count parameters and bytes.

    A device decides from its own row of the observation, so that its time cannot depend on the others.
    """
    crowd = MEASURE.make({**scenario, "users": users, "antennas": max(users, int(scenario["antennas"]))})
    instances = crowd.sample(2, 0)
    together = crowd.observe(instances, crowd.reset(instances)).take([0])
    alone = Observation({name: array[:, :1] for name, array in together.items()})
    single = MEASURE.make({**scenario, "users": 1})
    found: Json = {"users": users, "parameters": policy.parameters, "bytes": policy.bytes}
    for name, problem, observation in (("device_ms", single, alone), ("all_ms", crowd, together)):
        decider = type(policy)(policy.interface.for_problem(problem), policy.actor, policy.origin)
        decider.act(observation)
        spent = []
        for _ in range(TIMED_DECISIONS):
            begin = time.perf_counter()
            decider.act(observation)
            spent.append(time.perf_counter() - begin)
        found[name] = 1e3 * float(np.median(spent))
    return found
