"""Both models of a slot of `partial_mobile` against `exact`, and what they hold."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.core import Decisions, Instances
from offloadopt.errors import InvalidInput
from offloadopt.solvers.models.partial_mobile import PartialMobileModel
from offloadopt.solvers.models.pyomo_solvers import solver_named
from offloadopt.solvers.models.solver import Milp, Minlp
from offloadopt.solvers.shared_servers.exact import SharedServersExact

from toys.shared_slots import one_slot


@pytest.mark.parametrize(
    ("users", "servers", "changes"),
    [(4, 2, {}), (3, 2, {"time_weight": 0.9}), (3, 1, {"time_weight": 0.1}), (4, 1, {"cpu_server_hz": 2e9})],
)
def test_the_milp_agrees_with_exact(users: int, servers: int, changes: dict[str, float]) -> None:
    problem = one_slot(users, servers, **changes)
    instances = problem.sample(2, seed=3)
    optimum = SharedServersExact(relative_gap=1e-9).run(problem, instances).objective
    solutions = Milp().run(problem, instances)
    np.testing.assert_allclose(solutions.objective, optimum, rtol=1e-6)
    assert (solutions.bound <= optimum).all()
    assert solutions.status_names == ["OPTIMAL"] * 2


@pytest.mark.parametrize("time_weight", [0.2, 0.9])
def test_the_papers_own_variables_give_the_optimum_too(time_weight: float) -> None:
    problem = one_slot(2, 1, time_weight=time_weight)
    instances = problem.sample(1, seed=4)
    optimum = SharedServersExact(relative_gap=1e-9).run(problem, instances).objective
    solutions = Minlp().run(problem, instances)
    np.testing.assert_allclose(solutions.objective, optimum, rtol=1e-6)
    assert solutions.bound[0] <= optimum[0]
    assert solutions.status_names == ["OPTIMAL"]


def test_the_minlps_objective_is_the_cost_of_its_variables_as_they_are() -> None:
    problem = one_slot(2, 1)
    instance = problem.sample(1, seed=1)
    model = PartialMobileModel(problem, instance)
    result = solver_named("scip")(model.pyomo, 1e-7, Deadline())
    m = model.pyomo
    decisions = {
        "server": np.array([[1 if m.x[i, 0].value > 0.5 else 0 for i in m.I]]),
        "ratio": np.clip([[m.ratio[i, 0].value for i in m.I]], 0.0, 1.0),
        "cpu_hz": np.clip([[m.cpu[i, 0].value for i in m.I]], 0.0, 1.0) * model.cpu_unit * (1 - 1e-9),
    }
    cost = problem.evaluate(instance, problem.check_decisions(decisions, 1)).cost[0]
    assert cost == pytest.approx(result.bound, rel=1e-5)


@pytest.mark.parametrize("method", [Milp(), Minlp()])
def test_a_link_without_signal_is_not_used(method: Milp | Minlp) -> None:
    problem = one_slot(2, 2)
    sampled = problem.sample(1, seed=1)
    position = sampled["position_m"].copy()
    position[0, 0] = 1e9  # the signal underflows
    solutions = method.run(problem, Instances({**sampled, "position_m": position}))
    assert solutions.decisions["server"][0, 0] == 0
    assert solutions.decisions["server"][0, 1] > 0
    assert solutions.status_names == ["OPTIMAL"]


def test_a_warm_start_is_read_back_as_the_same_decisions() -> None:
    problem = one_slot(3, 2)
    instance = problem.sample(1, seed=0)
    decided = problem.allocate(instance, np.array([[1, 3, 0]]))
    for linear in (True, False):
        model = PartialMobileModel(problem, instance, linear=linear)
        model.warm_start(decided)
        for name, array in decided.items():
            np.testing.assert_array_equal(model.decisions()[name], array)


def test_a_cut_makes_the_linear_form_exact_once() -> None:
    problem = one_slot(3, 2)
    instance = problem.sample(1, seed=0)
    model = PartialMobileModel(problem, instance, linear=True)
    allocated = problem.allocate(instance, np.array([[1, 1, 3]]))
    decided = Decisions({**allocated, "cpu_hz": 0.77 * allocated["cpu_hz"]})
    before = len(model.pyomo.tangent)
    assert model.add_cuts(decided)
    assert len(model.pyomo.tangent) > before
    assert not model.add_cuts(decided)


def test_a_server_of_which_tasks_use_a_tiny_share_is_well_scaled() -> None:
    problem = one_slot(2, 1, cpu_server_hz=1e15, time_weight=0.5)
    instances = problem.sample(2, seed=1)
    optimum = SharedServersExact(relative_gap=1e-9).run(problem, instances).objective
    for method in (Milp(), Minlp()):
        solutions = method.run(problem, instances)
        np.testing.assert_allclose(solutions.objective, optimum, rtol=1e-6)
        assert (solutions.bound <= optimum).all()
        assert (solutions.gap < 3e-6).all()


def test_several_slots_are_refused() -> None:
    problem = one_slot(2, 1)
    longer = type(problem)(problem.scenario.replace(horizon=3))
    with pytest.raises(InvalidInput, match="3 slots; a model is built of exactly 1"):
        PartialMobileModel(longer, longer.sample(1, seed=0))
