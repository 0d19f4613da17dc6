"""Lyapunov drift-plus-penalty for buffers: in every slot the value of a served bit is its backlog over ``v``.

Minimising ``v * energy cost - B * bits served`` slot by slot bounds the sum of the drift of ``B^2 / 2`` and of the
penalty, so that the mean cost of energy comes within O(1/v) of the least that keeps the buffers stable, while the
backlogs grow as O(v) (Neely 2010; Mao, Zhang, Song, Letaief: "Power-delay tradeoff in multi-user mobile-edge computing
systems", arXiv:1609.06027). Given the links, users are independent, and the slot's problem has a closed form up to one
bisection on the price of energy: `Service.best`.

A battery adds LODCO's virtual queue (Mao, Zhang, Letaief: "Dynamic computation offloading for mobile-edge computing
with energy harvesting devices", JSAC 2016): the drift of ``(b - theta)^2 / 2`` puts a price proportional to
``theta - b`` on a joule from the battery. Its two constants follow from the two extreme levels. A joule taken from an
empty battery must soon be replaced from the grid: its price is the grid price. A full battery loses the next green
joule: its price is 0. Hence ``theta`` is the capacity, and the price is ``grid price * (1 - b / capacity)``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import (
    Decisions,
    FloatArray,
    Instances,
    Observation,
    Problem,
    Progress,
    Scenario,
    Solutions,
    rollout,
)
from offloadopt.solvers.base import Rule
from offloadopt.solvers.tuning import TunedParameter, pair_values_with_instances, tune_parameter, tuning_sample
from offloadopt.structures.backlog import BacklogProblem

TUNING_SEED = 712_389_051
"""Seed of the sample on which ``v`` is tuned; do not evaluate on it."""
COARSE_FACTORS = np.logspace(-4.0, 4.0, 13)
"""First round of ``v``, relative to the reference scale: squared bits of a slot at full power over its cost."""
FINE_STEPS = 9
"""Second round: number of values between the neighbours of the first round's best value."""


class BacklogLyapunov(Rule):
    """Minimise drift plus penalty: serve bits whose backlog over ``v`` exceeds their energy cost."""

    name = "lyapunov"
    serves = BacklogProblem

    v: float | None = Field(
        default=None,
        gt=0,
        description="weight of energy cost against backlog, bit^2 per unit of cost (blind: per J); none: tuned",
    )
    carbon_aware: bool = Field(
        default=True, description="charge energy at its cost; otherwise every joule costs 1, green or not"
    )

    def decide(self, problem: BacklogProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """Powers of least drift plus penalty in the slot."""
        v = np.asarray(self._chosen_v(problem))
        return problem.serve(*_powers(problem, observation, v, self.carbon_aware))

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Roll out and score.

        ``details["v"]`` holds ``v``. ``details["tuning_seconds"]`` holds the time of tuning it, which ``seconds`` leave
        out: the same for every instance, 0 where ``v`` is given.
        """
        self.require(problem)
        if self.v is None:
            tuned = _tuned_v(type(problem), problem.scenario, self.carbon_aware)
        else:
            tuned = TunedParameter(self.v, 0.0)
        solutions = super().run(problem, instances, seed=seed, progress=progress)
        return replace(solutions, details=tuned.details("v", instances.count))

    def _chosen_v(self, problem: Problem[Any]) -> float:
        return tuned_v(problem, self.carbon_aware) if self.v is None else self.v


def tuned_v(problem: Problem[Any], carbon_aware: bool = True) -> float:
    """Find the ``v`` of least mean cost on a fixed sample of the problem; cached by scenario.

    Two rounds over a logarithmic scale, all values on the same instances.
    """
    return _tuned_v(type(problem), problem.scenario, carbon_aware).value


def trade_off(
    problem: BacklogProblem[Any], instances: Instances, v: ArrayLike, carbon_aware: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Compute mean energy cost and mean backlog as functions of ``v``: the [O(1/v), O(v)] trade-off.

    Parameters
    ----------
    problem : BacklogProblem
    instances : Instances
        The same for every ``v``.
    v : array_like [values]
    carbon_aware : bool

    Returns
    -------
    energy_cost : array [values]
        Cost of an agent's energy in a slot, relative to using none; mean over instances, slots and agents.
    buffer_bits : array [values]
        Bits that wait before a slot's service; mean over instances, slots and agents.
    """
    BacklogLyapunov().require(problem)
    values = np.atleast_1d(np.asarray(v, dtype=np.float64))
    energy_cost, buffer_bits = np.zeros(len(values)), np.zeros(len(values))
    v_of_instance, repeated_instances = pair_values_with_instances(instances, values)

    def decide(observation: Observation) -> Decisions:
        nonlocal energy_cost, buffer_bits
        service = problem.service(observation)
        powers = _powers(problem, observation, v_of_instance[:, None], carbon_aware)
        cost = service.energy_cost(service.energy_j(*powers))
        energy_cost += cost.reshape(len(values), -1).mean(axis=1) / problem.horizon
        buffer_bits += problem.buffer_bits(observation).reshape(len(values), -1).mean(axis=1) / problem.horizon
        return problem.serve(*powers)

    rollout(problem, repeated_instances, decide)
    return energy_cost, buffer_bits


def _powers(
    problem: BacklogProblem[Any], observation: Observation, v: FloatArray, carbon_aware: bool
) -> tuple[FloatArray, FloatArray]:
    """Powers ``[count, agents]`` of a slot, for one ``v`` or one for each instance ``[count, 1]``."""
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


@lru_cache(maxsize=64)
def _tuned_v(problem_type: type[BacklogProblem[Any]], scenario: Scenario, carbon_aware: bool) -> TunedParameter:
    begin = clock()
    problem = problem_type(scenario)
    instances = tuning_sample(problem, TUNING_SEED)

    def decide(observation: Observation, v: FloatArray) -> Decisions:
        return problem.serve(*_powers(problem, observation, v[:, None], carbon_aware))

    coarse = _reference_v(problem, instances, carbon_aware) * COARSE_FACTORS
    v = tune_parameter(problem, instances, coarse, FINE_STEPS, decide)
    return TunedParameter(v, clock() - begin)


def _reference_v(problem: BacklogProblem[Any], instances: Instances, carbon_aware: bool) -> float:
    """Squared bits of a slot at full power over its cost from the grid, in bit^2 per unit of energy cost."""
    service = problem.service(problem.observe(instances, problem.reset(instances)))
    full = np.asarray(service.device.local_max_w), np.asarray(service.device.offload_max_w)
    price = float(np.mean(service.grid_price)) if carbon_aware else 1.0
    return float(np.mean(service.bits(*full))) ** 2 / (price * float(service.energy_j(*full)))
