"""Each argument of a proof against enumeration: what it says is true, and what is false is rejected."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest

from offloadopt.certificates.assignment import (
    Numbers,
    Rejected,
    Tree,
    by_server_prices,
    by_task_prices,
    whole,
)

TASKS, SERVERS = 6, 2


def random_numbers(seed: int, *, equal: bool = False) -> Numbers:
    rng = np.random.default_rng(seed)
    cost = [[Fraction(x) for x in row] for row in rng.uniform(0.2, 2.0, (TASKS, SERVERS + 1))]
    squared = [Fraction(x) for x in (np.full(TASKS, 0.7) if equal else rng.uniform(0.3, 1.5, TASKS))]
    return Numbers.rounded(cost, squared, [Fraction(x) for x in rng.uniform(1.0, 4.0, SERVERS)], 40, 30)


def cost_of(numbers: Numbers, options: tuple[int, ...]) -> int:
    loads = [sum(s for s, k in zip(numbers.load, options, strict=True) if k == j) for j in range(1, SERVERS + 1)]
    own = sum(row[k] or 0 for row, k in zip(numbers.cost, options, strict=True))
    return own + sum(numbers.crowded(j, load) for j, load in enumerate(loads))


def optimum(numbers: Numbers) -> int:
    return min(cost_of(numbers, options) for options in product(range(SERVERS + 1), repeat=TASKS))


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_prices_of_servers_never_prove_more_than_the_optimum(seed: int, equal: bool) -> None:
    numbers, rng = random_numbers(seed, equal=equal), np.random.default_rng(seed)
    optimal = min(product(range(SERVERS + 1), repeat=TASKS), key=lambda options: cost_of(numbers, options))
    best = cost_of(numbers, optimal)
    for _ in range(20):
        v = [int(x) for x in rng.uniform(0.0, 2.0, SERVERS) * 2**30]
        kept = by_server_prices(numbers, whole(numbers), v, best + 10**6)
        assert kept is not None
        assert all(optimal[i] in options for i, options in kept.options.items())


@pytest.mark.parametrize("seed", range(6))
def test_a_set_that_costs_less_than_stated_is_found(seed: int) -> None:
    numbers, rng = random_numbers(seed), np.random.default_rng(seed)
    part = whole(numbers)
    u = {i: int(x * 2.0**70) for i, x in enumerate(rng.uniform(0.5, 3.0, TASKS))}
    least = []
    for j in range(SERVERS):
        sets = [chosen for size in range(TASKS + 1) for chosen in combinations(range(TASKS), size)]
        least.append(
            min(
                numbers.crowded(j, sum(numbers.load[i] for i in chosen))
                - sum(u[i] - (numbers.cost[i][j + 1] or 0) for i in chosen)
                for chosen in sets
            )
        )
    bound = by_task_prices(numbers, part, u, least)
    assert bound <= optimum(numbers)
    for j in range(SERVERS):
        raised = list(least)
        raised[j] += 1
        with pytest.raises(Rejected, match=f"server {j + 1} costs less"):
            by_task_prices(numbers, part, u, raised)


def test_a_tree_must_be_closed_and_covered() -> None:
    numbers = random_numbers(0)
    v, bound = [2**29, 2**29], optimum(numbers)
    tree = Tree.root(numbers, bound + 2**69, v)
    with pytest.raises(Rejected, match="neither closed nor divided"):
        tree.finish()
    part = tree.parts[0]
    assert part is not None
    task = next(iter(part.options))
    tree.branch(0, task, part.options[task][:1])
    tree.parts[1] = None
    with pytest.raises(Rejected, match="do not cover"):
        tree.finish()
    with pytest.raises(Rejected, match="divide the options of one open task"):
        tree.branch(0, task + 1, [0])
    with pytest.raises(Rejected, match="prices"):
        Tree.root(numbers, bound, [-1, 2**29])
    with pytest.raises(Rejected, match="closed has a child"):
        tree.branch(1, task, [0])
