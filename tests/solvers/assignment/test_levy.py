from __future__ import annotations

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.errors import InvalidInput
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.assignment.exhaustive import Exhaustive
from offloadopt.solvers.assignment.levy import Levy, LevyClassic, LevySearch

BOTH = pytest.mark.parametrize("search", [Levy, LevyClassic])


def small(users: int = 6, servers: int = 2, **changes: object) -> MultiServer:
    problem = registry.problem("multi_server", "heterogeneous", users=users, servers=servers, **changes)
    assert isinstance(problem, MultiServer)
    return problem


@pytest.mark.parametrize(("search", "worst"), [(Levy, 1e-3), (LevyClassic, 0.01)])
def test_search_comes_close_to_the_optimum_on_small_cases(search: type[LevySearch], worst: float) -> None:
    problem = small()
    instances = problem.sample(30, 4)
    optimum = Exhaustive().run(problem, instances)

    found = search(generations=400).run(problem, instances, seed=9)

    gap = found.objective / optimum.objective - 1
    assert (found.objective >= optimum.bound).all()
    assert gap.mean() <= worst


@BOTH
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(search: type[LevySearch]) -> None:
    problem = small(20, 3)
    instances = problem.sample(6, 0)
    solver = search(generations=30)
    first, again, other = (solver.run(problem, instances, seed=seed).decisions["server"] for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, other)


@BOTH
def test_refining_never_loses_and_leaves_its_start_alone(search: type[LevySearch]) -> None:
    problem = small(10, 2)
    instances = problem.sample(20, 3)
    observation = problem.observe(instances, problem.reset(instances))
    start = np.random.default_rng(0).integers(0, 3, size=(20, 10))
    before = start.copy()

    refined = search(beta=1.5, population=1, generations=50).refine(
        problem, observation, start, np.random.default_rng(5)
    )

    costs = problem.costs(instances)
    assert np.array_equal(start, before)
    assert (costs.cost(refined) <= costs.cost(start)).all()
    assert costs.cost(refined).mean() < 0.9 * costs.cost(start).mean()


@BOTH
def test_refining_frees_tasks_from_links_that_do_not_exist(search: type[LevySearch]) -> None:
    problem = small(4, 2)
    arrays = dict(problem.sample(3, 0))
    instances = problem.check_instances({**arrays, "gain": np.zeros((3, 4, 2))})
    start = np.full((3, 4), 2)
    refined = search(generations=5).refine(problem, instances, start, np.random.default_rng(0))
    assert not refined.any()


@BOTH
def test_no_result_costs_more_than_all_local(search: type[LevySearch]) -> None:
    problem = small(30, 2, load=0.05)  # hardly any CPU: a random start is far worse than local
    instances = problem.sample(10, 0)
    found = search(generations=1).run(problem, instances)
    assert (found.objective <= problem.costs(instances).cost(np.zeros((10, 30), dtype=np.int64)) * (1 + 1e-12)).all()


def test_channels_guide_the_search() -> None:
    problem = small(30, 2)
    instances = problem.sample(20, 8)
    guided, classic = (search(generations=100).run(problem, instances).objective for search in (Levy, LevyClassic))
    assert guided.mean() < classic.mean()


@BOTH
def test_a_time_limit_ends_the_search_with_a_feasible_decision(search: type[LevySearch]) -> None:
    problem = small()
    solutions = search(generations=10**9, time_limit_s=0.01).run(problem, problem.sample(2, 0))
    assert set(solutions.status_names) == {"FEASIBLE"}


@pytest.mark.parametrize("wrong", [{"beta": 2.0}, {"beta": 0.0}, {"population": 0}, {"generations": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        Levy(**wrong)
