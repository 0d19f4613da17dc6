"""Buffers that must lose bits are planned to a proof, against `minlp`, random powers and enumerated segments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Problem, Status
from offloadopt.solvers.backlog.exact import BacklogExact
from offloadopt.solvers.backlog.overflow_paths import plan_with_losses, possible, top_price
from offloadopt.solvers.backlog.taut_string import device_constants, slots_of_buffer

WEAK = {"local_max_w": 0.05, "offload_max_w": 0.1, "noise_w": 1e-6}
LOSSY: tuple[dict[str, Any], ...] = (
    {"buffer_bits": 2e3, "arrival_quanta": 3.0, "start_bits": 1e3},
    {"buffer_bits": 2e4, "arrival_quanta": 10.0, "harvest_w": 0.0, "overflow_unit": 10.0, **WEAK},
    {"buffer_bits": 4e3, "arrival_quanta": 3.0, "overflow_unit": 1.0, "final_weight": 5.0},
    {"buffer_bits": 8e3, "arrival_quanta": 6.0, "overflow_unit": 0.01, "harvest_w": 0.3, **WEAK},
)


def carbon(**changes: Any) -> Any:
    return registry.problem("carbon_mimo", **{"users": 1, "antennas": 2, "horizon": 4, **changes})


def lost_bits(problem: Any, instances: Any, decisions: Any) -> Any:
    backlog = problem.backlog(instances)
    served = backlog.service.bits(*problem.powers(decisions))
    bits, lost = backlog.start_bits, 0.0
    for t in range(problem.horizon):
        bits = np.maximum(bits - served[:, t], 0.0) + backlog.arrival_bits[:, t]
        lost = lost + np.maximum(bits - backlog.capacity_bits, 0.0)
        bits = np.minimum(bits, backlog.capacity_bits)
    return lost


@pytest.mark.parametrize("changes", LOSSY)
def test_plans_that_lose_bits_are_proved_optimal(changes: dict[str, Any]) -> None:
    problem = carbon(**changes)
    instances = problem.sample(6, seed=1)
    solved = BacklogExact(relative_gap=1e-8).run(problem, instances)
    assert solved.status.tolist() == [Status.OPTIMAL] * 6
    assert (lost_bits(problem, instances, solved.decisions) > 1.0).any()
    # No random change of the powers costs less than the bound.
    rng, many = np.random.default_rng(0), instances.take(np.repeat(np.arange(6), 500))
    powers = [np.repeat(power, 500, axis=0) for power in problem.powers(solved.decisions)]
    for power, most in zip(powers, (problem.scenario.local_max_w, problem.scenario.offload_max_w), strict=True):
        power *= np.exp(rng.normal(0.0, 0.3, power.shape) * (rng.random(power.shape) < 0.5))
        np.clip(power + most * rng.random(power.shape) * (rng.random(power.shape) < 0.2), 0.0, most, out=power)
    cost = problem.evaluate(many, problem.serve(*powers)).cost.reshape(6, 500)
    assert (solved.bound[:, None] <= cost).all()


def test_the_proof_agrees_with_a_general_solver() -> None:
    problem = carbon(horizon=3, **LOSSY[0])
    instances = problem.sample(3, seed=4)
    solved = BacklogExact(relative_gap=1e-8).run(problem, instances)
    general = registry.solver("minlp", problem).run(problem, instances)
    np.testing.assert_allclose(solved.objective, general.objective, rtol=1e-6)
    assert (general.bound <= solved.objective).all()


def test_without_losses_it_gives_what_the_taut_string_does() -> None:
    problem = carbon(horizon=6)
    instances = problem.sample(3, seed=2)
    backlog, solved = problem.backlog(instances), BacklogExact().run(problem, instances)
    effort = backlog.service.effort_for_energy(np.broadcast_to(backlog.service.green_j, backlog.arrival_bits.shape))
    for row in range(3):
        _, bound = plan_with_losses(backlog, effort, row, 0)
        assert bound == pytest.approx(solved.objective[row], rel=1e-8)


def test_a_segment_is_left_out_only_where_the_buffer_must_overflow_or_cannot_be_full() -> None:
    problem: Problem[Any] = carbon(horizon=2, buffer_bits=4e3, **WEAK)
    instances = problem.sample(1, seed=0)
    backlog = problem.backlog(instances)  # type: ignore[attr-defined]
    for arrivals, fits, fills in (((1e3, 1e3), True, False), ((9e3, 0.0), False, True), ((3.5e3, 3.5e3), False, True)):
        given = replace(backlog, arrival_bits=np.array(arrivals)[None, :, None], start_bits=np.zeros((1, 1)))
        effort = np.zeros((1, 2, 1))
        slots, device = slots_of_buffer(given, effort, 0, 0), device_constants(given.service.device)
        top = top_price(given, slots)
        assert possible(slots, device, 0.0, 0, 2, 4e3, top) == fits
        assert (possible(slots, device, 0.0, 0, 1, 4e3, top) or possible(slots, device, 0.0, 0, 0, 4e3, top)) == fills
