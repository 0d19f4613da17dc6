"""Drift-plus-penalty: in every slot a bit is worth its backlog over ``v``, whatever the future brings.

Minimising ``v * energy cost - B * bits served`` slot by slot bounds the sum of the drift of ``B^2 / 2`` and of the
penalty, so that the mean cost of energy comes within O(1/v) of the least that keeps the buffers stable while these grow
like O(v) (Neely 2010; Mao, Zhang, Song, Letaief: "Power-delay tradeoff in multi-user mobile-edge computing systems",
arXiv:1609.06027). Users are apart once their links are given, and the slot's problem is closed form up to
one bisection on the energy's price: `Service.best`.

A battery adds LODCO's second queue (Mao, Zhang, Letaief: "Dynamic computation offloading for mobile-edge computing with
energy harvesting devices", JSAC 2016): the drift of ``(b - theta)^2 / 2`` puts a price ``~ theta - b`` on a joule from
the battery. Its two free constants follow from its ends. A joule that leaves an empty battery must soon be replaced
from the grid: it costs what a grid joule costs. A full battery loses what comes next: its joules are free. Hence
``theta`` is the capacity, and the price is ``grid price * (1 - b / capacity)``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

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
from offloadopt.solvers.tuning import pair_values_with_instances, tune_parameter, tuning_sample
from offloadopt.structures.backlog import BacklogProblem

TUNING_SEED = 712_389_051
"""Of the sample on which ``v`` is tuned; nobody's own instances should be these."""
COARSE = np.logspace(-4.0, 4.0, 13)
"""First round of ``v``, over the natural scale: what a slot at full power serves, squared, over what it costs."""
FINE_STEPS = 9
"""Second round: so many values between the neighbours of the first round's best."""


class BacklogLyapunov(Rule):
    """Drift-plus-penalty: serves a bit when its backlog is worth the energy, green energy first."""

    name = "lyapunov"
    serves = BacklogProblem

    v: float | None = Field(
        default=None,
        gt=0,
        description="bit^2 per unit of energy cost (not carbon_aware: per joule), energy against backlog; none: tuned",
    )
    carbon_aware: bool = Field(
        default=True, description="whether energy costs what it costs; otherwise every joule costs 1, green or not"
    )

    def decide(self, problem: BacklogProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """The slot's least drift plus penalty."""
        v = np.asarray(self._chosen_v(problem))
        return problem.serve(*_powers(problem, observation, v, self.carbon_aware))

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Roll out and score; ``v`` stands in the solutions' details. Tuning counts as training, not as time."""
        self.require(problem)
        v = self._chosen_v(problem)
        solutions = super().run(problem, instances, seed=seed, progress=progress)
        return replace(solutions, details={"v": np.full(instances.count, v)})

    def _chosen_v(self, problem: Problem[Any]) -> float:
        return tuned_v(problem, self.carbon_aware) if self.v is None else self.v


def tuned_v(problem: Problem[Any], carbon_aware: bool = True) -> float:
    """The ``v`` of least mean cost on a fixed sample of the problem, found once for a scenario.

    Two rounds over a logarithmic scale, all values on the same instances.
    """
    return _tuned_v(type(problem), problem.scenario, carbon_aware)


def trade_off(
    problem: BacklogProblem[Any], instances: Instances, v: ArrayLike, carbon_aware: bool = True
) -> tuple[FloatArray, FloatArray]:
    """What each ``v`` comes to in the mean over instances, slots and agents: [O(1/v), O(v)].

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
        Cost of a slot's energy, relative to using none.
    buffer_bits : array [values]
        Bits that wait when a slot is decided.
    """
    BacklogLyapunov().require(problem)
    values = np.atleast_1d(np.asarray(v, dtype=np.float64))
    energy_cost, buffer_bits = np.zeros(len(values)), np.zeros(len(values))
    each, many = pair_values_with_instances(instances, values)

    def decide(observation: Observation) -> Decisions:
        nonlocal energy_cost, buffer_bits
        service = problem.service(observation)
        powers = _powers(problem, observation, each[:, None], carbon_aware)
        cost = service.energy_cost(service.energy_j(*powers))
        energy_cost += cost.reshape(len(values), -1).mean(axis=1) / problem.horizon
        buffer_bits += problem.buffer_bits(observation).reshape(len(values), -1).mean(axis=1) / problem.horizon
        return problem.serve(*powers)

    rollout(problem, many, decide)
    return energy_cost, buffer_bits


def _powers(
    problem: BacklogProblem[Any], observation: Observation, v: FloatArray, carbon_aware: bool
) -> tuple[FloatArray, FloatArray]:
    """The slot's powers ``[count, agents]``, for one ``v`` or one a row ``[count, 1]``."""
    service, buffer = problem.service(observation), problem.buffer_bits(observation)
    value = buffer / v
    if not carbon_aware:
        one = np.ones(())
        return replace(service, green_price=one, grid_price=one).best(value, buffer)
    battery_j = problem.battery_j
    if battery_j == 0:
        return service.best(value, buffer)

    # Three prices: what the battery cannot hold is charged when unused, what it can is worth keeping, then the grid.
    level = np.minimum(service.green_j / battery_j, 1.0)
    kept_price = service.grid_price * np.maximum(1.0 - level, 1e-9)
    spare = np.maximum(service.green_j - battery_j, 0.0)
    unheld = replace(service, green_j=spare, green_price=np.full((), -problem.waste_price), grid_price=kept_price)
    light, heavy = unheld.best(value, buffer), replace(service, green_price=kept_price).best(value, buffer)
    # The cost of energy is convex: where the first two prices alone stay within the green energy, they decide.
    within = service.energy_j(*light) <= service.green_j
    return np.where(within, light[0], heavy[0]), np.where(within, light[1], heavy[1])


@lru_cache(maxsize=64)
def _tuned_v(kind: type[BacklogProblem[Any]], scenario: Scenario, carbon_aware: bool) -> float:
    problem = kind(scenario)
    instances = tuning_sample(problem, TUNING_SEED)

    def decide(observation: Observation, v: FloatArray) -> Decisions:
        return problem.serve(*_powers(problem, observation, v[:, None], carbon_aware))

    coarse = _natural_v(problem, instances, carbon_aware) * COARSE
    return tune_parameter(problem, instances, coarse, FINE_STEPS, decide)


def _natural_v(problem: BacklogProblem[Any], instances: Instances, carbon_aware: bool) -> float:
    """What a slot at full power serves, squared, over what it costs from the grid: bit^2 per unit of energy cost."""
    service = problem.service(problem.observe(instances, problem.reset(instances)))
    full = np.asarray(service.device.local_max_w), np.asarray(service.device.offload_max_w)
    price = float(np.mean(service.grid_price)) if carbon_aware else 1.0
    return float(np.mean(service.bits(*full))) ** 2 / (price * float(service.energy_j(*full)))
