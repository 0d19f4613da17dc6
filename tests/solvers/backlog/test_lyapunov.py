"""Drift-plus-penalty against closed forms, searches over all powers, and what its theory promises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import FloatArray, Observation, Solutions, rollout
from offloadopt.problems.carbon_mimo import CarbonMimo
from offloadopt.solvers.backlog.lyapunov import BacklogLyapunov
from offloadopt.testing import check_solver

V = 2e8
"""bit^2 per unit of cost: some 1 kbit per slot at 5 kbit of backlog."""


def small(**changes: Any) -> CarbonMimo:
    problem = offloadopt.problem("carbon_mimo", **{"users": 2, "antennas": 4, "horizon": 8, **changes})
    assert isinstance(problem, CarbonMimo)
    return problem


class ShortlyTuned(BacklogLyapunov):
    """Tuned on few instances."""

    tuning_decisions = 600


def mean_cost(problem: CarbonMimo, solutions: Solutions) -> float:
    """Of an agent in a slot."""
    return float(solutions.objective.mean() / (problem.horizon * problem.num_agents))


def busy(problem: CarbonMimo, count: int = 40) -> Observation:
    """What may be observed in the first slot, with buffers of up to 20 kbit."""
    problem = CarbonMimo(problem.scenario.replace(start_bits=2e4))
    instances = problem.sample(count, seed=1)
    return problem.observe(instances, problem.reset(instances))


def test_the_blind_rule_is_the_closed_form() -> None:
    """Mao et al. at price 1: ``p = B W / (V ln 2) - 1/g`` and ``f = sqrt(B / (3 V kappa L))``, cut at the limits."""
    problem, v = small(), 1e10
    seen = busy(problem)
    decision = BacklogLyapunov(v=v, carbon_aware=False).decide(problem, seen, np.random.default_rng(0))
    compared = 0
    for row, user in np.ndindex(*seen["buffer_bits"].shape):
        buffer, gain = seen["buffer_bits"][row, user], seen["gain_per_w"][row, user]
        offload_w = min(max(buffer * 1e6 / (v * math.log(2)) - 1 / gain, 0.0), 2.0)
        local_hz = min(math.sqrt(buffer / (3 * v * 1e-27 * 500)), (2 / 1e-27) ** (1 / 3))
        if 1e-3 * local_hz / 500 + 1e3 * math.log2(1 + gain * offload_w) >= buffer:
            continue  # the whole buffer goes, with less energy
        assert decision["offload_w"][row, user] == pytest.approx(offload_w, rel=1e-9, abs=1e-12)
        assert decision["local_w"][row, user] == pytest.approx(1e-27 * local_hz**3, rel=1e-9)
        compared += 1
    assert compared > 40


def penalty(problem: CarbonMimo, green_j: FloatArray, carbon: FloatArray, energy_j: FloatArray) -> FloatArray:
    """What a slot's energy is said to cost, from the scenario's numbers: grid, waste, and the battery's own price."""
    s = problem.scenario
    grid_price = carbon / s.carbon_g_per_kwh / 3 / ((s.local_max_w + s.offload_max_w) * s.slot_s)
    waste_price = 1 / 3 / (s.harvest_max_w * s.slot_s)
    left = np.maximum(green_j - energy_j, 0.0)
    wasted = np.maximum(left - s.battery_j, 0.0)
    cost = grid_price * np.maximum(energy_j - green_j, 0.0) + waste_price * wasted
    if s.battery_j > 0:
        held = np.minimum(green_j, s.battery_j)
        taken = held - np.minimum(left, s.battery_j)
        cost = cost + grid_price * (1 - held / s.battery_j) * taken
    return np.asarray(cost)


@pytest.mark.parametrize("battery_j", [0.0, 6e-4, 5e-3])
def test_no_powers_have_less_drift_plus_penalty(battery_j: float) -> None:
    problem = small(battery_j=battery_j, carbon_by_hour=tuple(np.linspace(100, 1200, 24).tolist()))
    seen = dict(busy(problem))
    if battery_j > 0:  # as if a part of the battery were charged
        seen["green_j"] = seen["green_j"] + battery_j * np.random.default_rng(0).random(seen["green_j"].shape)
    service, buffer = problem.service(Observation(seen)), seen["buffer_bits"]
    decision = BacklogLyapunov(v=V).decide(problem, Observation(seen), np.random.default_rng(0))

    def drift_plus_penalty(local_w: FloatArray, offload_w: FloatArray) -> FloatArray:
        bits = 2e6 * np.cbrt(local_w / 1e-27) / 1e12 + 1e3 * np.log2(1 + service.gain_per_w * offload_w)
        cost = penalty(problem, seen["green_j"], seen["carbon_g_per_kwh"], 1e-3 * (local_w + offload_w))
        return np.asarray(V * cost - buffer * np.minimum(bits, buffer))

    reached = drift_plus_penalty(decision["local_w"], decision["offload_w"])
    near = [1 + sign * step for sign in (-1, 1) for step in np.geomspace(1e-4, 0.5, 15)]
    for first in (*np.linspace(0, 2, 60), *near):
        local_w = np.minimum(decision["local_w"] * first, 2.0) if first in near else np.full(buffer.shape, first)
        for second in (*np.linspace(0, 2, 60), *near, 1.0):
            other = np.minimum(decision["offload_w"] * second, 2.0) if second in near else np.full(buffer.shape, second)
            least = drift_plus_penalty(local_w, other)
            assert (reached <= least + 1e-9 * np.abs(least) + 1e-3).all()


def test_the_tuned_v_costs_least_on_instances_that_it_has_not_seen() -> None:
    problem = offloadopt.problem("carbon_mimo", users=2, antennas=6, horizon=30)
    instances = problem.sample(60, seed=3)
    solutions = BacklogLyapunov().run(problem, instances)
    (v,) = np.unique(solutions.details["v"])
    assert v == BacklogLyapunov().tuned(problem)[0] == BacklogLyapunov().tuned(type(problem)(problem.scenario))[0]
    again = BacklogLyapunov(v=v).run(problem, instances)
    assert again.decisions["local_w"].tobytes() == solutions.decisions["local_w"].tobytes()

    others = [
        BacklogLyapunov(v=v * factor).run(problem, instances).objective.mean() for factor in (0.05, 0.5, 2.0, 20.0)
    ]
    assert solutions.objective.mean() < 1.01 * min(others)
    # The cost is flat about its least; far away on either side it is not.
    assert solutions.objective.mean() < min(others[0], others[-1])


def test_the_tuned_rule_beats_the_blind_one_and_the_rules_of_thumb() -> None:
    problem = offloadopt.problem("carbon_mimo", horizon=20)
    instances = problem.sample(20, seed=4)
    rule = mean_cost(problem, ShortlyTuned().run(problem, instances))
    blind = mean_cost(problem, ShortlyTuned(carbon_aware=False).run(problem, instances))
    assert rule < 0.5 * blind
    for name in ("greedy-local", "greedy-offload", "full-power", "random"):
        assert rule < 0.5 * mean_cost(problem, offloadopt.solver(name, problem).run(problem, instances)), name


def test_green_and_blind_are_one_where_there_is_no_green_energy_and_one_price() -> None:
    """The grid's price is then in the unit of ``v`` alone."""
    problem = small(harvest_w=0.0)
    instances = problem.sample(10, seed=5)
    price = float(problem.grid_price(np.asarray(700.0)))
    aware = BacklogLyapunov(v=V).run(problem, instances).decisions
    blind = BacklogLyapunov(v=V * price, carbon_aware=False).run(problem, instances).decisions
    for name in aware:
        np.testing.assert_allclose(aware[name], blind[name], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("changes", [{"users": 1}, {"detector": "mmse"}])
def test_a_price_on_the_battery_pays(changes: dict[str, Any]) -> None:
    """Against the same rule that takes the battery's energy as free, at its best v; also where users disturb others."""
    problem = small(**changes, battery_j=0.01, horizon=25)
    instances = problem.sample(20, seed=6)

    def unpriced(v: float) -> float:
        def decide(seen: Observation) -> Any:
            buffer = problem.buffer_bits(seen)
            return problem.serve(*problem.service(seen).best(buffer / v, buffer))

        return float(problem.evaluate(instances, rollout(problem, instances, decide)).cost.mean())

    priced = ShortlyTuned().run(problem, instances).objective.mean()
    assert priced < 0.9 * min(unpriced(v) for v in np.geomspace(3e7, 1e9, 4))


def test_energy_comes_within_1_over_v_of_its_least_while_buffers_grow_like_v() -> None:
    problem = small(
        users=1, distance_m=100.0, arrival_quanta=2.0, harvest_w=0.0, buffer_bits=None, correlation=0.5, horizon=200
    )
    v = 8e7 * 2.0 ** np.arange(3)
    instances = problem.sample(12, seed=7)
    runs = [problem.evaluate(instances, BacklogLyapunov(v=value).run(problem, instances).decisions) for value in v]
    energy_cost, buffer_bits = (
        np.array([run.metrics[name].mean() for run in runs]) for name in ("carbon_g", "buffer_bits")
    )
    # Doubling v doubles the buffer and halves the distance to the least energy, and so each further saving.
    assert buffer_bits[1:] / buffer_bits[:-1] == pytest.approx(np.full(2, 2.0), rel=0.1)
    saved = energy_cost[:-1] - energy_cost[1:]
    assert saved[0] / saved[1] == pytest.approx(2.0, rel=0.25)


@pytest.mark.parametrize(
    "changes", [{"battery_j": 1e-3}, {"detector": "mmse", "users": 5}, {"csi_error": 0.1}], ids=lambda c: next(iter(c))
)
def test_the_rule_conforms_where_agents_touch_each_other_or_have_batteries(changes: dict[str, Any]) -> None:
    check_solver(BacklogLyapunov(v=V), small(**changes))
