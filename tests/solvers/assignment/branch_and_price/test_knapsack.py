"""Sets of least priced cost on one server against enumeration."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest

from offloadopt.core import FloatArray
from offloadopt.solvers.assignment.branch_and_price.knapsack import cheapest_sets


def enumerated(earned: FloatArray, load: FloatArray, fixed: float, capacity: float) -> float:
    every = chain.from_iterable(combinations(range(len(load)), size) for size in range(len(load) + 1))
    return min(((fixed + load[list(s)].sum()) ** 2 - fixed**2) / capacity - earned[list(s)].sum() for s in every)


@pytest.mark.parametrize("seed", range(8))
def test_the_best_set_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    load, fixed, capacity = rng.uniform(0.2, 1.0, 9), rng.uniform(0.0, 1.0), rng.uniform(0.5, 3.0)
    earned = rng.uniform(-0.5, 3.0, 9)
    earned[0] = -np.inf
    sets = np.zeros((3, 9), dtype=np.bool_)
    least, found = cheapest_sets(earned, load, fixed, capacity, 0.0, 10**6, sets)
    best = enumerated(np.where(np.isfinite(earned), earned, -100.0), load, fixed, capacity)
    assert least == pytest.approx(best, abs=1e-12)
    if found:
        last = sets[(found - 1) % 3]
        cost = ((fixed + load[last].sum()) ** 2 - fixed**2) / capacity - earned[last].sum()
        assert cost == pytest.approx(best, abs=1e-12)
    else:
        assert best == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_with_a_tolerance_or_a_node_limit_the_bound_holds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    load, earned = rng.uniform(0.9, 1.1, 12), rng.uniform(1.9, 2.1, 12)
    sets = np.zeros((1, 12), dtype=np.bool_)
    best = enumerated(earned, load, 0.3, 5.0)
    tolerant, _ = cheapest_sets(earned, load, 0.3, 5.0, 0.05, 10**6, sets)
    assert best - 0.05 - 1e-12 <= tolerant <= best + 1e-12
    for nodes in (0, 5, 50):
        assert cheapest_sets(earned, load, 0.3, 5.0, 0.0, nodes, sets)[0] <= best + 1e-12
