"""What the price network computes: normalised instances, best responses, curvature, and its symmetries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from offloadopt.core import FloatArray, IntArray
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.pricing.network import REACH, NormalisedAssignment, PriceNetwork
from offloadopt.learners.pricing.policy import assign_all
from offloadopt.structures.assignment import PricedAssignment


def draw(count: int, tasks: int, servers: int, seed: int = 0) -> PricedAssignment:
    """Instances of no problem in particular, some links missing."""
    rng = np.random.default_rng(seed)
    cost = rng.exponential(size=(count, tasks, servers + 1)) + np.array([1.0, *[0.0] * servers])
    cost[..., 1:][rng.random((count, tasks, servers)) < 0.1] = np.inf
    load, capacity = rng.uniform(0.5, 2.0, (count, tasks)), tasks * rng.uniform(0.2, 2.0, (count, servers))
    return PricedAssignment(cost, load, capacity)


def untrained(seed: int) -> PriceNetwork:
    network = PriceNetwork(8, 2)
    network.initialise(seeded_generator(seed))
    return network


def predict(network: PriceNetwork, costs: PricedAssignment) -> FloatArray:
    """Root prices in the instances' own units."""
    instances = NormalisedAssignment.of(costs)
    with torch.inference_mode():
        return np.asarray(network(instances).numpy() * instances.common_price[:, None])


def test_the_common_price_clears_one_server_with_all_the_capacity() -> None:
    """Loads 1, 1, 2 bear prices 5, 3, 1 over capacity 1: two are served at a price of 2, too dear for the third."""
    costs = PricedAssignment(
        option_cost=np.array([[[10.0, 0.0, 4.0], [6.0, 9.0, 0.0], [4.0, 0.0, 0.0]]]),
        load=np.array([[1.0, 1.0, 2.0]]),
        capacity=np.array([[0.25, 0.75]]),
    )
    instances = NormalisedAssignment.of(costs)
    assert instances.common_price == pytest.approx([2.0])
    # Money is counted in 2 (price) x 4/3 (mean load), capacity per task in mean loads by the price.
    np.testing.assert_allclose(instances.local[0], np.array([10.0, 6.0, 4.0]) / (8 / 3))
    np.testing.assert_allclose(instances.capacity[0], np.array([0.25, 0.75]) * 2 / 4)


def test_the_bound_of_a_market_is_the_dual_function_in_its_units() -> None:
    costs = draw(4, 12, 3)
    instances = NormalisedAssignment.of(costs)
    v = np.random.default_rng(1).uniform(0, 2, (4, 3))
    own = v * instances.common_price[:, None]
    options = costs.option_cost.copy()
    options[..., 1:] += 2 * costs.load[..., None] * own[:, None]
    dual = options.min(axis=-1).sum(axis=1) - (costs.capacity * own**2).sum(axis=1)
    money = instances.common_price * costs.load.mean(axis=1)
    above = dual - costs.option_cost.min(axis=-1).sum(axis=1)
    np.testing.assert_allclose(instances.bound(torch.from_numpy(v)), above / money / 12, rtol=1e-12)


def test_tasks_answer_with_their_cheapest_option_and_the_price_at_which_they_would_leave_it() -> None:
    costs = draw(3, 10, 3)
    instances = NormalisedAssignment.of(costs)
    v = torch.from_numpy(np.random.default_rng(2).uniform(0, 2, (3, 3)))
    rise, load = instances.best_responses(v)

    def best(prices: torch.Tensor) -> IntArray:
        priced = instances.link + 2 * instances.load[:, None] * prices[..., None]
        return torch.cat([instances.local[:, None], priced], dim=1).argmin(dim=1).numpy()

    choice = best(v)
    for server in range(3):
        mine = choice == server + 1
        np.testing.assert_allclose(load[:, server], (mine * instances.load.numpy()).mean(axis=1), rtol=1e-12)
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
    instances = NormalisedAssignment.of(PricedAssignment(cost, np.ones((1, 1)), np.ones((1, 3))))
    _, load = instances.best_responses(torch.zeros(1, 3, dtype=torch.float64))
    np.testing.assert_allclose(load, [[0.5, 0.5, 0.0]])


def test_the_curvature_is_half_the_negative_hessian_of_the_smoothed_bound() -> None:
    instances, width = NormalisedAssignment.of(draw(1, 9, 3)), torch.tensor([0.4], dtype=torch.float64)

    def smoothed(v: torch.Tensor) -> torch.Tensor:
        priced = torch.cat(
            [instances.local[:, None], instances.link + 2 * instances.load[:, None] * v[None, :, None]], dim=1
        )
        scale = 2 * instances.load * width
        least = -scale * torch.logsumexp(-priced / scale[:, None], dim=1)
        return least.mean() - (instances.capacity * v**2).sum()

    v = torch.tensor([0.7, 1.1, 0.2], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(smoothed, v)
    np.testing.assert_allclose(instances.curvature(v[None], width)[0], -hessian / 2, rtol=1e-10, atol=1e-12)


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


def test_where_no_task_gains_by_a_server_nothing_has_a_price() -> None:
    costs = draw(3, 6, 2)
    dear = PricedAssignment(np.where(np.arange(3) > 0, costs.option_cost + 9, 1.0), costs.load, costs.capacity)
    v = predict(untrained(0), dear)
    assignment, bound = assign_all(dear, v, 8)
    assert not v.any()
    assert not assignment.any()
    np.testing.assert_allclose(bound, 6.0, rtol=1e-12)
