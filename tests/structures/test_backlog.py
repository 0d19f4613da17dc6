"""Backlogs: a toy conforms, and is solved to the powers at which a bit's energy costs what leaving it costs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import offloadopt
from offloadopt.core import Scenario
from offloadopt.errors import Unsupported
from offloadopt.testing import check_problem, check_solver

from toys.backlog import FINAL_PRICE, GRID_PRICE, SLOTS, Buoys


def test_a_toy_conforms() -> None:
    toy = Buoys(Scenario())
    check_problem(toy)
    check_solver(offloadopt.solver("exact", toy), toy)


def test_the_exact_solver_serves_as_many_bits_as_pay() -> None:
    toy = Buoys(Scenario())
    instances = toy.sample(5, seed=1)
    solutions = offloadopt.solver("exact", toy).run(toy, instances)
    expected = np.zeros(5)
    for row, agent in np.ndindex(5, 2):
        bits, sun_j = instances["bits"][row, agent], instances["sun_j"][row, agent]

        def cost(served: float, bits: float = bits, sun_j: float = sun_j) -> float:
            """Of serving the same number of bits in all slots, at the power of ``kappa f^3``."""
            grid_j = max(0.02 * served**3 - sun_j, 0.0)
            return SLOTS * GRID_PRICE * grid_j + FINAL_PRICE * (bits - SLOTS * served)

        expected[row] += minimize_scalar(cost, bounds=(0.0, bits / SLOTS), options={"xatol": 1e-10}).fun
    np.testing.assert_allclose(solutions.objective, expected, rtol=1e-5)
    assert solutions.status_names == ["OPTIMAL"] * 5


def test_a_problem_has_no_battery_and_no_law_of_the_future_unless_it_says_so() -> None:
    toy = Buoys(Scenario())
    assert (toy.battery_j, toy.waste_price) == (0.0, 0.0)
    with pytest.raises(Unsupported, match="problem 'buoys' does not state"):
        toy.mdp()


def test_controls_are_the_powers_or_energy_and_its_share() -> None:
    assert list(Buoys(Scenario()).controls) == ["decision", "energy"]
