"""The MILP from a bad incumbent and a loose bound, and the prices of its cuts."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.core import Observation
from offloadopt.solvers.shared_servers.core_milp import SharedServersMilp, clearing_price, priced_mode_costs

from toys.shared_slots import loose_bound, one_slot


@pytest.mark.parametrize("time_weight", [0.1, 0.7, 0.9])
def test_the_milp_alone_closes_the_gap_from_a_bad_incumbent_and_a_loose_bound(time_weight: float) -> None:
    problem = one_slot(4, 2, time_weight=time_weight, cpu_server_hz=1e9)
    for seed in range(8):
        instance = problem.sample(1, seed=seed)
        modes, costs = problem.splitting(instance).take(0), problem.costs(Observation(instance))
        bound, every, cost = loose_bound(problem, instance, seed)
        worst = every[cost.argmax()]
        everything = np.ones((2, 4, 2, 4), dtype=bool)
        milp = SharedServersMilp(modes, everything, bound, costs, worst, float(cost.max()), 1e-6 * cost.min())
        proved = milp.prove(Deadline())
        assert milp.upper == pytest.approx(cost.min(), rel=1e-6)
        assert costs.cost(milp.assignment[None])[0] == pytest.approx(milp.upper, rel=1e-12)
        assert cost.min() * (1 - 3e-6) <= proved <= cost.min() * (1 + 1e-12)


@pytest.mark.parametrize("scale", [0.2, 50.0])
def test_at_the_clearing_price_demand_equals_the_cpu_or_the_price_is_zero(scale: float) -> None:
    problem = one_slot(4, 2, time_weight=0.9, cpu_server_hz=scale * 1e9)
    modes = problem.splitting(problem.sample(1, seed=0)).take(0)
    members, whole = np.array([0, 2, 3]), np.array([False, True, False])
    price = clearing_price(modes, members, 1, whole)
    tasks = modes.take((members, np.full(3, 1), np.full(3, 2)))
    demand = tasks.best_cpu(whole, np.full(3, price)).sum()
    if price > 0.0:
        assert demand == pytest.approx(scale * 1e9, rel=1e-9)
    else:
        assert demand <= scale * 1e9
    assert (price > 0.0) == (scale < 1.0)


def test_priced_mode_costs_are_the_least_over_a_grid_of_cpu() -> None:
    problem = one_slot(3, 2, time_weight=0.7)
    modes = problem.splitting(problem.sample(1, seed=1)).take(0)
    price = np.full((3, 2, 3), 2e-10)
    found = priced_mode_costs(modes, price)
    for mode in (0, 1):
        for cpu in np.geomspace(1e-6, 1.0, 400) * modes.cpu_max_hz:
            assert (
                found[mode] <= modes.mode_cost(np.asarray(bool(mode)), np.full((3, 2, 3), cpu)) + price * cpu + 1e-12
            ).all()
