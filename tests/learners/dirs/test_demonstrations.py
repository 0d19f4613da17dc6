"""Labelled views of an expert: what they hold, and which demonstrations are refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations, Problem
from offloadopt.errors import InvalidInput
from offloadopt.learners.dirs.demonstrations import Examples
from offloadopt.learners.dirs.ensemble import EnsemblePolicy


def demonstrate(problem: Problem[Any], count: int, seed: int = 0) -> Demonstrations:
    """Proved optima."""
    instances = problem.sample(count, seed)
    solutions = registry.solver("exact", problem).run(problem, instances)
    return Demonstrations(instances, problem.observe(instances, problem.reset(instances)), solutions)


@pytest.fixture(scope="module")
def small() -> Problem[Any]:
    return registry.problem("multi_server", users=6, servers=2)


@pytest.fixture(scope="module")
def experts(small: Problem[Any]) -> Demonstrations:
    return demonstrate(small, 64)


def fit(problem: Problem[Any], demonstrations: Demonstrations, steps: int = 20, **options: Any) -> EnsemblePolicy:
    seed = options.pop("seed", 0)
    learner = registry.learner("imitation", **options)
    budget = Budget(steps=steps * learner.batch_size * problem.num_agents)
    return learner.fit(problem, demonstrations=demonstrations, budget=budget, seed=seed)


def test_labels_and_views_are_those_of_the_problem(small: Any, experts: Demonstrations) -> None:
    examples = Examples.of(small, experts)
    np.testing.assert_allclose(
        examples.view.numpy(), 10 * np.log10(experts.instances["gain"]).transpose(0, 2, 1), rtol=1e-6
    )
    assignment = experts.solutions.decisions["server"]
    for server in (1, 2):
        assert np.array_equal(examples.labels[:, server - 1].numpy(), assignment == server)


def test_an_expert_without_a_feasible_decision_is_no_example(small: Problem[Any], experts: Demonstrations) -> None:
    objective, status = experts.solutions.objective.copy(), experts.solutions.status.copy()
    objective[7], status[7] = np.inf, 4
    failed = dataclasses.replace(experts.solutions, objective=objective, status=status)
    with pytest.raises(InvalidInput, match=r"demonstration 7 is not feasible \(LIMIT_NO_SOLUTION\)"):
        fit(small, dataclasses.replace(experts, solutions=failed))


@pytest.mark.parametrize(("field", "value"), [("users", 5), ("servers", 3)])
def test_demonstrations_of_another_size_are_refused(experts: Demonstrations, field: str, value: int) -> None:
    problem = registry.problem("multi_server", **{"users": 6, "servers": 2, field: value})
    with pytest.raises(InvalidInput, match=r"gain has shape \[64, 6, 2\]"):
        fit(problem, experts)


def test_examples_are_joined_cut_and_written_without_a_change(small: Any, experts: Demonstrations) -> None:
    examples = Examples.of(small, experts)
    joined = Examples.concatenate(
        [examples.first(20), Examples.none(small), Examples.from_arrays(small, examples.arrays())]
    )
    assert joined.count == 84
    for name, array in joined.arrays().items():
        whole = examples.arrays()[name]
        np.testing.assert_array_equal(array, np.concatenate([whole[:20], whole]))


def test_a_certificate_needs_a_certified_gap_of_every_example(small: Any, experts: Demonstrations) -> None:
    examples = Examples.of(small, experts)
    gap = np.linspace(0.0, 0.1, examples.count)
    certificate = dataclasses.replace(examples, gap=gap).certificate()
    assert certificate == {"expert_gap_mean": pytest.approx(0.05), "expert_gap_worst": pytest.approx(0.1)}
    gap[3] = np.inf
    for uncertified in (dataclasses.replace(examples, gap=gap), Examples.none(small)):
        assert set(uncertified.certificate().values()) == {None}
