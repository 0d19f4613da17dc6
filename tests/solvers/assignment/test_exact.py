"""The exact solver against enumeration, SCIP, cvxpy and itself by another route."""

from __future__ import annotations

import itertools
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import offloadopt
from offloadopt.core import Status
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.assignment.branch_and_bound import branch_and_bound
from offloadopt.solvers.assignment.core_milp import close_gap, groups_of_tasks
from offloadopt.solvers.assignment.dual_bound import find_prices, maximise_bound, price_bound, reduced_cost
from offloadopt.solvers.assignment.equal_tasks import assign_to_positions, useful_positions
from offloadopt.solvers.assignment.exact import Exact
from offloadopt.solvers.assignment.identical_servers import groups_of_servers, merge_servers, split_servers
from offloadopt.solvers.assignment.local_search import assignment_cost, improve, server_loads
from offloadopt.structures.assignment import PricedAssignment


def enumerate_optimum(costs: PricedAssignment) -> np.ndarray:
    """[count] least cost over every assignment."""
    servers, tasks = costs.capacity.shape[1], costs.load.shape[1]
    every = np.array(list(itertools.product(range(servers + 1), repeat=tasks)))
    return np.array([costs.take(slice(row, row + 1)).cost(every[None])[0].min() for row in range(costs.count)])


def random_costs(rng: np.random.Generator, tasks: int, servers: int, *, equal: bool = False) -> PricedAssignment:
    """One random instance that has nothing to do with any problem."""
    option_cost = rng.exponential(size=(1, tasks, servers + 1))
    load = np.full((1, tasks), 0.7) if equal else rng.uniform(0.2, 1.0, (1, tasks))
    return PricedAssignment(option_cost, load, rng.uniform(0.5, 4.0, (1, servers)))


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


@pytest.mark.parametrize("seed", range(6))
def test_parts_agree_on_random_costs(seed: int) -> None:
    costs = random_costs(np.random.default_rng(seed), tasks=7, servers=3)
    best = enumerate_optimum(costs)[0]
    cost, load, capacity = costs.option_cost[0], costs.load[0], costs.capacity[0]
    nothing = np.zeros(3)
    v = find_prices(cost, load, capacity)
    bound = price_bound(cost, load, capacity, nothing, v)
    assert bound <= best
    start = np.zeros(7, dtype=np.int64)
    found, proved, _ = branch_and_bound(cost, load, capacity, nothing, v, start, 1e-12, 1e-6, 10_000)
    assert assignment_cost(cost, load, capacity, nothing, found) == pytest.approx(best, rel=1e-12)
    assert proved == pytest.approx(best, rel=1e-9)
    core = close_gap(cost, load, capacity, nothing, v, start, np.arange(7), 1e-9, perf_counter() + 60)
    assert assignment_cost(cost, load, capacity, nothing, core.assignment) == pytest.approx(best, rel=1e-9)
    assert best * (1 - 1e-6) <= core.bound <= best * (1 + 1e-12)


def test_a_tree_that_is_cut_short_still_bounds() -> None:
    costs = random_costs(np.random.default_rng(1), tasks=9, servers=3)
    best = enumerate_optimum(costs)[0]
    nothing = np.zeros(3)
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0], nothing
    v = find_prices(*arguments[:3])
    found, proved, nodes = branch_and_bound(*arguments, v, np.zeros(9, dtype=np.int64), 1e-12, 1e-6, 2)
    assert nodes > 2
    assert proved <= best <= assignment_cost(*arguments, found) * (1 + 1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), prices=st.lists(st.floats(-1.0, 5.0), min_size=2, max_size=2))
def test_any_prices_bound_the_optimum_and_fix_nothing_better(seed: int, prices: list[float]) -> None:
    costs = random_costs(np.random.default_rng(seed), tasks=5, servers=2)
    every = np.array(list(itertools.product(range(3), repeat=5)))
    values = costs.cost(every[None])[0]
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0]
    v = np.array(prices)
    bound = price_bound(*arguments, np.zeros(2), v)
    assert bound <= values.min()
    # An assignment's cost is at least the bound plus the reduced costs of its options: what fixing relies on.
    dearer = reduced_cost(*arguments[:2], v)
    above = dearer[np.arange(5), every].sum(axis=1)
    assert (values >= bound + above - 1e-12).all()


def test_best_prices_are_the_convex_relaxation() -> None:
    import cvxpy as cp

    costs = random_costs(np.random.default_rng(3), tasks=40, servers=4)
    cost, load, capacity = costs.option_cost[0], costs.load[0], costs.capacity[0]
    share = cp.Variable((40, 5), nonneg=True)
    loads = load @ share[:, 1:]
    relaxation = cp.Problem(
        cp.Minimize(cp.sum(cp.multiply(cost, share)) + cp.sum(cp.multiply(1 / capacity, cp.square(loads)))),
        [cp.sum(share, axis=1) == 1],
    )
    relaxation.solve(solver=cp.CLARABEL)
    v = find_prices(cost, load, capacity)
    assert price_bound(cost, load, capacity, np.zeros(4), v) == pytest.approx(relaxation.value, rel=1e-6)
    np.testing.assert_allclose(v, loads.value / capacity, rtol=1e-3)


def test_prices_say_what_more_capacity_saves() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=200, servers=2)
    instances = problem.sample(1, seed=0)
    more = offloadopt.problem("multi_server", "heterogeneous", users=200, servers=2, load=1.01)
    added = more.scenario.cpu_server_hz - problem.scenario.cpu_server_hz
    before, after = Exact().run(problem, instances), Exact().run(more, instances)
    saving = (before.objective - after.objective)[0]
    assert saving == pytest.approx(before.details["prices"].sum() * added, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_slots_equal_enumeration_and_prices(seed: int) -> None:
    costs = random_costs(np.random.default_rng(seed), tasks=7, servers=2, equal=True)
    cost, load, capacity = costs.option_cost[0], costs.load[0], costs.capacity[0]
    found = assign_to_positions(cost, load[0], capacity, useful_positions(cost, load[0], capacity))
    nothing = np.zeros(2)
    assert assignment_cost(cost, load, capacity, nothing, found) == pytest.approx(
        enumerate_optimum(costs)[0], rel=1e-12
    )
    by_prices = Exact(relative_gap=0)._prove_by_prices(cost, load, capacity, None, 0)
    assert assignment_cost(cost, load, capacity, nothing, by_prices.assignment) == pytest.approx(
        enumerate_optimum(costs)[0], rel=1e-9
    )


def test_local_search_ends_where_no_move_or_chain_helps() -> None:
    costs = random_costs(np.random.default_rng(9), tasks=8, servers=3)
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)
    assignment = np.zeros(8, dtype=np.int64)
    improve(*arguments, assignment, np.arange(8), True)
    reached = assignment_cost(*arguments, assignment)
    for i, k in itertools.product(range(8), range(4)):
        moved = assignment.copy()
        moved[i] = k
        assert assignment_cost(*arguments, moved) >= reached - 1e-12
        for other, elsewhere in itertools.product(range(8), range(4)):
            if other != i and assignment[other] == k:
                chained = moved.copy()
                chained[other] = elsewhere
                assert assignment_cost(*arguments, chained) >= reached - 1e-12
    np.testing.assert_allclose(server_loads(arguments[1], arguments[3], assignment), costs.loads(assignment[None])[0])


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
    with pytest.raises(Unsupported, match="needs a PricedAssignmentProblem"):
        Exact().require(object.__new__(type("Bare", (), {"name": "bare"})))  # type: ignore[arg-type]


def test_tasks_that_are_alike_are_counted() -> None:
    rng = np.random.default_rng(4)
    kinds = random_costs(rng, tasks=3, servers=2)
    rows = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    costs = PricedAssignment(kinds.option_cost[:, rows], kinds.load[:, rows], kinds.capacity)
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0]
    alike = groups_of_tasks(*arguments[:2])
    assert len(np.unique(alike)) == 3
    v = find_prices(*arguments)
    start = np.zeros(8, dtype=np.int64)
    core = close_gap(*arguments, np.zeros(2), v, start, alike, 1e-9, perf_counter() + 60)
    assert assignment_cost(*arguments, np.zeros(2), core.assignment) == pytest.approx(
        enumerate_optimum(costs)[0], rel=1e-9
    )
    proof = Exact(relative_gap=0).prove(*arguments)
    assert assignment_cost(*arguments, np.zeros(2), proof.assignment) == pytest.approx(
        enumerate_optimum(costs)[0], rel=1e-9
    )


@pytest.mark.parametrize("seed", range(4))
def test_servers_that_are_alike_are_merged_without_loss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = random_costs(rng, tasks=7, servers=2)
    columns = [0, 1, 2, 1]  # servers 1 and 3 are reached at the same cost, with capacities of their own
    costs = PricedAssignment(drawn.option_cost[..., columns], drawn.load, rng.uniform(0.5, 4.0, (1, 3)))
    cost, load, capacity = costs.option_cost[0], costs.load[0], costs.capacity[0]
    group = groups_of_servers(cost)
    np.testing.assert_array_equal(group, [0, 1, 0])
    merged_cost, merged_capacity = merge_servers(cost, capacity, group)
    best = enumerate_optimum(costs)[0]
    assert enumerate_optimum(PricedAssignment(merged_cost[None], load[None], merged_capacity[None]))[0] <= best
    proof = Exact(relative_gap=0).prove(cost, load, capacity)
    assert assignment_cost(cost, load, capacity, np.zeros(3), proof.assignment) == pytest.approx(best, rel=1e-9)
    assert proof.bound <= best * (1 + 1e-12)
    spread_out = split_servers(np.array([1, 1, 2, 0, 1, 2, 0]), load, capacity, group)
    assert set(spread_out[[0, 1, 4]]) <= {1, 3}
    np.testing.assert_array_equal(spread_out[[2, 3, 5, 6]], [2, 0, 2, 0])


def test_screened_prices_equal_unscreened_ones() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=9000, servers=5, load=0.33)
    costs = problem.costs(problem.sample(1, seed=0))
    money, size = costs.option_cost[0].min(axis=1).mean(), costs.capacity[0].mean()
    scaled = costs.option_cost[0] / money, costs.load[0] / np.sqrt(money * size), costs.capacity[0] / size
    nothing = np.zeros(5)
    screened = find_prices(*scaled)
    plain = maximise_bound(*scaled, nothing, nothing, 1.0, 1e-7, 0.2, np.inf, np.empty((1, 6)))
    assert price_bound(*scaled, nothing, screened) == pytest.approx(price_bound(*scaled, nothing, plain), rel=1e-8)


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
