"""The exact solver of shared servers against enumeration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import solver
from offloadopt.core import Instances, Observation, Status
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.problems.partial_mobile.scenario import PartialMobileScenario
from offloadopt.solvers.shared_servers.exact import SharedServersExact

from toys.shared_slots import one_slot

GAP = 1e-9


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


def test_other_problems_are_refused() -> None:
    with pytest.raises(Unsupported, match="SharedServersProblem"):
        SharedServersExact().require(MultiServer(MultiServerScenario(users=2, servers=2)))


def test_more_users_than_memory_are_refused_before_anything_is_made() -> None:
    problem = one_slot(20_000, 5)
    with pytest.raises(InvalidInput, match=r"solver 'exact' with 20,000 tasks in a slot: about .* GiB of memory"):
        solver("exact", problem).run(problem, problem.sample(1, 0))
