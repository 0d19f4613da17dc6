"""The convex programme of buffer and battery against the taut string, and by what its prices prove."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Problem
from offloadopt.solvers.backlog.convex_program import BatteryProgramme
from offloadopt.solvers.backlog.dual_bound import price_bound
from offloadopt.solvers.backlog.exact import BacklogExact


def carbon(**changes: Any) -> Problem[Any]:
    return registry.problem("carbon_mimo", **{"users": 1, "antennas": 4, "horizon": 6, **changes})


def test_without_a_battery_its_powers_cost_what_the_taut_string_does() -> None:
    problem: Any = carbon(start_bits=1e4, harvest_w=0.3)
    instances = problem.sample(2, seed=1)
    programme = BatteryProgramme(problem.backlog(instances))
    best = BacklogExact().run(problem, instances)
    for row in range(2):
        plan = programme.solve(row, 0)
        assert plan is not None
        decisions = problem.serve(plan.local_w[None, :, None], plan.offload_w[None, :, None])
        assert problem.evaluate(instances.take([row]), decisions).cost[0] == pytest.approx(
            best.objective[row], rel=1e-5
        )
        np.testing.assert_allclose(plan.bit_price, best.details["bit_price"][row, :, 0], rtol=1e-3, atol=1e-9)


def test_powers_and_prices_with_a_battery_meet_in_cost_and_bound() -> None:
    problem: Any = carbon(battery_j=5e-3, harvest_w=0.5, arrival_quanta=4.0)
    instances = problem.sample(1, seed=0)
    backlog = problem.backlog(instances)
    plan = BatteryProgramme(backlog).solve(0, 0)
    assert plan is not None
    assert (plan.local_w >= 0).all()
    assert (plan.local_w <= problem.scenario.local_max_w).all()
    decisions = problem.serve(plan.local_w[None, :, None], plan.offload_w[None, :, None])
    cost = problem.evaluate(instances, decisions).cost[0]
    green_effort = backlog.service.effort_for_energy(backlog.service.green_j)
    bound = price_bound(backlog, plan.bit_price[None, :, None], green_effort, plan.joule_price[None, :, None])
    assert bound[0, 0] <= cost
    assert bound[0, 0] == pytest.approx(cost, rel=1e-5)


def test_a_programme_that_clarabel_cannot_solve_gives_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    import cvxpy as cp

    problem: Any = carbon(battery_j=5e-3)
    programme = BatteryProgramme(problem.backlog(problem.sample(1, seed=0)))

    def fail(*_: Any, **__: Any) -> None:
        raise cp.SolverError("stopped")

    monkeypatch.setattr(programme.programme, "solve", fail)
    assert programme.solve(0, 0) is None
