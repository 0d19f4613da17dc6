"""Rewards of an outcome against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.core import Outcome
from offloadopt.envs import rewards
from offloadopt.errors import InvalidInput, UnknownName

AGENT_COST = np.array([[1.0, 3.0], [2.0, 2.0]])
PLAIN = Outcome(np.array([4.0, 4.0]), AGENT_COST)
AT_THE_END = Outcome(np.array([4.0, 4.0]), AGENT_COST, terminal_cost=np.array([[0.5, 0.0], [0.0, 1.0]]))


def test_the_terminal_cost_is_left_out_where_learners_bootstrap() -> None:
    assert rewards.negative_cost(PLAIN).tolist() == [-4.0, -4.0]
    assert rewards.negative_cost(AT_THE_END).tolist() == [-3.5, -3.0]


def test_the_reciprocal_cost_is_one_over_the_cost() -> None:
    assert rewards.reciprocal_cost(PLAIN).tolist() == [0.25, 0.25]


def test_a_slot_without_cost_has_no_reciprocal() -> None:
    with pytest.raises(InvalidInput, match="cost is 0; allowed with the reward 'reciprocal-cost': above 0"):
        rewards.reciprocal_cost(Outcome(np.array([1.0, 0.0]), np.array([[1.0], [0.0]])))


def test_an_agent_bears_its_own_cost_and_a_team_all_costs() -> None:
    assert rewards.agent_reward(AT_THE_END).tolist() == [[-0.5, -3.0], [-2.0, -1.0]]
    assert rewards.team_reward(AT_THE_END).tolist() == [[-3.5, -3.5], [-3.0, -3.0]]


def test_rewards_have_names() -> None:
    assert rewards.reward_function("negative-cost") is rewards.negative_cost
    with pytest.raises(UnknownName, match="no reward 'negative'; did you mean 'negative-cost'"):
        rewards.reward_function("negative")
