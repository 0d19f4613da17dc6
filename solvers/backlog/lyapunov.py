"""Lyapunov drift-plus-penalty for buffers: in every slot the value of a served bit is its backlog over ``v``.

The buffers are the queues (`offloadopt.solvers.lyapunov`); the rule minimises ``v * energy cost - B * bits served``
(Mao, Zhang, Song, Letaief: "Power-delay tradeoff in multi-user mobile-edge computing systems", arXiv:1609.06027). Given
the links, users are independent, and the slot's problem has a closed form up to one bisection on the price of energy:
`Service.best`.

A battery adds LODCO's virtual queue (Mao, Zhang, Letaief: "Dynamic computation offloading for mobile-edge computing
with energy harvesting devices", JSAC 2016): the drift of ``(b - theta)^2 / 2`` puts a price proportional to
``theta - b`` on a joule from the battery. Its two constants follow from the two extreme levels. A joule taken from an
empty battery must soon be replaced from the grid: its price is the grid price. A full battery loses the next green
joule: its price is 0. Hence ``theta`` is the capacity, and the price is ``grid price * (1 - b / capacity)``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import Decisions, FloatArray, Instances, Observation, Problem
from offloadopt.errors import Unsupported
from offloadopt.quantities import Tradeoff
from offloadopt.solvers.backlog.joint_powers import joint_powers
from offloadopt.solvers.lyapunov import DriftPlusPenalty
from offloadopt.structures.backlog import BacklogProblem


class BacklogLyapunov(DriftPlusPenalty):
    """Minimise drift plus penalty: serve bits whose backlog over ``v`` exceeds their energy cost."""

    serves = BacklogProblem
    tuning_seed = 712_389_051
    coarse_factors = np.logspace(-4.0, 4.0, 13)
    fine_steps = 9

    v: Tradeoff | None = Field(
        default=None,
        gt=0,
        description="weight of energy cost against backlog, bit^2 per unit of cost (blind: per J); none: tuned",
    )
    carbon_aware: bool = Field(
        default=True, description="charge energy at its cost; otherwise every joule costs 1, green or not"
    )

    centralised: bool = Field(
        default=False,
        description="where users disturb each other: the base station, which knows all channels and buffers, sets all "
        "powers together; otherwise each user sets its own, as if the others sent at full power",
    )

    def require(self, problem: Problem[Any]) -> None:
        """Refuse to set powers together where that means nothing: for users that are independent, or with batteries."""
        super().require(problem)
        battery_j = cast("BacklogProblem[Any]", problem).battery_j
        if self.centralised and (battery_j > 0 or not self.carbon_aware):
            raise Unsupported("centralised: the powers are set together without batteries and with carbon_aware only")

    def minimise(self, problem: BacklogProblem[Any], observation: Observation, v: FloatArray) -> Decisions:
        """Powers of least drift plus penalty in the slot."""
        uplink = problem.estimated_uplink(observation) if self.centralised else None
        if uplink is not None:
            buffer = problem.buffer_bits(observation)
            return problem.serve(*joint_powers(problem.service(observation), uplink, buffer / v[:, None], buffer))
        return problem.serve(*_powers(problem, observation, v[:, None], self.carbon_aware))

    def minimise_coarsely(
        self, problem: BacklogProblem[Any], observation: Observation, v: FloatArray, deadline: Deadline
    ) -> Decisions:
        """Powers that each user sets on its own, also where `minimise` sets them together."""
        return problem.serve(*_powers(problem, observation, v[:, None], self.carbon_aware))

    def reference_v(self, problem: BacklogProblem[Any], sample: Instances) -> float:
        """Squared bits of a slot at full power over its cost from the grid, in bit^2 per unit of energy cost."""
        service = problem.service(problem.observe(sample, problem.reset(sample)))
        full = np.asarray(service.device.local_max_w), np.asarray(service.device.offload_max_w)
        price = float(np.mean(service.grid_price)) if self.carbon_aware else 1.0
        return float(np.mean(service.bits(*full))) ** 2 / (price * float(service.energy_j(*full)))


def _powers(
    problem: BacklogProblem[Any], observation: Observation, v: FloatArray, carbon_aware: bool
) -> tuple[FloatArray, FloatArray]:
    """Powers ``[count, agents]`` of a slot, with ``v [count, 1]``."""
    service, buffer = problem.service(observation), problem.buffer_bits(observation)
    value = buffer / v
    if not carbon_aware:
        unit_price = np.ones(())
        return replace(service, green_price=unit_price, grid_price=unit_price).best(value, buffer)
    battery_j = problem.battery_j
    if battery_j == 0:
        return service.best(value, buffer)

    # Prices in this order: energy beyond the capacity (wasted when unused), energy in the battery, the grid.
    charge_level = np.minimum(service.green_j / battery_j, 1.0)
    battery_price = service.grid_price * np.maximum(1.0 - charge_level, 1e-9)
    spare = np.maximum(service.green_j - battery_j, 0.0)
    spare_service = replace(
        service, green_j=spare, green_price=np.full((), -problem.waste_price), grid_price=battery_price
    )
    spare_powers, battery_powers = (
        spare_service.best(value, buffer),
        replace(service, green_price=battery_price).best(value, buffer),
    )
    # The cost of energy is convex: where the first two prices keep consumption within the green energy, they apply.
    spare_suffices = service.energy_j(*spare_powers) <= service.green_j
    return np.where(spare_suffices, spare_powers[0], battery_powers[0]), np.where(
        spare_suffices, spare_powers[1], battery_powers[1]
    )
