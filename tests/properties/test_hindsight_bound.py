"""Bounds from prices lie below every decision's cost, whatever the scenario, the decision and the prices."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offloadopt import registry
from offloadopt.core import Instances
from offloadopt.problems.carbon_mimo import CarbonMimo, CarbonMimoScenario
from offloadopt.solvers.backlog.dual_bound import price_bound
from offloadopt.solvers.backlog.exact import BacklogExact

ROUNDING = 1e-9
FEW: Any = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def cases(draw: st.DrawFn, batteries: bool) -> tuple[CarbonMimo, Instances]:
    """Idle to overloaded buffers, tiny to unlimited; no or much green energy; near and far; cheap and dear losses."""
    problem = CarbonMimo(
        CarbonMimoScenario(
            users=draw(st.integers(1, 3)),
            antennas=4,
            horizon=draw(st.integers(2, 12)),
            arrival_quanta=draw(st.sampled_from([0.1, 2.0, 6.0, 20.0])),
            buffer_bits=draw(st.sampled_from([500.0, 1e4, 1e5, None])),
            start_bits=draw(st.sampled_from([0.0, 500.0])),
            harvest_w=draw(st.sampled_from([0.0, 0.3, 2.0, 10.0])),
            overflow_unit=draw(st.sampled_from([0.1, 1.0, 100.0])),
            distance_m=draw(st.sampled_from([None, 10.0, 1e3, 1e6])),
            charge=draw(st.sampled_from(["normalised", "literal", "ancestor"])),
            buffer_weight=draw(st.sampled_from([0.0, 1 / 3])),
            final_weight=draw(st.sampled_from([0.0, 1.0, 50.0])),
            carbon_by_hour=draw(st.sampled_from([None, tuple(np.linspace(1.0, 1000.0, 24))])),
            slot_s=draw(st.sampled_from([1e-3, 600.0])),
            bandwidth_hz=1e6,
            battery_j=draw(st.sampled_from([1e-4, 1e-2])) if batteries else 0.0,
        )
    )
    return problem, problem.sample(2, draw(st.integers(0, 1000)))


def costs_of_others(problem: CarbonMimo, instances: Instances) -> list[np.ndarray]:
    """[count] costs of rules and of powers drawn at random."""
    service = problem.backlog(instances).service
    rng, shape = np.random.default_rng(0), service.gain_per_w.shape
    shares = [np.zeros(shape), np.ones(shape), *rng.random((6, *shape)), *(rng.random((6, *shape)) ** 6)]
    powers = [(2.0 * share, 2.0 * other) for share, other in zip(shares, shares[::-1], strict=True)]
    rules = [registry.solver(name, problem) for name in ("greedy-local", "greedy-offload", "full-power")]
    rules.append(registry.solver("lyapunov", problem, v=1e9))
    return [problem.evaluate(instances, problem.serve(*pair)).cost for pair in powers] + [
        rule.run(problem, instances).objective for rule in rules
    ]


def must_be_best(problem: CarbonMimo, instances: Instances) -> None:
    found = BacklogExact().run(problem, instances)
    assert np.isfinite(found.bound).all()
    lossless = problem.evaluate(instances, found.decisions).metrics["overflow_bits"] == 0
    proved = lossless & (problem.scenario.battery_j == 0)
    for cost in costs_of_others(problem, instances):
        assert (found.bound <= cost + ROUNDING * np.abs(cost)).all()
        assert (found.objective[proved] <= cost[proved] * (1 + 1e-6) + 1e-12).all()


@FEW
@given(cases(batteries=False))
def test_no_decision_costs_less_than_the_bound(case: tuple[CarbonMimo, Instances]) -> None:
    must_be_best(*case)


@settings(FEW, max_examples=8)
@given(cases(batteries=True))
def test_no_decision_with_a_battery_costs_less_than_the_bound(case: tuple[CarbonMimo, Instances]) -> None:
    must_be_best(*case)


@FEW
@given(cases(batteries=False), st.integers(0, 99), st.sampled_from([1e-9, 1e-5, 1e-3, 1e3]))
def test_any_prices_give_a_bound(case: tuple[CarbonMimo, Instances], seed: int, scale: float) -> None:
    problem, instances = case
    backlog = problem.backlog(instances)
    edge = backlog.service.effort_for_energy(backlog.service.green_j)
    prices = scale * np.random.default_rng(seed).normal(size=edge.shape)
    bound = price_bound(backlog, prices, edge).sum(axis=1)
    assert (bound <= BacklogExact().run(problem, instances).objective * (1 + ROUNDING) + 1e-12).all()
    for cost in costs_of_others(problem, instances):
        assert (bound <= cost + ROUNDING * np.abs(cost)).all()


@FEW
@given(cases(batteries=True), st.integers(0, 99), st.sampled_from([1e-9, 1e-5, 1e-3]), st.sampled_from([0.1, 10.0]))
def test_any_prices_of_bits_and_joules_give_a_bound(
    case: tuple[CarbonMimo, Instances], seed: int, scale: float, joule_scale: float
) -> None:
    problem, instances = case
    backlog, rng = problem.backlog(instances), np.random.default_rng(seed)
    edge = backlog.service.effort_for_energy(backlog.service.green_j)
    prices = scale * rng.normal(size=edge.shape)
    joules = joule_scale * rng.normal(size=edge.shape) * np.broadcast_to(backlog.service.grid_price, edge.shape)
    bound = price_bound(backlog, prices, edge, joules).sum(axis=1)
    for cost in costs_of_others(problem, instances):
        assert (bound <= cost + ROUNDING * np.abs(cost)).all()
