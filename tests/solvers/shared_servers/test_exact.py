"""`exact` against enumeration, `grid-milp` against enumeration on its grid."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from offloadopt import solver
from offloadopt.core import Decisions, Instances, Observation, Status
from offloadopt.errors import Unsupported
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.problems.partial_mobile.scenario import QUINCUNX_M, PartialMobileScenario
from offloadopt.solvers.shared_servers.core_milp import close_gap, priced_mode_costs
from offloadopt.solvers.shared_servers.dual_bound import (
    DualBound,
    SlotTasks,
    bound_at,
    maximise_bound,
    undecided_options,
)
from offloadopt.solvers.shared_servers.exact import SharedServersExact
from offloadopt.solvers.shared_servers.local_search import local_search

GAP = 1e-9


def one_slot(users: int, servers: int, **changes: Any) -> PartialMobile:
    return PartialMobile(PartialMobileScenario(users=users, horizon=1, sites_m=QUINCUNX_M[:servers], **changes))


def agrees(problem: PartialMobile, instances: Instances) -> None:
    """Proved within GAP, and the cost of the best of all assignments."""
    proved = solver("exact", problem, relative_gap=GAP).run(problem, instances)
    best = solver("exhaustive", problem).run(problem, instances)
    np.testing.assert_allclose(proved.objective, best.objective, rtol=2 * GAP)
    assert (proved.bound <= best.objective * (1 + 1e-13)).all()
    assert (proved.gap <= 1.1 * GAP).all()
    assert (proved.status == Status.OPTIMAL).all()


@pytest.mark.parametrize("time_weight", [0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cpu_server_hz": 1e9},
        {"cpu_server_hz": 0.2e9},
        {"kappa_server": 0.0},
        {"kappa_server": 1e-26},
        {"area_m": 3000.0},
        {"bandwidth_hz": 5e6},
    ],
    ids=str,
)
def test_no_assignment_beats_what_is_proved_optimal(time_weight: float, changes: dict[str, Any]) -> None:
    for users, servers in ((1, 2), (3, 2), (4, 2), (2, 3), (5, 1)):
        problem = one_slot(users, servers, time_weight=time_weight, **changes)
        agrees(problem, problem.sample(2, seed=users))


@pytest.mark.parametrize("time_weight", [0.1, 0.9])
def test_identical_users_at_one_place_are_solved(time_weight: float) -> None:
    problem = one_slot(5, 2, time_weight=time_weight, cpu_server_hz=2e9, bandwidth_hz=10e6)
    agrees(problem, Instances({"position_m": np.full((1, 5, 2), 150.0), "task_bits": np.full((1, 5), 1.7e6)}))


def test_users_without_any_link_stay_local_and_the_others_are_solved() -> None:
    problem = one_slot(4, 2)
    instances = problem.sample(1, seed=1)
    position = np.array(instances["position_m"])
    position[0, [0, 2]] = 1e95
    gone = Instances({**instances, "position_m": position})
    agrees(problem, gone)
    decided = solver("exact", problem).run(problem, gone).decisions["server"][0]
    np.testing.assert_array_equal(decided > 0, [False, True, False, True])
    nobody = Instances({**instances, "position_m": np.full((1, 4, 2), 1e95)})
    assert solver("exact", problem).run(problem, nobody).objective[0] == 4.0


def test_users_on_top_of_a_server_are_solved() -> None:
    problem = one_slot(4, 2)
    agrees(problem, Instances({"position_m": np.full((1, 4, 2), 100.0), "task_bits": np.full((1, 4), 2e6)}))


def test_the_bound_is_below_every_assignment_for_any_pay_and_price() -> None:
    problem = one_slot(4, 2, time_weight=0.9, cpu_server_hz=2e9)
    instance = problem.sample(1, seed=3)
    modes = problem.sharing(instance).take(0)
    slot = SlotTasks(modes.packed(), modes.time_weight, modes.cpu_max_hz)
    every = np.array(list(itertools.product(range(5), repeat=4)))
    least = problem.costs(Observation(instance)).cost(every[None])[0].min()
    rng = np.random.default_rng(4)
    best = -np.inf
    for _ in range(200):
        price = 10.0 ** rng.uniform(-12, -8, (2, 4))
        bound = bound_at(slot, rng.uniform(0.0, 1.0, 4), price)
        best = max(best, bound.value)
        assert bound.value <= least * (1 + 1e-13)
        climbed = maximise_bound(slot, bound, least, 0.0, np.inf)
        assert bound.value <= climbed.value <= least * (1 + 1e-13)
    assert climbed.value > best


def loose_bound(problem: PartialMobile, instance: Instances, seed: int) -> tuple[DualBound, np.ndarray, np.ndarray]:
    """A bound from arbitrary task prices, all assignments ``[some, tasks]`` and their costs."""
    modes = problem.sharing(instance).take(0)
    slot, rng = SlotTasks(modes.packed(), modes.time_weight, modes.cpu_max_hz), np.random.default_rng(seed)
    start = np.full((problem.sites, problem.tasks), 1e-10)
    every = np.array(list(itertools.product(range(2 * problem.sites + 1), repeat=problem.tasks)))
    cost = problem.costs(Observation(instance)).cost(every[None])[0]
    task_price = np.minimum(1.0, cost.min() / problem.tasks * rng.uniform(0.8, 1.2, problem.tasks))
    return bound_at(slot, task_price, start), every, cost


@pytest.mark.parametrize("time_weight", [0.1, 0.7, 0.9])
def test_nothing_that_a_better_assignment_uses_is_fixed_away(time_weight: float) -> None:
    problem = one_slot(4, 2, time_weight=time_weight, cpu_server_hz=3e9)
    fixed = 0
    for seed in range(10):
        instance = problem.sample(1, seed=seed)
        bound, every, cost = loose_bound(problem, instance, seed)
        priced_cost = priced_mode_costs(problem.sharing(instance).take(0), bound.cpu_price)
        for upper in np.quantile(cost, [0.0, 0.01, 0.1]):
            kept = undecided_options(bound, priced_cost, float(upper) * (1 + 1e-12))
            fixed += np.sum(~kept)
            for assignment in every[cost <= upper]:
                site = (assignment - 1) % 2
                for i in np.flatnonzero(assignment):
                    number = np.sum((assignment > 0) & (site == site[i]))
                    assert kept[int(assignment[i] > 2), i, site[i], number - 1]
    assert fixed > 100


@pytest.mark.parametrize("time_weight", [0.1, 0.7, 0.9])
def test_the_milp_alone_closes_the_gap_from_a_bad_incumbent_and_a_loose_bound(time_weight: float) -> None:
    problem = one_slot(4, 2, time_weight=time_weight, cpu_server_hz=1e9)
    for seed in range(8):
        instance = problem.sample(1, seed=seed)
        modes, costs = problem.sharing(instance).take(0), problem.costs(Observation(instance))
        bound, every, cost = loose_bound(problem, instance, seed)
        worst = every[cost.argmax()]
        everything = np.ones((2, 4, 2, 4), dtype=bool)
        best, reached, proved = close_gap(
            modes, everything, bound, costs, worst, float(cost.max()), 1e-6 * cost.min(), np.inf
        )
        assert reached == pytest.approx(cost.min(), rel=1e-6)
        assert costs.cost(best[None])[0] == pytest.approx(reached, rel=1e-12)
        assert cost.min() * (1 - 3e-6) <= proved <= cost.min() * (1 + 1e-12)


@pytest.mark.parametrize("time_weight", [0.1, 0.5, 0.9])
def test_no_method_costs_less_than_the_bound(time_weight: float) -> None:
    problem = one_slot(10, 5, time_weight=time_weight)
    instances = problem.sample(3, seed=5)
    proved = solver("exact", problem).run(problem, instances)
    assert (proved.gap <= 1e-6).all()
    costs = problem.costs(Observation(instances))
    rng = np.random.default_rng(6)
    near = np.repeat(problem.assignment(proved.decisions)[:, None], 3000, axis=1)
    change = rng.random(near.shape) < 0.15
    tried = np.where(change, rng.integers(0, 11, near.shape), near)
    assert (costs.cost(tried).min(axis=1) >= proved.bound).all()
    for name in ("greedy", "random", "local"):
        assert (solver(name, problem).run(problem, instances).objective >= proved.bound).all()


def test_forty_users_are_certified() -> None:
    for time_weight in (0.1, 0.9):
        problem = one_slot(40, 5, time_weight=time_weight)
        solved = solver("exact", problem, relative_gap=1e-3).run(problem, problem.sample(1, seed=7))
        assert solved.gap[0] <= 1e-3


def test_renamed_users_get_each_others_decisions() -> None:
    problem = one_slot(8, 4, time_weight=0.9)
    instances = problem.sample(2, seed=8)
    order = np.random.default_rng(9).permutation(8)
    straight = solver("exact", problem, relative_gap=1e-9).run(problem, instances)
    renamed = solver("exact", problem, relative_gap=1e-9).run(
        problem, Instances({name: array[:, order] for name, array in instances.items()})
    )
    np.testing.assert_allclose(renamed.objective, straight.objective, rtol=1e-8)
    np.testing.assert_array_equal(renamed.decisions["server"], straight.decisions["server"][:, order])


def test_an_episode_costs_what_its_slots_cost() -> None:
    problem = PartialMobile(PartialMobileScenario(users=4, horizon=3))
    instances = problem.sample(2, seed=10)
    whole = solver("exact", problem).run(problem, instances)
    assert whole.decisions["server"].shape == (2, 3, 4)
    parts = np.zeros(2)
    for slot in range(3):
        single = solver("exact", problem.one_slot).run(problem.one_slot, instances.at_slot(slot))
        parts += single.objective
        np.testing.assert_array_equal(single.decisions["server"], whole.decisions["server"][:, slot])
    np.testing.assert_allclose(whole.objective, parts, rtol=1e-13)
    assert (whole.gap <= 1e-6).all()


def test_a_time_limit_returns_an_incumbent_with_a_valid_bound() -> None:
    problem = one_slot(6, 2, time_weight=0.9, cpu_server_hz=2e9)
    instances = problem.sample(2, seed=11)
    hurried = solver("exact", problem, time_limit_s=1e-6).run(problem, instances)
    best = solver("exhaustive", problem).run(problem, instances)
    assert (hurried.bound <= best.objective).all()
    assert (best.objective <= hurried.objective * (1 + 1e-12)).all()
    assert np.isfinite(hurried.bound).all()


def test_the_search_ends_where_neither_a_move_nor_a_swap_pays() -> None:
    problem = one_slot(6, 2, time_weight=0.9, cpu_server_hz=3e9)
    instance = problem.sample(1, seed=12)
    modes = problem.sharing(instance).take(0)
    slot = SlotTasks(modes.packed(), modes.time_weight, modes.cpu_max_hz)
    found, cost, saving = local_search(slot, np.full(6, 0), np.inf)
    costs = problem.costs(Observation(instance))
    assert cost == pytest.approx(costs.cost(found[None])[0], rel=1e-12)
    neighbours = []
    for i, option in itertools.product(range(6), range(5)):
        neighbours.append(np.where(np.arange(6) == i, option, found))
    for i, k in itertools.combinations(range(6), 2):
        swapped = found.copy()
        swapped[[i, k]] = found[[k, i]]
        neighbours.append(swapped)
    assert (costs.cost(np.array(neighbours)[None]) >= cost * (1 - 1e-10)).all()
    assert (saving <= cost).all()


def test_other_problems_are_refused() -> None:
    with pytest.raises(Unsupported, match="SharedServersProblem"):
        SharedServersExact().require(MultiServer(MultiServerScenario(users=2, servers=2)))
    with pytest.raises(Unsupported, match="PartialMobile"):
        solver("grid-milp").require(MultiServer(MultiServerScenario(users=2, servers=2)))


# ------------------------------------------------------------------------------------------------------------ the grid


def best_on_grid(problem: PartialMobile, instance: Instances, levels: int) -> tuple[float, float]:
    """The cheapest of all decisions on the grid that overload no server, and of all, each evaluated."""
    top, sites, users = levels - 1, problem.sites, problem.tasks
    each = [(0, 0, 0), *itertools.product(range(1, sites + 1), range(1, levels), range(1, levels))]
    every = np.array(list(itertools.product(each, repeat=users)))  # [some, users, (server, ratio, cpu)]
    requests = [np.sum(every[..., 2] * (every[..., 0] == j), axis=1) for j in range(1, sites + 1)]
    calm = np.max(requests, axis=0) <= top
    decisions = Decisions(
        {
            "server": every[..., 0],
            "ratio": every[..., 1] / top,
            "cpu_hz": every[..., 2] / top * problem.scenario.cpu_server_hz,
        }
    )
    repeated = instance.take(np.zeros(len(every), dtype=np.int64))
    cost = problem.evaluate(repeated, decisions).cost
    return float(cost[calm].min()), float(cost.min())


@pytest.mark.parametrize("time_weight", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("users", "servers", "levels"), [(2, 2, 5), (3, 1, 4), (3, 2, 3)])
def test_the_grid_milp_finds_the_best_of_all_decisions_on_the_grid(
    users: int, servers: int, levels: int, time_weight: float
) -> None:
    problem = one_slot(users, servers, time_weight=time_weight)
    instance = problem.sample(1, seed=13)
    solved = solver("grid-milp", problem, levels=levels).run(problem, instance)
    calm, least = best_on_grid(problem, instance, levels)
    assert least * (1 - 1e-12) <= solved.objective[0] <= calm * (1 + 1e-6)
    assert solved.details["grid_bound"][0] <= least * (1 + 1e-12)
    if calm == least:  # nothing is gained by overload
        assert solved.objective[0] == pytest.approx(least, rel=1e-6)
        assert solved.details["grid_bound"][0] >= min(least, problem.scenario.overload_penalty) * (1 - 1e-5)
    assert solved.bound[0] == -np.inf


def test_a_server_is_overloaded_where_that_pays() -> None:
    problem = one_slot(5, 1, time_weight=0.1)
    instance = problem.sample(1, seed=13)
    solved = solver("grid-milp", problem, levels=3).run(problem, instance)
    calm, least = best_on_grid(problem, instance, levels=3)
    assert problem.evaluate(instance, solved.decisions).metrics["overload"][0] == 1
    assert solved.objective[0] == pytest.approx(least, rel=1e-6)
    assert solved.objective[0] < 0.9 * calm
    continuous = solver("exact", problem).run(problem, instance).bound[0]
    assert solved.details["grid_bound"][0] == pytest.approx(1.0 + continuous, rel=1e-6)


def test_the_grid_costs_no_less_than_the_continuum_and_less_when_refined() -> None:
    problem = one_slot(4, 2, time_weight=0.9)
    instances = problem.sample(2, seed=14)
    continuous = solver("exact", problem).run(problem, instances)
    coarse = solver("grid-milp", problem, levels=5).run(problem, instances)
    fine = solver("grid-milp", problem, levels=17).run(problem, instances)
    assert (continuous.bound <= fine.objective).all()
    assert (fine.objective < coarse.objective).all()
    assert (coarse.details["grid_bound"] > continuous.objective).all()


def test_decisions_lie_on_the_grid_and_a_high_penalty_lets_nobody_overload() -> None:
    scenario = PartialMobileScenario(
        users=12, horizon=2, time_weight=0.9, sites_m=QUINCUNX_M[:2], overload_penalty=12.0
    )
    problem = PartialMobile(scenario)
    instances = problem.sample(1, seed=15)
    solved = solver("grid-milp", problem).run(problem, instances)
    levels = solved.decisions["cpu_hz"] / 2.5e9
    np.testing.assert_array_equal(levels, np.rint(levels))
    np.testing.assert_array_equal(solved.decisions["ratio"] * 4, np.rint(solved.decisions["ratio"] * 4))
    assert problem.evaluate(instances, solved.decisions).metrics["overload"].max() == 0
    assert solved.details["grid_bound"].shape == (1, 2)
