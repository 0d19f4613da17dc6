"""Dynamic programming against enumerated powers, simulated costs, other rules and the known future."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import roots_genlaguerre
from scipy.stats import poisson

from offloadopt import registry
from offloadopt.core import Decisions
from offloadopt.errors import Unsupported
from offloadopt.problems.carbon_mimo import CarbonMimo
from offloadopt.solvers.backlog.dynamic_programming import DynamicProgramming
from offloadopt.testing import check_solver

Array = NDArray[np.float64]
COARSE = DynamicProgramming(buffer_points=97, gain_points=9, actions=17)


def lone(preset: str = "paper", **changes: Any) -> CarbonMimo:
    values = {"users": 1, "antennas": 4, "distance_m": 60.0, "speed_m_per_s": 0.0, "arrival_quanta": 3.0, "horizon": 12}
    problem = registry.problem("carbon_mimo", preset, **{**values, **changes})
    assert isinstance(problem, CarbonMimo)
    return problem


# ------------------------------------------------------------------------------------------------------ the optimum


def enumerated_cost(problem: CarbonMimo, start_bits: float) -> float:
    """Expected cost of the best policy over two slots with independent fading, without efforts and hat functions.

    Every pair of powers from a fine lattice is tried. The slot's gain is integrated by Gauss and Laguerre's rule, the
    buffer after the first slot stands on an even lattice.
    """
    s = problem.scenario
    arrivals = problem.quantum_bits * np.arange(12)
    arrival_chances = poisson.pmf(np.arange(12), s.arrival_quanta)
    green = 1e-4 * np.arange(9)
    green_chances = poisson.pmf(np.arange(9), s.harvest_w / 0.1)
    points, weights = roots_genlaguerre(24, s.antennas - 1)  # the sum of N exponential numbers
    gains = points * 1e-3 * s.distance_m**-3 / s.noise_w
    gain_chances = weights / weights.sum()

    levels = np.linspace(0.0, 1.0, 49) ** 2
    local_w, offload_w = (a.ravel() for a in np.meshgrid(s.local_max_w * levels, s.offload_max_w * levels))
    energy = s.slot_s * (local_w + offload_w)
    grid_price = float(problem.grid_price(np.asarray(s.carbon_g_per_kwh)))

    def best(buffer: Array, after: Array) -> Array:
        """Mean over gain and harvest of the least cost in each of the buffers, given what bits left cost there."""
        total = np.zeros(len(buffer))
        for gain, gain_chance in zip(gains, gain_chances, strict=True):
            bits = s.slot_s / s.cycles_per_bit * (local_w / s.kappa) ** (1 / 3)
            bits += s.slot_s * s.bandwidth_hz * np.log2(1.0 + gain * offload_w)
            later = np.interp(np.maximum(buffer[:, None] - bits, 0.0), buffer, after)
            for supply, chance in zip(green, green_chances, strict=True):
                energy_cost = grid_price * np.maximum(energy - supply, 0.0)
                energy_cost += problem.waste_price * np.maximum(supply - energy, 0.0)
                total += gain_chance * chance * (later + energy_cost).min(axis=1)
        return total

    def end(buffer: Array, price_per_bit: float, value: Array) -> Array:
        """Expected cost of a slot's end and of all later slots."""
        waiting = buffer[:, None] + arrivals
        kept = np.minimum(waiting, problem.capacity_bits)
        cost = price_per_bit * kept + problem.overflow_price * (waiting - kept) + np.interp(kept, buffer, value)
        return np.asarray(cost @ arrival_chances)

    buffer = np.linspace(0.0, problem.capacity_bits, 61)
    last = best(buffer, end(buffer, problem.holding_price + problem.final_price, np.zeros(len(buffer))))
    first = best(buffer, end(buffer, problem.holding_price, last))
    return float(np.interp(start_bits, buffer, first))


@pytest.mark.parametrize(("distance", "start"), [(60.0, 0.0), (60.0, 6000.0), (120.0, 2000.0)])
def test_the_expected_cost_is_that_of_enumerated_powers(distance: float, start: float) -> None:
    problem = lone(
        horizon=2,
        correlation=0.0,
        antennas=2,
        distance_m=distance,
        arrival_quanta=0.7,
        harvest_w=0.1,
        start_bits=6000.0,
        buffer_bits=6e3,
        carbon_weight=1.0,
    )
    expected = DynamicProgramming().cost_to_go(problem).expected_cost(np.asarray(start))
    assert expected == pytest.approx(enumerated_cost(problem, start), rel=3e-3)


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("paper", {}),
        ("paper", {"correlation": 0.0, "antennas": 1}),
        ("paper", {"correlation": 1.0, "antennas": 1}),
        ("paper", {"arrival_quanta": 8.0, "buffer_bits": 2e4, "start_bits": 2e4}),
        ("paper", {"charge": "literal", "harvest_w": 0.3}),
        ("paper-normalised", {}),
        ("ancestor", {"distance_m": 100.0}),
    ],
)
def test_the_expected_cost_is_the_mean_of_what_evaluate_charges(preset: str, changes: dict[str, Any]) -> None:
    problem = lone(preset, **changes)
    instances = problem.sample(3000, seed=11)
    solutions = COARSE.run(problem, instances)
    # Paired: what an instance costs more than was expected from its own start.
    excess = solutions.objective - solutions.details["expected_cost"]
    error = excess.std() / np.sqrt(len(excess))
    mean = solutions.objective.mean()
    assert error < 0.03 * mean
    assert abs(excess.mean()) < 4.0 * error + 0.005 * mean


def test_refining_the_grid_converges_from_above() -> None:
    problem = lone(horizon=20)
    costs = [
        DynamicProgramming(buffer_points=24 * 2**k + 1, gain_points=4 * 2**k + 1, actions=8 * 2**k + 1)
        .cost_to_go(problem)
        .expected_cost(np.zeros(1))[0]
        for k in range(4)
    ]
    steps = -np.diff(costs)
    assert (steps > 0).all()
    assert (steps[1:] < 0.5 * steps[:-1]).all()
    assert steps[-1] < 2e-3 * costs[-1]


# --------------------------------------------------------------------------------------------------- other methods


def test_no_other_causal_rule_costs_less_in_the_mean() -> None:
    problem = lone(horizon=30, antennas=2)
    instances = problem.sample(400, seed=5)
    ours = COARSE.run(problem, instances).objective
    others = {
        name: registry.solver(name, problem).run(problem, instances).objective
        for name in ("full-power", "lyapunov", "greedy-local", "greedy-offload")
        if name in registry.BUILT_IN["solvers"]
    }
    shape = (instances.count, problem.horizon, 1)
    for local_w, offload_w in itertools.product((0.0, 0.25, 0.5, 1.0), (0.0, 0.25, 0.5, 1.0, 2.0)):
        constant = Decisions({"local_w": np.full(shape, local_w), "offload_w": np.full(shape, offload_w)})
        others[f"{local_w} W, {offload_w} W"] = problem.evaluate(instances, constant).cost
    for name, theirs in others.items():
        assert ours.mean() < theirs.mean(), name


def test_knowing_the_future_costs_less() -> None:
    problem = lone(horizon=8)
    instances = problem.sample(24, seed=5)
    bound = registry.solver("exact", problem).run(problem, instances).bound
    assert (bound <= COARSE.run(problem, instances).objective + 1e-9).all()


# -------------------------------------------------------------------------------------------------------- the solver


def test_it_conforms() -> None:
    check_solver(COARSE, lone(horizon=4))


def test_backward_induction_runs_once_for_a_law() -> None:
    first = COARSE.cost_to_go(lone())
    assert COARSE.cost_to_go(lone()) is first
    assert COARSE.cost_to_go(lone(sinr_target=5.0)) is first, "an observation's scale changes nothing"
    assert COARSE.cost_to_go(lone(arrival_quanta=2.0)) is not first


def test_an_unlimited_buffer_is_served_beyond_the_grid() -> None:
    problem = lone("ancestor", distance_m=100.0, start_bits=4e4)
    instances = problem.sample(200, seed=2)
    short, long = (
        DynamicProgramming(gain_points=9, unlimited_quanta=end).run(problem, instances) for end in (30.0, 120.0)
    )
    assert short.objective.mean() == pytest.approx(long.objective.mean(), rel=2e-3)


def test_a_missing_link_leaves_the_cpu() -> None:
    problem = lone(horizon=4)
    instances = problem.sample(3, seed=2)
    silent = problem.check_instances({**instances, "channel": np.zeros_like(instances["channel"])})
    solutions = COARSE.run(problem, silent)
    assert np.isfinite(solutions.objective).all()
    assert solutions.decisions["local_w"].max() > 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"users": 2}, "users = 2"),
        ({"detector": "mmse"}, "detector = mmse"),
        ({"csi_error": 0.1}, r"csi_error = 0\.1"),
        ({"distance_m": None}, "distance_m = None"),
        ({"arrival_quanta_to": 5.0}, r"arrival_quanta_to = 5\.0"),
        ({"solar_place": (24.7, 46.7)}, "solar_place"),
        ({"battery_j": 1e-3}, r"battery_j = 0\.001"),
        ({"carbon_by_hour": (700.0,) * 24}, "carbon_by_hour"),
    ],
)
def test_it_refuses_a_future_without_a_known_law(changes: dict[str, Any], why: str) -> None:
    problem = lone(**changes)
    with pytest.raises(Unsupported, match=why) as refused:
        DynamicProgramming().cost_to_go(problem)
    assert "\n" not in str(refused.value)
