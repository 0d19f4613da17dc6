"""Baseline rules against the same rules written down for one user and one slot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.errors import Unsupported
from offloadopt.problems.carbon_mimo import CarbonMimo

GREEDY = ("greedy-local", "greedy-offload")


def small(**changes: Any) -> CarbonMimo:
    problem = offloadopt.problem("carbon_mimo", **{"users": 2, "antennas": 4, "horizon": 8, **changes})
    assert isinstance(problem, CarbonMimo)
    return problem


def greedy(name: str, kbits: float, gain: float) -> tuple[float, float]:
    """Chen and Wang's rules for 1 ms, 1 MHz, 500 cycles a bit, 1e-27 and 2 W twice, as in their code."""

    def by_cpu(amount: float) -> tuple[float, float]:
        power = min(1e-27 * (1000 * amount * 500 / 1e-3) ** 3, 2.0)
        return power, amount - (power / 1e-27) ** (1 / 3) * 1e-3 / 500 / 1000

    def over_air(amount: float) -> tuple[float, float]:
        power = min((2.0**amount - 1) / gain, 2.0)
        return power, amount - math.log2(1 + gain * power)

    if name == "greedy-local":
        local_w, rest = by_cpu(kbits)
        return local_w, over_air(max(rest, 0.0))[0]
    offload_w, rest = over_air(kbits)
    return by_cpu(max(rest, 0.0))[0], offload_w


@pytest.mark.parametrize("name", GREEDY)
def test_the_greedy_rules_are_the_ancestor_s(name: str) -> None:
    problem = small(arrival_quanta=6.0)
    instances = problem.sample(20, seed=2)
    decisions = offloadopt.solver(name, problem).run(problem, instances).decisions
    state = problem.reset(instances)
    for slot in range(problem.horizon):
        seen = problem.observe(instances, state)
        for row, user in np.ndindex(20, 2):
            wanted = greedy(name, seen["buffer_bits"][row, user] / 1e3, seen["gain_per_w"][row, user])
            found = decisions["local_w"][row, slot, user], decisions["offload_w"][row, slot, user]
            assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)
        state, _ = problem.step(instances, state, decisions.at_slot(slot))


@pytest.mark.parametrize("name", GREEDY)
def test_greedy_rules_clear_what_the_limits_allow_and_not_more(name: str) -> None:
    problem = small(arrival_quanta=2.0, distance_m=20.0)
    instances = problem.sample(50, seed=3)
    decisions = offloadopt.solver(name, problem).run(problem, instances).decisions
    outcome = problem.evaluate(instances, decisions)
    # So near that every buffer is cleared at once: what waits has just arrived.
    np.testing.assert_allclose(outcome.metrics["buffer_bits"], outcome.metrics["arrived_bits"] / 8, rtol=1e-9)
    assert (decisions["local_w"][:, 0] == 0).all()  # nothing waits in the first slot


@pytest.mark.parametrize("name", GREEDY)
def test_a_missing_link_stays_silent(name: str) -> None:
    problem = small(start_bits=9e4)
    arrays = dict(problem.sample(5, seed=4))
    instances = problem.check_instances({**arrays, "channel": np.zeros_like(arrays["channel"])})
    decisions = offloadopt.solver(name, problem).run(problem, instances).decisions
    assert (decisions["offload_w"] == 0).all()
    assert (decisions["local_w"] == 2).all()


def test_full_power_is_at_both_limits() -> None:
    decisions = offloadopt.solver("full-power", small()).run(small(local_max_w=1.5), small().sample(3, 0)).decisions
    assert (decisions["local_w"] == 1.5).all()
    assert (decisions["offload_w"] == 2.0).all()


@pytest.mark.parametrize("name", [*GREEDY, "full-power", "random"])
def test_more_instances_extend_fewer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, solver, counted = small(), offloadopt.solver(name), list[int]()
    monkeypatch.setattr(type(solver), "block_size", lambda self, problem: 3)
    long = solver.run(problem, problem.sample(8, 1), seed=5, progress=counted.append)
    short = solver.run(problem, problem.sample(4, 1), seed=5)
    assert counted == [3, 3, 2]
    for array in ("local_w", "offload_w"):
        assert np.array_equal(long.decisions[array][:4], short.decisions[array])


def test_rules_for_buffers_refuse_other_problems() -> None:
    other = offloadopt.problem("multi_server", users=3)
    for name in (*GREEDY, "full-power", "lyapunov"):
        with pytest.raises(
            Unsupported, match=f"'{name}' does not serve problem 'multi_server'; it needs the structure Backlog"
        ):
            offloadopt.solver(name, other).run(other, other.sample(1, 0))
