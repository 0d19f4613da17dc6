"""Proofs of bounds: what cannot be reached is proved as far as it goes (the files: tests/certificates)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from offloadopt.certificates.assignment import Numbers, Tree
from offloadopt.certificates.checker import _check_node
from offloadopt.clock import Deadline
from offloadopt.solvers.assignment.certificate import prove

from toys.priced_costs import enumerate_optimum, random_costs


def proved(numbers: Numbers, assignment: np.ndarray, cost: float, bound: float, deadline: Deadline) -> float:
    proof = prove(numbers, assignment, cost, bound, deadline)
    tree = Tree.root(numbers, numbers.rounded_up(Fraction(proof.bound)), proof.prices)
    for record in proof.nodes:
        _check_node(tree, record)
    tree.finish()
    return proof.bound


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_bound_above_the_optimum_is_proved_as_far_as_it_goes(seed: int, equal: bool) -> None:
    costs = random_costs(np.random.default_rng(seed), tasks=6, servers=2, equal=equal)
    numbers = Numbers.rounded(
        [[Fraction(c) for c in row] for row in costs.option_cost[0].tolist()],
        [Fraction(s) ** 2 for s in costs.load[0].tolist()],
        [Fraction(f) for f in costs.capacity[0].tolist()],
        44,
        30,
    )
    best, nothing = float(enumerate_optimum(costs)[0]), np.zeros(6, dtype=np.int64)
    cost = float(costs.cost(nothing[None, None])[0, 0])
    reached = proved(numbers, nothing, cost, best - 1e-6 * best, Deadline())
    assert reached == best - 1e-6 * best
    beyond = proved(numbers, nothing, cost, best + 0.3 * (cost - best), Deadline())
    assert 0.9 * best <= beyond <= best
    assert proved(numbers, nothing, cost, best - 1e-6 * best, Deadline(0.0)) <= best
