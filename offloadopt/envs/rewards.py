"""What an agent is paid for an outcome, by name; always more for less cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from offloadopt.core import FloatArray, Outcome
from offloadopt.errors import UnknownName, nearest

Reward = Callable[[Outcome], FloatArray]
"""Rewards ``[count]`` of an outcome."""


def negative_cost(outcome: Outcome) -> FloatArray:
    """``-cost`` without what settles the end of a horizon: learners bootstrap there."""
    return -outcome.cost if outcome.terminal_cost is None else outcome.terminal_cost.sum(axis=-1) - outcome.cost


def reciprocal_cost(outcome: Outcome) -> FloatArray:
    """``1 / cost``, the reward of DIRS (arXiv:2005.12364) for costs above 0."""
    return np.asarray(1.0 / outcome.cost)


REWARDS: Mapping[str, Reward] = {"negative-cost": negative_cost, "reciprocal-cost": reciprocal_cost}


def named(name: str) -> Reward:
    """The reward of that name."""
    if name not in REWARDS:
        raise UnknownName(f"no reward {name!r}; {nearest(name, REWARDS)}")
    return REWARDS[name]


def agent_reward(outcome: Outcome) -> np.ndarray[Any, Any]:
    """Every agent bears its own cost."""
    return -outcome.running_cost


def team_reward(outcome: Outcome) -> np.ndarray[Any, Any]:
    """Every agent bears the whole cost."""
    return np.broadcast_to(-outcome.running_cost.sum(axis=-1, keepdims=True), outcome.agent_cost.shape)
