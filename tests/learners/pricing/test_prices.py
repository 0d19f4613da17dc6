"""The learner `prices`: what the network computes, what its prices prove, and what training depends on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations, Problem
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import training as course
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.pricing.network import PriceNetwork
from offloadopt.learners.pricing.policy import PricePolicy
from offloadopt.learners.pricing.prices import Prices
from offloadopt.structures.assignment import PricedAssignment


def make(users: int, servers: int, **changes: Any) -> Any:
    return registry.problem("multi_server", "heterogeneous", users=users, servers=servers, **changes)


def train(problem: Problem[Any], steps: int = 150, seed: int = 0, **options: Any) -> PricePolicy:
    learner: Prices = registry.learner("prices", batches=20)
    budget = Budget(steps=steps * learner.batch_size * problem.num_agents)
    return learner.fit(problem, budget=budget, seed=seed, **options)


@pytest.fixture(scope="module")
def policy() -> PricePolicy:
    return train(make(40, 4, layout_seed=None))


def draw(count: int, tasks: int, servers: int, seed: int = 0) -> PricedAssignment:
    """Instances of no problem in particular, some links missing."""
    rng = np.random.default_rng(seed)
    cost = rng.exponential(size=(count, tasks, servers + 1)) + np.array([1.0, *[0.0] * servers])
    cost[..., 1:][rng.random((count, tasks, servers)) < 0.1] = np.inf
    load, capacity = rng.uniform(0.5, 2.0, (count, tasks)), tasks * rng.uniform(0.2, 2.0, (count, servers))
    return PricedAssignment(cost, load, capacity)


def draw_costs(problem: Any) -> PricedAssignment:
    """Instances of a problem."""
    costs: PricedAssignment = problem.costs(problem.sample(40, seed=7))
    return costs


def untrained(seed: int) -> PriceNetwork:
    network = PriceNetwork(8, 2)
    network.initialise(seeded_generator(seed))
    return network


# ----------------------------------------------------------------------------------------------------- what is learned


def test_training_brings_the_bound_much_closer_to_the_best_one(policy: PricePolicy) -> None:
    batch = Prices(batch_size=64).cut(draw_costs(make(60, 6, layout_seed=None)), np.random.SeedSequence(2))
    with torch.inference_mode():
        before, after = (float(batch.bound_loss(net(batch.instances))) for net in (untrained(0), policy.actor))
    assert 0 <= after < 0.1 * before


def test_cut_instances_have_as_much_capacity_per_task_as_whole_ones() -> None:
    whole = draw(8, 60, 5)
    alike = PricedAssignment(whole.option_cost, np.ones((8, 60)), np.full((8, 5), 7.0))
    for number in range(5):
        batch = Prices(load_factor=1.0, fewest_tasks=12, most_tasks=12).cut(alike, np.random.SeedSequence(number))
        instances, servers = batch.instances, batch.v.shape[1]
        assert instances.load.shape == (32, 12)
        assert 2 <= servers <= 5
        capacity = instances.capacity.numpy() * 12 / instances.common_price[:, None]
        np.testing.assert_allclose(capacity.sum(axis=1) / 12, 5 * 7.0 / 60)


def test_labels_maximise_the_bound() -> None:
    costs = draw(6, 40, 3)
    batch = Prices(batch_size=6).cut(costs, np.random.SeedSequence(1))
    best, rng = batch.instances.bound(batch.v), np.random.default_rng(0)
    for _ in range(50):
        other = batch.v * torch.from_numpy(rng.uniform(0.8, 1.25, batch.v.shape))
        assert (batch.instances.bound(other) <= best + 1e-6).all()


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    problem, saved = make(12, 2), {}
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        train(problem, 12, seed).save(tmp_path / name)
        saved[name] = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
    assert saved["first"] == saved["again"]
    assert saved["first"]["weights.safetensors"] != saved["other"]["weights.safetensors"]


def test_an_interrupted_training_ends_as_one_without_a_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
    problem = make(12, 2)

    def stop(step: int, measured: Any) -> None:
        assert set(measured) == {"train/price_error", "train/bound_loss"}
        if step >= 20 * Prices().batch_size * problem.num_agents:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(problem, 40, checkpoint=tmp_path / "run", record=stop)
    resumed = train(problem, 40, checkpoint=tmp_path / "run")
    straight = train(problem, 40)
    for name, array in straight.actor.state_dict().items():
        np.testing.assert_array_equal(resumed.actor.state_dict()[name], array)


def test_demonstrations_give_instances_and_nothing_else() -> None:
    problem = make(12, 2)
    instances = problem.sample(10, seed=9)
    observations = problem.observe(instances, problem.reset(instances))
    experts = [registry.solver(name, problem).run(problem, instances) for name in ("exact", "local")]
    learned = [
        train(problem, 10, demonstrations=Demonstrations(instances, observations, expert)).actor.state_dict()
        for expert in experts
    ]
    sampled = train(problem, 10).actor.state_dict()
    assert all(np.array_equal(learned[0][name], learned[1][name]) for name in sampled)
    assert not all(np.array_equal(learned[0][name], sampled[name]) for name in sampled)


# ---------------------------------------------------------------------------------------------------- what is refused


def test_demonstrations_that_do_not_fit_are_refused() -> None:
    problem, other = make(12, 2), make(11, 2)
    instances = other.sample(4, seed=0)
    solutions = registry.solver("local", other).run(other, instances)
    foreign = Demonstrations(instances, other.observe(instances, other.reset(instances)), solutions)
    with pytest.raises(InvalidInput, match=r"gain has shape \[4, 11, 2\]"):
        train(problem, 1, demonstrations=foreign)
    nobody = dataclasses.replace(
        foreign,
        instances=instances.take(slice(0)),
        observations=foreign.observations.take(slice(0)),
        solutions=solutions.take(slice(0)),
    )
    with pytest.raises(InvalidInput, match="demonstrations are empty"):
        train(problem, 1, demonstrations=nobody)


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", 0), ("rounds", 0), ("sweeps", -1), ("imitation_share", 1.5), ("load_factor", 0.5), ("most_tasks", 19)],
)
def test_a_wrong_hyper_parameter_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=field):
        registry.learner("prices", **{field: value})
