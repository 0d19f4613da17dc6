"""Problems with a centre: a toy conforms, and coordinates lead to the nearest option."""

from __future__ import annotations

import numpy as np

import offloadopt
from offloadopt.core import Scenario
from offloadopt.testing import check_problem, check_solver

from toys.joint import POWER_W, BaseStation

TOY = BaseStation(Scenario())


def test_a_toy_conforms() -> None:
    check_problem(TOY)
    check_solver(offloadopt.solver("random", TOY), TOY)


def test_coordinates_lead_to_quantities_and_to_the_nearest_option() -> None:
    decision = TOY.decode(np.array([[[0.25, 0.2], [1.0, 0.8]]]))
    np.testing.assert_array_equal(decision["power_w"], [[0.25 * POWER_W, POWER_W]])
    np.testing.assert_array_equal(decision["channel"], [[0, 2]])
    np.testing.assert_array_equal(TOY.encode(decision), [[[0.25, 0.0], [1.0, 1.0]]])


def test_states_and_factors_fit_each_other() -> None:
    observation = TOY.observe(TOY.sample(3, 0), TOY.reset(TOY.sample(3, 0)))
    assert TOY.user_state(observation).shape == (3, 2, len(TOY.user_factors))
    assert TOY.common_state(observation).shape == (3, len(TOY.common_factors))
