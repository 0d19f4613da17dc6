"""What a policy decides at predicted prices, and the bound that the same prices prove."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offloadopt import registry
from offloadopt.core import Budget, FloatArray, Instances, Problem
from offloadopt.errors import Unsupported
from offloadopt.learners.common.saved_policy import Origin, load_policy
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.pricing.network import NormalisedAssignment, PriceNetwork
from offloadopt.learners.pricing.policy import PricePolicy, assign, assign_all
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


def elsewhere(policy: PricePolicy, problem: Any) -> PricePolicy:
    """The same network on another problem."""
    return PricePolicy(problem, policy.actor, policy.origin)


def draw(count: int, tasks: int, servers: int, seed: int = 0) -> PricedAssignment:
    """Instances of no problem in particular, some links missing."""
    rng = np.random.default_rng(seed)
    cost = rng.exponential(size=(count, tasks, servers + 1)) + np.array([1.0, *[0.0] * servers])
    cost[..., 1:][rng.random((count, tasks, servers)) < 0.1] = np.inf
    load, capacity = rng.uniform(0.5, 2.0, (count, tasks)), tasks * rng.uniform(0.2, 2.0, (count, servers))
    return PricedAssignment(cost, load, capacity)


def enumerated(costs: PricedAssignment) -> FloatArray:
    """[count] the least cost of all assignments."""
    tasks, options = costs.option_cost.shape[1:]
    every = np.array(list(itertools.product(range(options), repeat=tasks)), dtype=np.int64)
    with np.errstate(invalid="ignore"):
        return np.asarray(costs.cost(np.broadcast_to(every, (costs.count, *every.shape))).min(axis=1))


def untrained(seed: int) -> PriceNetwork:
    network = PriceNetwork(8, 2)
    network.initialise(seeded_generator(seed))
    return network


def predict(network: PriceNetwork, costs: PricedAssignment) -> FloatArray:
    """Root prices in the instances' own units."""
    instances = NormalisedAssignment.of(costs)
    with torch.inference_mode():
        return np.asarray(network(instances).numpy() * instances.common_price[:, None])


@pytest.mark.parametrize("money", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_units_change_neither_prices_nor_decisions(policy: PricePolicy, money: float, size: float) -> None:
    """Money in other units, and loads and capacities in others: ``s^2 / F`` is money."""
    costs = draw(20, 25, 3)
    scaled = PricedAssignment(costs.option_cost * money, costs.load * size, costs.capacity * size**2 / money)
    before, after = policy.root_prices(costs), policy.root_prices(scaled)
    np.testing.assert_allclose(after, before * money / size, rtol=1e-8)
    (plain, bound), (other, other_bound) = assign_all(costs, before, 8), assign_all(scaled, after, 8)
    np.testing.assert_array_equal(other, plain)
    np.testing.assert_allclose(other_bound, bound * money, rtol=1e-8)


NUMBERS = st.floats(0.01, 10.0)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), tasks=st.integers(1, 5), servers=st.integers(1, 3), seed=st.integers(0, 3))
def test_any_network_proves_a_bound_below_every_assignment(
    data: st.DataObject, tasks: int, servers: int, seed: int
) -> None:
    """Untrained networks too, on repeated numbers, missing links and very unequal scales."""
    link = st.one_of(NUMBERS, st.sampled_from([0.0, 1.0, np.inf, 1e-17, 1e6]))
    row = st.tuples(st.one_of(NUMBERS, st.just(1.0)), *[link] * servers)
    costs = PricedAssignment(
        option_cost=np.array([data.draw(st.lists(row, min_size=tasks, max_size=tasks))]),
        load=np.array([data.draw(st.lists(st.one_of(NUMBERS, st.just(1.0)), min_size=tasks, max_size=tasks))]),
        capacity=np.array([data.draw(st.lists(st.one_of(NUMBERS, st.just(1.0)), min_size=servers, max_size=servers))]),
    )
    v = predict(untrained(seed), costs)
    assert np.isfinite(v).all()
    assert (v >= 0).all()
    assignment, bound = assign_all(costs, v, 8)
    best = enumerated(costs)
    assert bound[0] <= best[0]
    assert costs.cost(assignment)[0] >= best[0] * (1 - 1e-12)


def test_moves_and_swaps_only_lower_the_cost_and_end_where_neither_helps() -> None:
    costs = draw(40, 8, 3)
    v = np.zeros((40, 3))  # every task on its best link, far too many
    reached = [costs.cost(assign_all(costs, v, sweeps)[0]) for sweeps in (0, 1, 2, 100)]
    for before, after in itertools.pairwise(reached):
        assert (after <= before).all()
    assert (reached[1] < reached[0]).any()
    assert (reached[2] < reached[1]).any()
    settled, _ = assign_all(costs, v, 100)
    neighbours = []
    for task, option in itertools.product(range(8), range(4)):
        moved = settled.copy()
        moved[:, task] = option
        neighbours.append(moved)
    for one, other in itertools.combinations(range(8), 2):
        swapped = settled.copy()
        swapped[:, [one, other]] = settled[:, [other, one]]
        neighbours.append(swapped)
    with np.errstate(invalid="ignore"):
        assert (costs.cost(np.stack(neighbours, axis=1)) >= reached[-1][:, None] * (1 - 1e-12)).all()


def test_like_tasks_that_would_all_change_sides_together_are_spread() -> None:
    """At the prices of the optimum each of equal tasks is indifferent: best responses alone are all or nothing."""
    cost = np.tile([3.0, 0.0, 0.0], (10, 1))
    load, capacity = np.ones(10), np.full(2, 4.0)
    assignment, bound = assign(cost, load, capacity, np.full(2, 1.25), 8)
    costs = PricedAssignment(cost[None], load[None], capacity[None])
    assert np.bincount(assignment).tolist() == [0, 5, 5]
    assert bound == pytest.approx(costs.cost(assignment[None])[0])


def test_permuting_users_and_servers_permutes_decisions(policy: PricePolicy) -> None:
    problem = make(20, 4, layout_seed=None)
    drawn = problem.sample(30, seed=3)
    users, servers = np.random.default_rng(0).permutation(20), np.random.default_rng(1).permutation(4)
    shuffled = Instances(
        {
            "gain": drawn["gain"][:, users][..., servers],
            "task_bits": drawn["task_bits"][:, users],
            "task_cycles": drawn["task_cycles"][:, users],
        }
    )
    here = elsewhere(policy, problem)
    plain, other = here.run(problem, drawn), here.run(problem, shuffled)
    renamed = np.argsort(np.concatenate([[0], servers + 1]))[plain.decisions["server"]][:, users]
    np.testing.assert_array_equal(other.decisions["server"], renamed)
    np.testing.assert_allclose(other.decisions["cpu_hz"], plain.decisions["cpu_hz"][:, users], rtol=1e-9)
    np.testing.assert_allclose(other.details["prices"], plain.details["prices"][:, servers], rtol=1e-8)
    np.testing.assert_allclose(other.bound, plain.bound, rtol=1e-9)


@pytest.mark.parametrize(("users", "servers"), [(5, 2), (7, 1), (6, 3)])
def test_its_own_gap_is_never_smaller_than_the_true_one(policy: PricePolicy, users: int, servers: int) -> None:
    problem = make(users, servers, layout_seed=None)
    instances = problem.sample(50, seed=1)
    found = elsewhere(policy, problem).run(problem, instances)
    optimum = registry.solver("exhaustive", problem).run(problem, instances).objective
    assert (found.bound <= optimum * (1 + 1e-12)).all()
    assert (found.objective >= optimum * (1 - 1e-12)).all()
    assert (found.gap >= (found.objective - optimum) / optimum - 1e-12).all()


def test_sizes_that_it_never_saw_are_decided_well_by_its_own_account(policy: PricePolicy) -> None:
    """Trained on 20 to 40 tasks and 2 to 4 servers, briefly. The gap that no prices close shrinks with the tasks."""
    for users, servers, most in ((10, 2, 0.03), (100, 8, 0.01), (2000, 10, 0.005)):
        problem = make(users, servers, layout_seed=None)
        found = elsewhere(policy, problem).run(problem, problem.sample(5, seed=2))
        assert found.gap.mean() < most


def test_where_a_round_goes_astray_the_prices_that_prove_most_stand() -> None:
    """Capacities nine decades apart, far from anything trained on."""
    costs = draw(30, 10, 4)
    wild = PricedAssignment(
        costs.option_cost, costs.load, 10 ** np.random.default_rng(0).uniform(-9, 9, costs.capacity.shape)
    )
    problem = make(10, 4)
    policy = PricePolicy(problem, untrained(0), Origin.of(Prices(), problem))
    instances, proved = NormalisedAssignment.of(wild), assign_all(wild, policy.root_prices(wild), 0)[1]
    with torch.inference_mode():
        path = [v.numpy() * instances.common_price[:, None] for v in policy.actor.price_iterates(instances)]
    bounds = np.stack([assign_all(wild, v, 0)[1] for v in path])
    np.testing.assert_array_equal(proved, bounds.max(axis=0))
    assert (bounds[-1] < proved).any()


def test_act_decides_as_run_does(policy: PricePolicy) -> None:
    problem = make(30, 3)
    instances, here = problem.sample(5, seed=4), elsewhere(policy, problem)
    acted, memory = here.act(problem.observe(instances, problem.reset(instances)))
    assert memory is None
    ran = here.run(problem, instances)
    for name, array in acted.items():
        np.testing.assert_array_equal(array, ran.decisions[name])


def test_the_bound_holds_for_the_problem_that_is_asked(policy: PricePolicy) -> None:
    slower = make(30, 3, load=0.2)
    instances = slower.sample(4, 1)
    solutions = policy.run(slower, instances)
    assert (solutions.bound <= registry.solver("exact", slower).run(slower, instances).objective * (1 + 1e-9)).all()
    np.testing.assert_array_equal(solutions.bound, elsewhere(policy, slower).run(slower, instances).bound)
    with pytest.raises(Unsupported, match="carbon_mimo"):
        policy.run(registry.problem("carbon_mimo"), registry.problem("carbon_mimo").sample(1, 0))


def test_an_exact_solver_can_begin_with_its_prices(policy: PricePolicy) -> None:
    problem = make(60, 4)
    instances = problem.sample(3, seed=5)
    prices = elsewhere(policy, problem).run(problem, instances).details["prices"]
    cold = registry.solver("exact", problem).run(problem, instances)
    warm = registry.solver("exact", problem, initial_prices=prices).run(problem, instances)
    np.testing.assert_allclose(warm.objective, cold.objective, rtol=2e-6)
    np.testing.assert_allclose(prices, cold.details["prices"], rtol=0.3)


def test_a_saved_policy_decides_other_sizes_as_before(policy: PricePolicy, tmp_path: Path) -> None:
    policy.save(tmp_path / "policy")
    problem = make(150, 7)
    instances = problem.sample(3, seed=8)
    loaded = load_policy(tmp_path / "policy", problem)
    before, after = (which.run(problem, instances) for which in (elsewhere(policy, problem), loaded))
    np.testing.assert_array_equal(before.objective, after.objective)
    np.testing.assert_array_equal(before.bound, after.bound)
