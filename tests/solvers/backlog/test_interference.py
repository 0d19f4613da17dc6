"""Plans of users that disturb each other, and bounds: against enumeration, random powers and the rates' definition."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, Interrupted, Problem, Status
from offloadopt.interrupts import interrupt, interruptible
from offloadopt.solvers.backlog.interference import CommonBound, InterferenceSearches


def coupled(**changes: Any) -> Problem[Any]:
    small = {"users": 2, "antennas": 2, "horizon": 3, "harvest_w": 0.3, "start_bits": 2e4}
    return registry.problem("carbon_mimo", "interference", **{**small, **changes})


@pytest.mark.parametrize("changes", [{}, {"detector": "mrc"}, {"antennas": 1, "csi_error": 0.3}])
def test_no_powers_of_a_grid_cost_less_than_the_bound_and_few_less_than_the_plans(changes: dict[str, Any]) -> None:
    problem = coupled(horizon=2, **changes)
    instances = problem.sample(3, seed=2)
    found = registry.solver("exact", problem).run(problem, instances)
    levels = np.array([0.0, 0.05, 0.2, 0.6, 1.2, 2.0])
    powers = np.array(list(itertools.product(levels, repeat=4))).reshape(-1, 2, 2)  # of two users, CPU and transmitter
    first, second = (index.ravel() for index in np.meshgrid(*[np.arange(len(powers))] * 2))
    chosen = np.random.default_rng(0).permutation(len(first))[:20_000]
    plans = np.stack([powers[first[chosen]], powers[second[chosen]]], axis=1)  # [plan, slot, kind, user]
    for row in range(3):
        repeated = instances.take(np.full(len(plans), row))
        cost = problem.evaluate(repeated, problem.serve(plans[:, :, 0], plans[:, :, 1])).cost
        assert found.bound[row] <= cost.min()
        assert found.objective[row] <= cost.min() * (1.0 + 1e-3)
    assert (found.bound > 0.5 * found.objective).all()
    assert set(found.status) <= {Status.BOUNDED, Status.OPTIMAL}


def test_the_common_bound_raises_that_of_users_alone_where_all_must_send() -> None:
    problem = coupled(users=4, antennas=4, horizon=10, harvest_w=0.0, arrival_quanta=5.0, csi_error=0.0)
    instances = problem.sample(1, seed=3)
    uplink = problem.uplink(instances)
    assert uplink is not None
    searches = InterferenceSearches(problem, instances, uplink)
    alone = searches._searched(instances, searches.alone_gain, Deadline())
    plan = alone.plan()
    common, power = CommonBound(alone.backlog, searches.seen, alone.green_effort).bound(plan.bit_price, plan.offload_w)
    assert common > 1.02 * float(plan.bound.sum())
    searches.search(0, Deadline())
    assert searches.found().bound[0] >= common
    assert (power >= 0.0).all()


def test_a_sum_rate_is_what_users_send_that_are_decoded_one_after_the_other() -> None:
    """The weighted sum rate against the rates of successive decoding, and its slope against difference quotients."""
    from offloadopt.solvers.backlog.interference import _weighted_sum_rate

    rng = np.random.default_rng(4)
    channel = rng.standard_normal((3, 4, 2)).view(np.complex128)[..., 0][None]
    value, power = np.array([[2.0, 1.0, 3.0]]), np.array([[0.4, 1.0, 0.7]])
    channel = rng.standard_normal((1, 3, 3, 2)).view(np.complex128)[..., 0]

    def by_decoding(p: FloatArray) -> float:
        noise, total = np.eye(3).astype(complex), 0.0
        for u in (2, 0, 1):  # the dearest bits are decoded last, without the others' signals
            h = channel[0, u]
            total += value[0, u] * np.log1p(p[u] * np.real(h.conj() @ np.linalg.solve(noise, h)))
            noise = noise + p[u] * np.outer(h, h.conj())
        return float(total)

    rate, slope = _weighted_sum_rate(channel, value, power)
    assert rate[0] == pytest.approx(by_decoding(power[0]), rel=1e-12)
    for u in range(3):
        step = 1e-6 * np.eye(3)[u]
        quotient = (by_decoding(power[0] + step) - by_decoding(power[0] - step)) / 2e-6
        assert slope[0, u] == pytest.approx(quotient, rel=1e-6)


def test_powers_set_together_cost_less_than_each_users_own_and_a_battery_is_planned_too() -> None:
    problem = coupled(users=3, antennas=4, horizon=12, arrival_quanta=4.0)
    instances = problem.sample(2, seed=5)
    exact = registry.solver("exact", problem).run(problem, instances)
    rule = registry.solver("lyapunov", problem, v=2e8).run(problem, instances)
    assert (exact.objective < rule.objective).all()

    stored = coupled(horizon=4, battery_j=1e-3)
    sample = stored.sample(1, seed=5)
    kept = registry.solver("exact", stored).run(stored, sample)
    assert 0.0 < kept.bound[0] <= kept.objective[0]


def test_without_time_the_users_are_silent_and_the_bound_holds() -> None:
    problem = coupled()
    instances = problem.sample(2, seed=6)
    full = registry.solver("exact", problem).run(problem, instances)
    none = registry.solver("exact", problem, time_limit_s=1e-9).run(problem, instances)
    assert (none.decisions["offload_w"] == 0.0).all()
    assert (none.bound <= full.bound).all()
    with interruptible():
        interrupt()
        with pytest.raises(Interrupted) as stopped:
            registry.solver("exact", problem).run(problem, instances)
    assert (stopped.value.solutions.bound <= full.bound).all()
