"""Learning from an expert: what is learned, what it depends on, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations, Instances, Problem
from offloadopt.errors import InvalidInput
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


# ---------------------------------------------------------------------------------------------------- what is learned


def test_a_trained_policy_is_far_better_than_local_and_nearest_on_instances_it_never_saw() -> None:
    problem = registry.problem("multi_server", users=10, servers=2)
    policy = fit(problem, demonstrate(problem, 1024, seed=1), steps=600)
    held_out = problem.sample(300, seed=2)
    optimum = registry.solver("exact", problem).run(problem, held_out).bound
    excess = policy.run(problem, held_out).objective.mean() - optimum.mean()
    for assignment in (np.zeros((300, 10), dtype=np.int64), problem.nearest(held_out)):
        naive = problem.evaluate(held_out, problem.allocate(held_out, assignment)).cost.mean() - optimum.mean()
        assert excess < 0.2 * naive


def test_the_networks_have_the_papers_sizes() -> None:
    problem = registry.problem("multi_server")
    layers = fit(problem, demonstrate(problem, 8), 1).actor.network.layers
    assert [layer.weight.shape for layer in layers] == [(2, 30, 80), (2, 80, 60), (2, 60, 30)]


def test_the_regulariser_shrinks_the_weights(small: Problem[Any], experts: Demonstrations) -> None:
    norms = [fit(small, experts, 200, l2=l2).actor.squared_norm().detach().numpy() for l2 in (0.0, 1e-2, 1.0)]
    assert (norms[0] > norms[1]).all()
    assert (norms[1] > norms[2]).all()


# ---------------------------------------------------------------------------------------------- what it depends on


def test_the_same_seed_gives_the_same_bytes(small: Problem[Any], experts: Demonstrations, tmp_path: Path) -> None:
    saved = {}
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        fit(small, experts, seed=seed).save(tmp_path / name)
        saved[name] = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
    assert saved["first"] == saved["again"]
    assert saved["first"]["weights.safetensors"] != saved["other"]["weights.safetensors"]


def test_an_agent_learns_from_its_own_labels_and_views_alone(small: Problem[Any], experts: Demonstrations) -> None:
    """Other tasks for server 2, and other gains to it, leave what the agent of server 1 learns as it was."""
    assignment = experts.solutions.decisions["server"]
    other = np.where(assignment == 2, 0, assignment)
    gain = experts.observations["gain"].copy()
    gain[..., 1] *= np.random.default_rng(0).exponential(size=gain.shape[:2])
    observations = type(experts.observations)({**experts.observations, "gain": gain})
    solutions = dataclasses.replace(experts.solutions, decisions=small.allocate(observations, other))  # type: ignore[attr-defined]
    changed = Demonstrations(experts.instances, observations, solutions)

    before, after = (fit(small, given).actor.state_dict() for given in (experts, changed))
    for name, array in before.items():
        assert np.array_equal(array[0], after[name][0])
        assert not np.array_equal(array[1], after[name][1])


def test_what_is_learned_does_not_depend_on_the_unit_of_the_gains(experts: Demonstrations) -> None:
    """Views are standardised: 20 dB more on every link, in training and in use, change no vote."""
    policies, problems = [], []
    for offset in (-30.0, -50.0):
        problem = registry.problem("multi_server", users=6, servers=2, reference_gain_db=offset)
        observations = Instances({**experts.instances, "gain": experts.instances["gain"] * 10 ** ((offset + 30) / 10)})
        scaled = dataclasses.replace(experts, observations=problem.observe(observations, problem.reset(observations)))
        problems.append(problem)
        policies.append(fit(problem, scaled))
    views = [problem.observe(problem.sample(50, 9), problem.reset(problem.sample(1, 9))) for problem in problems]
    near, far = (policy.probabilities(view) for policy, view in zip(policies, views, strict=True))
    np.testing.assert_allclose(near, far, atol=1e-3)


def test_progress_adds_up_to_the_steps_done(small: Problem[Any], experts: Demonstrations) -> None:
    done: list[int] = []
    learner = registry.learner("imitation", gradient_steps=120, batch_size=16)
    policy = learner.fit(small, demonstrations=experts, progress=done.append)
    assert sum(done) == learner.default_steps(small) == policy.origin.training["steps"] == 120 * 16 * 6
    assert len(done) > 1


def test_training_ends_when_its_seconds_are_over(small: Problem[Any], experts: Demonstrations) -> None:
    learner = registry.learner("imitation")
    policy = learner.fit(small, demonstrations=experts, budget=Budget(steps=10**9, seconds=0.1))
    assert policy.origin.training["steps"] < 10**9


# ---------------------------------------------------------------------------------------------------- what is refused


def test_nothing_is_learned_without_demonstrations(small: Problem[Any], experts: Demonstrations) -> None:
    nobody = Demonstrations(
        experts.instances.take(slice(0)), experts.observations.take(slice(0)), experts.solutions.take(slice(0))
    )
    for given, message in ((None, "'imitation' learns from demonstrations; none were given"), (nobody, "are empty")):
        with pytest.raises(InvalidInput, match=message):
            registry.learner("imitation").fit(small, demonstrations=given)


@pytest.mark.parametrize(
    ("field", "value"),
    [("hidden", (80, 0)), ("l2", -1e-4), ("learning_rate", 0.0), ("batch_size", 0), ("steps", 0), ("l2", np.nan)],
)
def test_a_wrong_hyper_parameter_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=field):
        registry.learner("imitation", **{field: value})
