"""The learner `prices`: what the network computes, what its prices prove, and what training depends on."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations, FloatArray, Instances, IntArray, Problem
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import training as course
from offloadopt.learners.common.saved_policy import Origin, load_policy
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.pricing.network import REACH, NormalisedAssignment, PriceNetwork
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
    return PricePolicy(problem, policy.network, policy.sweeps, policy.origin)


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
    market = NormalisedAssignment.of(costs)
    with torch.inference_mode():
        return np.asarray(network(market).numpy() * market.common_price[:, None])


# ------------------------------------------------------------------------------------------ what the network computes


def test_the_common_price_clears_one_server_with_all_the_capacity() -> None:
    """Loads 1, 1, 2 bear prices 5, 3, 1 over capacity 1: two are served at a price of 2, too dear for the third."""
    costs = PricedAssignment(
        option_cost=np.array([[[10.0, 0.0, 4.0], [6.0, 9.0, 0.0], [4.0, 0.0, 0.0]]]),
        load=np.array([[1.0, 1.0, 2.0]]),
        capacity=np.array([[0.25, 0.75]]),
    )
    market = NormalisedAssignment.of(costs)
    assert market.common_price == pytest.approx([2.0])
    # Money is counted in 2 (price) x 4/3 (mean load), capacity per task in mean loads by the price.
    np.testing.assert_allclose(market.local[0], np.array([10.0, 6.0, 4.0]) / (8 / 3))
    np.testing.assert_allclose(market.capacity[0], np.array([0.25, 0.75]) * 2 / 4)


def test_the_bound_of_a_market_is_the_dual_function_in_its_units() -> None:
    costs = draw(4, 12, 3)
    market = NormalisedAssignment.of(costs)
    v = np.random.default_rng(1).uniform(0, 2, (4, 3))
    own = v * market.common_price[:, None]
    options = costs.option_cost.copy()
    options[..., 1:] += 2 * costs.load[..., None] * own[:, None]
    dual = options.min(axis=-1).sum(axis=1) - (costs.capacity * own**2).sum(axis=1)
    money = market.common_price * costs.load.mean(axis=1)
    above = dual - costs.option_cost.min(axis=-1).sum(axis=1)
    np.testing.assert_allclose(market.bound(torch.from_numpy(v)), above / money / 12, rtol=1e-12)


def test_tasks_answer_with_their_cheapest_option_and_the_price_at_which_they_would_leave_it() -> None:
    costs = draw(3, 10, 3)
    market = NormalisedAssignment.of(costs)
    v = torch.from_numpy(np.random.default_rng(2).uniform(0, 2, (3, 3)))
    rise, load = market.answers(v)

    def best(prices: torch.Tensor) -> IntArray:
        priced = market.link + 2 * market.load[:, None] * prices[..., None]
        return torch.cat([market.local[:, None], priced], dim=1).argmin(dim=1).numpy()

    choice = best(v)
    for server in range(3):
        mine = choice == server + 1
        np.testing.assert_allclose(load[:, server], (mine * market.load.numpy()).mean(axis=1), rtol=1e-12)
        for row, task in itertools.product(range(3), range(10)):
            change = float(rise[row, server, task])
            assert (change > 0) == mine[row, task]
            if abs(change) == REACH:
                continue
            for nudge, there in ((-1e-9, True), (1e-9, False)):
                moved = v.clone()
                moved[row, server] += change + nudge
                assert (best(moved)[row, task] == server + 1) == there


def test_servers_that_tie_share_a_task() -> None:
    cost = np.array([[[2.0, 1.0, 1.0, 3.0]]])
    market = NormalisedAssignment.of(PricedAssignment(cost, np.ones((1, 1)), np.ones((1, 3))))
    _, load = market.answers(torch.zeros(1, 3, dtype=torch.float64))
    np.testing.assert_allclose(load, [[0.5, 0.5, 0.0]])


def test_the_curvature_is_half_the_negative_hessian_of_the_smoothed_bound() -> None:
    market, width = NormalisedAssignment.of(draw(1, 9, 3)), torch.tensor([0.4], dtype=torch.float64)

    def smoothed(v: torch.Tensor) -> torch.Tensor:
        priced = torch.cat([market.local[:, None], market.link + 2 * market.load[:, None] * v[None, :, None]], dim=1)
        scale = 2 * market.load * width
        least = -scale * torch.logsumexp(-priced / scale[:, None], dim=1)
        return least.mean() - (market.capacity * v**2).sum()

    v = torch.tensor([0.7, 1.1, 0.2], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(smoothed, v)
    np.testing.assert_allclose(market.curvature(v[None], width)[0], -hessian / 2, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_permuting_tasks_and_servers_permutes_prices(seed: int) -> None:
    costs, rng = draw(5, 30, 4, seed), np.random.default_rng(seed)
    tasks, servers = rng.permutation(30), rng.permutation(4)
    options = np.concatenate([[0], servers + 1])
    shuffled = PricedAssignment(
        costs.option_cost[:, tasks][..., options], costs.load[:, tasks], costs.capacity[:, servers]
    )
    network = untrained(seed)
    np.testing.assert_allclose(predict(network, shuffled), predict(network, costs)[:, servers], rtol=1e-9)


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


def test_where_no_task_gains_by_a_server_nothing_has_a_price() -> None:
    costs = draw(3, 6, 2)
    dear = PricedAssignment(np.where(np.arange(3) > 0, costs.option_cost + 9, 1.0), costs.load, costs.capacity)
    v = predict(untrained(0), dear)
    assignment, bound = assign_all(dear, v, 8)
    assert not v.any()
    assert not assignment.any()
    np.testing.assert_allclose(bound, 6.0, rtol=1e-12)


# --------------------------------------------------------------------------------------------------- what is decided

NUMBERS = st.floats(0.01, 10.0)


@settings(max_examples=150, deadline=None)
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
    policy = PricePolicy(problem, untrained(0), 8, Origin.of(Prices(), problem))
    market, proved = NormalisedAssignment.of(wild), assign_all(wild, policy.root_prices(wild), 0)[1]
    with torch.inference_mode():
        path = [v.numpy() * market.common_price[:, None] for v in policy.network.path(market)]
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


def test_an_exact_solver_can_begin_with_its_prices(policy: PricePolicy) -> None:
    problem = make(60, 4)
    instances = problem.sample(3, seed=5)
    prices = elsewhere(policy, problem).run(problem, instances).details["prices"]
    cold = registry.solver("exact", problem).run(problem, instances)
    warm = registry.solver("exact", problem, initial_prices=prices).run(problem, instances)
    np.testing.assert_allclose(warm.objective, cold.objective, rtol=2e-6)
    np.testing.assert_allclose(prices, cold.details["prices"], rtol=0.3)


# ----------------------------------------------------------------------------------------------------- what is learned


def test_training_brings_the_bound_much_closer_to_the_best_one(policy: PricePolicy) -> None:
    lesson = Prices(batch_size=64).cut(draw_costs(make(60, 6, layout_seed=None)), np.random.SeedSequence(2))
    with torch.inference_mode():
        before, after = (float(lesson.bound_loss(net(lesson.market))) for net in (untrained(0), policy.network))
    assert 0 <= after < 0.1 * before


def test_cut_instances_have_as_much_capacity_per_task_as_whole_ones() -> None:
    whole = draw(8, 60, 5)
    alike = PricedAssignment(whole.option_cost, np.ones((8, 60)), np.full((8, 5), 7.0))
    for number in range(5):
        lesson = Prices(load_factor=1.0, fewest_tasks=12, most_tasks=12).cut(alike, np.random.SeedSequence(number))
        market, servers = lesson.market, lesson.v.shape[1]
        assert market.load.shape == (32, 12)
        assert 2 <= servers <= 5
        capacity = market.capacity.numpy() * 12 / market.common_price[:, None]
        np.testing.assert_allclose(capacity.sum(axis=1) / 12, 5 * 7.0 / 60)


def test_labels_maximise_the_bound() -> None:
    costs = draw(6, 40, 3)
    lesson = Prices(batch_size=6).cut(costs, np.random.SeedSequence(1))
    best, rng = lesson.market.bound(lesson.v), np.random.default_rng(0)
    for _ in range(50):
        other = lesson.v * torch.from_numpy(rng.uniform(0.8, 1.25, lesson.v.shape))
        assert (lesson.market.bound(other) <= best + 1e-6).all()


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    problem, saved = make(12, 2), {}
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        train(problem, 12, seed).save(tmp_path / name)
        saved[name] = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
    assert saved["first"] == saved["again"]
    assert saved["first"]["weights.safetensors"] != saved["other"]["weights.safetensors"]


def test_a_saved_policy_decides_other_sizes_as_before(policy: PricePolicy, tmp_path: Path) -> None:
    policy.save(tmp_path / "policy")
    problem = make(150, 7)
    instances = problem.sample(3, seed=8)
    loaded = load_policy(tmp_path / "policy", problem)
    before, after = (which.run(problem, instances) for which in (elsewhere(policy, problem), loaded))
    np.testing.assert_array_equal(before.objective, after.objective)
    np.testing.assert_array_equal(before.bound, after.bound)


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
    for name, array in straight.network.arrays().items():
        np.testing.assert_array_equal(resumed.network.arrays()[name], array)


def test_demonstrations_give_instances_and_nothing_else() -> None:
    problem = make(12, 2)
    instances = problem.sample(10, seed=9)
    observations = problem.observe(instances, problem.reset(instances))
    experts = [registry.solver(name, problem).run(problem, instances) for name in ("exact", "local")]
    learned = [
        train(problem, 10, demonstrations=Demonstrations(instances, observations, expert)).network.arrays()
        for expert in experts
    ]
    sampled = train(problem, 10).network.arrays()
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
