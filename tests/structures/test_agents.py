"""Agents: a toy conforms; views and controls are found by name."""

from __future__ import annotations

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Observation, Scenario
from offloadopt.errors import UnknownName
from offloadopt.testing import check_problem, check_solver

from toys.agents import Thermostats

TOY = Thermostats(Scenario())


def test_a_toy_conforms() -> None:
    check_problem(TOY)
    check_solver(offloadopt.solver("random", TOY), TOY)


def test_a_view_joins_features_and_a_global_view_joins_agents() -> None:
    observation = Observation({"warmth": np.array([[1.0, -0.5]])})
    np.testing.assert_array_equal(TOY.view(observation, "full"), [[[0.5, 1.0], [-0.25, 0.0]]])
    np.testing.assert_array_equal(TOY.global_view(observation, "full"), [[0.5, 1.0, -0.25, 0.0]])
    assert (TOY.view_size("warmth"), TOY.view_size("full")) == (1, 2)


def test_an_unknown_view_or_control_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="no view 'warm' of thermostats; did you mean 'warmth'"):
        TOY.view_features("warm")
    with pytest.raises(UnknownName, match="no controls 'decisions' of thermostats; did you mean 'decision'"):
        TOY.controls_named("decisions")
    assert TOY.controls_named(None) is TOY.controls["decision"]


def test_random_decisions_keep_to_what_is_allowed() -> None:
    instances = TOY.sample(200, seed=0)
    decisions = offloadopt.solver("random", TOY).run(TOY, instances).decisions
    cold = instances["weather"][:, 0] <= 0
    assert (decisions["fan"][:, 0][cold] == 0).all()
    assert set(decisions["fan"][:, 0][~cold]) == {0, 1, 2}
