"""The exact solver against enumeration, SCIP and itself by another route."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import offloadopt
from offloadopt.clock import Deadline
from offloadopt.core import Status
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.assignment.exact import Exact

from toys.priced_costs import enumerate_optimum, random_costs

SMALL = [(3, 2, 1.0), (5, 2, 1.0), (8, 2, 0.5), (8, 2, 3.0), (6, 3, 2.0), (8, 1, 1.0), (5, 4, 1.0)]


@pytest.mark.parametrize(("users", "servers", "load"), SMALL)
@pytest.mark.parametrize("preset", ["paper", "heterogeneous"])
def test_equals_enumeration(users: int, servers: int, load: float, preset: str) -> None:
    problem = offloadopt.problem("multi_server", preset, users=users, servers=servers, load=load, layout_seed=None)
    instances = problem.sample(20, seed=users)
    solutions = Exact(relative_gap=0).run(problem, instances)
    best = enumerate_optimum(problem.costs(instances))
    np.testing.assert_allclose(solutions.objective, best, rtol=1e-9)
    assert (solutions.bound <= best * (1 + 1e-12)).all()
    assert (solutions.status == Status.OPTIMAL).all()


DEGENERATE = {
    "identical servers": lambda gain: np.broadcast_to(gain[:, :, :1], gain.shape),
    "identical tasks": lambda gain: np.broadcast_to(gain[:, :1, :], gain.shape),
    "all local": lambda gain: gain * 1e-9,
    "all offloaded": lambda gain: gain * 1e9,
    "vanishing gains": lambda gain: np.where(gain > np.median(gain), gain, 1e-17),
    "missing links": lambda gain: np.where(gain > np.median(gain), gain, 0.0),
    "no link at all": lambda gain: np.zeros_like(gain),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("preset", ["paper", "heterogeneous"])
def test_degenerate_cases_equal_enumeration(case: str, preset: str) -> None:
    problem = offloadopt.problem("multi_server", preset, users=7, servers=2, layout_seed=None)
    drawn = problem.sample(12, seed=5)
    instances = problem.check_instances({**drawn, "gain": DEGENERATE[case](drawn["gain"])})
    solutions = Exact(relative_gap=0).run(problem, instances)
    np.testing.assert_allclose(solutions.objective, enumerate_optimum(problem.costs(instances)), rtol=1e-9)
    assert (solutions.status == Status.OPTIMAL).all()


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_do_not_change_the_answer(factor: float) -> None:
    scenario = {"users": 12, "servers": 3, "task_spread": 0.5}
    problem = offloadopt.problem("multi_server", **scenario, cpu_server_hz=4e9)
    other = offloadopt.problem(
        "multi_server",
        **scenario,
        cpu_server_hz=4e9 * factor,
        cpu_local_hz=1e9 * factor,
        task_cycles=1e9 * factor,
        kappa=1e-27 / factor**3,
    )
    solved, scaled = (Exact(relative_gap=0).run(p, p.sample(10, seed=3)) for p in (problem, other))
    np.testing.assert_array_equal(solved.decisions["server"], scaled.decisions["server"])
    np.testing.assert_allclose(solved.objective, scaled.objective, rtol=1e-9)


def test_equals_scip_on_thirty_users() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous")
    instances = problem.sample(2, seed=11)
    exact = Exact().run(problem, instances)
    scip = offloadopt.solver("minlp", problem, relative_gap=1e-6).run(problem, instances)
    np.testing.assert_allclose(exact.objective, scip.objective, rtol=2e-6)
    assert (exact.bound <= scip.objective * (1 + 1e-12)).all()
    assert (scip.bound <= exact.objective * (1 + 1e-12)).all()


def test_milp_core_alone_proves_what_the_tree_proves() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=40, servers=5)
    instances = problem.sample(4, seed=2)
    by_tree = Exact(tree_nodes=100_000).run(problem, instances)
    by_core = Exact(tree_nodes=1).run(problem, instances)
    assert (by_tree.status == Status.OPTIMAL).all()
    assert (by_core.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(by_tree.objective, by_core.objective, rtol=2e-6)


def test_prices_say_what_more_capacity_saves() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=200, servers=2)
    instances = problem.sample(1, seed=0)
    more = offloadopt.problem("multi_server", "heterogeneous", users=200, servers=2, load=1.01)
    added = more.scenario.cpu_server_hz - problem.scenario.cpu_server_hz
    before, after = Exact().run(problem, instances), Exact().run(more, instances)
    saving = (before.objective - after.objective)[0]
    assert saving == pytest.approx(before.details["prices"].sum() * added, rel=0.05)


def test_a_time_limit_gives_an_incumbent_and_a_valid_bound() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=100, servers=10)
    instances = problem.sample(2, seed=0)
    limited = Exact(relative_gap=0, time_limit_s=1e-6, tree_nodes=1).run(problem, instances)
    assert (limited.status == Status.BOUNDED).all()
    full = Exact(relative_gap=1e-4).run(problem, instances)
    assert (limited.bound <= full.objective).all()
    assert (full.bound <= limited.objective).all()


def test_the_same_seed_gives_the_same_decisions() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=60, servers=5)
    instances = problem.sample(3, seed=1)
    first, again = (Exact(relative_gap=1e-4).run(problem, instances, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.decisions["server"], again.decisions["server"])
    np.testing.assert_array_equal(first.bound, again.bound)


def test_no_instances_is_no_work() -> None:
    problem = offloadopt.problem("multi_server")
    assert Exact().run(problem, problem.sample(0, seed=0)).objective.shape == (0,)


def test_a_problem_without_the_structure_is_refused() -> None:
    problem = offloadopt.problem("multi_server")

    class Other(MultiServer):
        pass

    Exact().require(Other(problem.scenario))
    with pytest.raises(Unsupported, match="needs the structure PricedAssignmentProblem"):
        Exact().require(object.__new__(type("Bare", (), {"name": "bare"})))  # type: ignore[arg-type]


def test_given_prices_start_the_search_and_wrong_ones_do_no_harm() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=60, servers=5)
    instances = problem.sample(3, seed=1)
    cold = Exact().run(problem, instances)
    for prices in (cold.details["prices"], np.full((3, 5), 1e-3)):
        warm = Exact(initial_prices=prices).run(problem, instances)
        assert (warm.status == Status.OPTIMAL).all()
        np.testing.assert_allclose(warm.objective, cold.objective, rtol=2e-6)
    with pytest.raises(InvalidInput, match="initial_prices has shape"):
        Exact(initial_prices=np.ones((2, 5))).run(problem, instances)


@pytest.mark.parametrize("seed", range(12))
def test_costs_of_any_sign_are_proved_optimal(seed: int) -> None:
    """Rewards, free options and missing links, with equal and with different loads."""
    rng = np.random.default_rng(seed)
    costs = random_costs(rng, 6, 3, equal=seed % 3 == 0)
    options = costs.option_cost - (rng.uniform(0, 4, (1, 6, 1)) if seed % 2 else costs.option_cost[..., :1])
    options[0, 0, 1] = np.inf
    costs = dataclasses.replace(costs, option_cost=options)
    best = enumerate_optimum(costs)[0]
    proof = Exact().prove(options[0], costs.load[0], costs.capacity[0], deadline=Deadline())
    found = costs.cost(proof.assignment[None])[0]
    assert best < 0
    assert proof.bound <= best + 1e-12
    assert found - proof.bound <= 1e-6 * abs(best) + 1e-9
