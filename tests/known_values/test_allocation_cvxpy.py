"""The closed forms of the convex subproblem (13) against general convex solvers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from offloadopt import registry
from offloadopt.core import Instances
from offloadopt.physics import channel

cp = pytest.importorskip("cvxpy")

LN2 = float(np.log(2.0))


def cheapest_bit_by_cone(snr_per_watt, time_weight, energy_weight, power_max_w):
    """Cost and power of sending one bit over one hertz, as an exponential cone in the transmit time.

    Sending ``D`` bits for ``t`` takes the power ``(2^(D/(B t)) - 1) / g``; its energy is convex in ``t``, since
    ``z >= t exp(x/t)`` is a cone.
    """
    t, z = cp.Variable(), cp.Variable()
    energy = (z - t) / snr_per_watt
    limits = [cp.ExpCone(cp.Constant(LN2), t, z), energy <= power_max_w * t]
    programme = cp.Problem(cp.Minimize(time_weight * t + energy_weight * energy), limits)
    programme.solve(solver=cp.CLARABEL)
    return programme.value, energy.value / t.value


CASES = [
    # g in 1/W, l_t, l_e, P_max: inside the limit, at the limit, strong link, dear time, dear energy
    (10.0, 0.5, 0.5, 1.5),
    (0.3, 0.5, 0.5, 1.5),
    (300.0, 0.5, 0.5, 1.5),
    (5.0, 3.0, 0.1, 0.4),
    (5.0, 0.05, 2.0, 1.5),
]


@pytest.mark.parametrize(("g", "time_weight", "energy_weight", "power_max_w"), CASES)
def test_cheapest_power_minimises_the_cost_of_a_bit(g, time_weight, energy_weight, power_max_w):
    def cost_of_a_bit(power_w):
        return (time_weight + energy_weight * power_w) / np.log2(1.0 + g * power_w)

    power_w = channel.cheapest_power(np.array(g), time_weight, energy_weight, power_max_w).item()
    searched = minimize_scalar(cost_of_a_bit, bounds=(0.0, power_max_w), method="bounded", options={"xatol": 1e-12})
    assert cost_of_a_bit(power_w) <= searched.fun * (1 + 1e-12)
    assert power_w == pytest.approx(searched.x, rel=1e-5)

    cone_cost, cone_power_w = cheapest_bit_by_cone(g, time_weight, energy_weight, power_max_w)
    assert cost_of_a_bit(power_w) == pytest.approx(cone_cost, rel=1e-7)
    assert power_w == pytest.approx(cone_power_w, rel=1e-3)


def subproblem_by_cvxpy(problem, instance, server):
    """Optimal value of (13) over all servers, power and CPU shares jointly, for one assignment ``[users]``."""
    s = problem.scenario
    giga = 1e9
    cycles, bits = instance["task_cycles"][0] / giga, instance["task_bits"][0] / s.bandwidth_hz
    local = server == 0
    local_s = cycles[local] * giga / s.cpu_local_hz
    fixed = float(np.sum((s.time_weight + s.energy_weight * s.kappa * s.cpu_local_hz**s.cpu_exponent) * local_s))
    cost, limits = fixed, []
    for j in range(1, s.servers + 1):
        served = np.flatnonzero(server == j)
        if len(served) == 0:
            continue
        g = instance["gain"][0, served, j - 1] / (s.noise_w_per_hz * s.bandwidth_hz)
        send_s, z, ghz = (cp.Variable(len(served)) for _ in range(3))
        energy = cp.multiply(1 / g, z - send_s)
        limits += [
            cp.ExpCone(cp.Constant(LN2 * bits[served]), send_s, z),
            energy <= s.power_max_w * send_s,  # (7)
            cp.sum(ghz) <= s.cpu_server_hz / giga,  # (6)
        ]
        compute_s = cp.multiply(cycles[served], cp.inv_pos(ghz))
        cost += cp.sum(s.time_weight * (send_s + compute_s) + s.energy_weight * energy)
    programme = cp.Problem(cp.Minimize(cost), limits)
    programme.solve(solver=cp.CLARABEL)
    return programme.value


@pytest.mark.parametrize("seed", range(6))
def test_allocate_solves_the_convex_subproblem(seed):
    weights = {"time_weight": 0.3 + 0.2 * seed, "energy_weight": 0.7}
    problem = registry.problem("multi_server", "heterogeneous", users=8, servers=3, **weights)
    instance = problem.sample(1, seed)
    server = np.random.default_rng(seed).integers(0, 4, size=8)
    # Very weak links, which the random assignment may use, are beyond a general solver's accuracy.
    instance = Instances({**instance, "gain": np.maximum(instance["gain"], 3e-8)})

    decisions = problem.allocate(instance, server[None])
    outcome = problem.evaluate(instance, decisions)
    assert outcome.feasible.all()
    assert outcome.cost[0] == pytest.approx(subproblem_by_cvxpy(problem, instance, server), rel=1e-6)
