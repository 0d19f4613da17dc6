from __future__ import annotations

import math

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.errors import InvalidInput
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.assignment.exhaustive import Exhaustive
from offloadopt.solvers.assignment.levy import (
    Levy,
    LevyClassic,
    LevySearch,
    h_mutation,
    levy_crossover,
    levy_steps,
    mantegna_scale,
)

BOTH = pytest.mark.parametrize("search", [Levy, LevyClassic])


def small(users: int = 6, servers: int = 2, **changes: object) -> MultiServer:
    problem = registry.problem("multi_server", "heterogeneous", users=users, servers=servers, **changes)
    assert isinstance(problem, MultiServer)
    return problem


def test_mantegna_scale_has_the_published_values() -> None:
    # Mantegna (1994), table I, and by hand for beta = 1: Gamma(2) sin(pi/2) / (Gamma(1) 1 2^0) = 1.
    assert mantegna_scale(1.5) == pytest.approx(0.696575, abs=1e-6)
    assert mantegna_scale(1.0) == pytest.approx(1.0, rel=1e-15)
    # Gamma(1 + x) = x Gamma(x) and Gamma(x) Gamma(1 - x) = pi / sin(pi x), so the numerator is also
    # pi beta / Gamma(1 - beta) cos(pi beta / 2)^-1 / 2.
    beta = 0.7
    numerator = math.pi * beta / (2 * math.gamma(1 - beta) * math.cos(math.pi * beta / 2))
    denominator = math.gamma((1 + beta) / 2) * beta * 2 ** ((beta - 1) / 2)
    assert mantegna_scale(beta) == pytest.approx((numerator / denominator) ** (1 / beta), rel=1e-12)


def test_steps_follow_equation_20() -> None:
    steps = levy_steps(np.array([2.0, -1.0]), np.array([-4.0, 0.25]), 1.0)
    assert steps == pytest.approx([0.5, -4.0])  # sigma_u = 1 for beta = 1


def test_small_beta_takes_more_long_steps() -> None:
    u, v = np.random.default_rng(0).standard_normal((2, 200_000))
    tails = [np.mean(np.abs(levy_steps(u, v, beta)) > 10) for beta in (1.1, 1.5, 1.9)]
    # For beta = 1 the step is Cauchy with P(|s| > 10) = 1 - 2 atan(10) / pi.
    cauchy = np.mean(np.abs(levy_steps(u, v, 1.0)) > 10)
    assert cauchy == pytest.approx(1 - 2 * math.atan(10) / math.pi, rel=0.03)
    assert cauchy > tails[0] > tails[1] > tails[2]


def test_h_mutation_keeps_good_links() -> None:
    options, drawn = np.array([1, 2, 0, 1]), np.array([2, 0, 1, 0])
    quality, steps = np.array([1.0, 0.3, 0.0, 0.5]), np.array([1.9, -0.7, 0.1, 1.0])
    # Weight 0.5: 1 >= 0.95 keeps, 0.3 < 0.35 draws, 0 < 0.05 draws, 0.5 >= 0.5 keeps.
    assert h_mutation(options, drawn, quality, steps, 0.5).tolist() == [1, 0, 1, 1]


def test_crossover_takes_the_mutant_on_long_steps() -> None:
    options, mutant, steps = np.array([1, 1, 1]), np.array([2, 2, 2]), np.array([2.1, -2.1, 1.9])
    # Weight 0.25 and threshold 0.5: a step longer than 2 takes the mutant's option.
    assert levy_crossover(options, mutant, steps, 0.25, 0.5).tolist() == [2, 2, 1]


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
