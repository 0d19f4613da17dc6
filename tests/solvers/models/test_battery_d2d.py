"""The model of a window of `battery_d2d` against enumeration, in scenarios that press every constraint."""

from __future__ import annotations

import numpy as np
import pytest

import offloadopt
from offloadopt.errors import Unsupported
from offloadopt.solvers.models.battery_d2d import BatteryD2DModel
from offloadopt.solvers.models.solver import MilpInHindsight, MinlpInHindsight

from toys.small_task_queues import CASES, all_costs, small_d2d

LASTING = ["paper", "tight deadlines", "often disconnected", "one subchannel", "odd voltages"]


@pytest.mark.parametrize("case", LASTING)
def test_the_milp_agrees_with_enumeration(case: str) -> None:
    problem = small_d2d(**{"task_chance": 0.6, **CASES[case]})
    instances = problem.sample(1, seed=5)
    solutions = MilpInHindsight().run(problem, instances)
    best = all_costs(problem, instances).min(keepdims=True)
    np.testing.assert_allclose(solutions.objective, best, rtol=1e-6)
    assert (solutions.bound <= best * (1 + 1e-12)).all()
    assert (solutions.gap < 2e-6).all()


@pytest.mark.parametrize("case", ["paper"])
def test_the_minlp_agrees_with_enumeration(case: str) -> None:
    problem = small_d2d(**{**CASES[case], "task_chance": 0.5})
    instances = problem.sample(1, seed=6)
    solutions = MinlpInHindsight(relative_gap=1e-5).run(problem, instances)
    best = all_costs(problem, instances).min()
    assert solutions.objective[0] == pytest.approx(best, rel=1e-5)
    assert solutions.bound[0] <= best * (1 + 1e-12)


def test_every_cut_holds_under_every_decision() -> None:
    """Cuts at one decision, and at its neighbours, are no dearer than any other decision's real cost."""
    problem = small_d2d(slot_s=0.4, disconnect_chance=0.2)
    instance = problem.sample(1, seed=3)
    model = BatteryD2DModel(problem, instance, linear=True)
    model.pyomo.w[0, 0].set_value(1)
    assert model.add_cuts(model.initial_decisions())
    assert not model.add_cuts(model.initial_decisions())
    best = all_costs(problem, instance).min()
    assert MilpInHindsight().run(problem, instance).bound[0] <= best * (1 + 1e-12)
    assert len(model.pyomo.exact) >= len(model.tasks)


@pytest.mark.parametrize("method", [MilpInHindsight(), MinlpInHindsight()], ids=["milp", "minlp"])
def test_a_window_without_tasks_costs_nothing(method: MilpInHindsight) -> None:
    problem = small_d2d(task_chance=0.0)
    solutions = method.run(problem, problem.sample(1, seed=0))
    assert (solutions.objective[0], solutions.status_names) == (0.0, ["OPTIMAL"])


def test_scenarios_of_many_slots_are_refused_before_any_instance() -> None:
    problem = offloadopt.problem("battery_d2d")
    with pytest.raises(Unsupported, match=r"8 users in 100 slots may take .* J from one of 500 J; allowed: a shorter"):
        MinlpInHindsight().require(problem)
    MinlpInHindsight().require(small_d2d())


def test_batteries_that_may_be_exhausted_are_refused_in_one_line() -> None:
    problem = small_d2d(battery_j=100.0, start_share=0.0, task_chance=1.0)
    with pytest.raises(
        Unsupported, match=r"the battery of device [0-2] may be exhausted.*allowed: a shorter window"
    ) as no:
        MilpInHindsight().run(problem, problem.sample(1, seed=0))
    assert "\n" not in str(no.value)
