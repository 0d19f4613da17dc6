"""Reward functions: decreasing functions of an outcome's cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from offloadopt.core import FloatArray, Outcome
from offloadopt.errors import InvalidInput, UnknownName, nearest

Reward = Callable[[Outcome], FloatArray]
"""Computes the rewards ``[count]`` of an outcome."""


def negative_cost(outcome: Outcome) -> FloatArray:
    """Compute ``-cost`` without the terminal cost of the horizon's end, where learners bootstrap instead."""
    return -outcome.cost if outcome.terminal_cost is None else outcome.terminal_cost.sum(axis=-1) - outcome.cost


def reciprocal_cost(outcome: Outcome) -> FloatArray:
    """Compute ``1 / cost``, the reward of DIRS (arXiv:2005.12364); a cost that is not above 0 is refused."""
    least = outcome.cost.min(initial=np.inf)
    if least <= 0:
        raise InvalidInput(f"a slot's cost is {least:g}; allowed with the reward 'reciprocal-cost': above 0")
    return np.asarray(1.0 / outcome.cost)


REWARDS: Mapping[str, Reward] = {"negative-cost": negative_cost, "reciprocal-cost": reciprocal_cost}


def reward_function(name: str) -> Reward:
    """Look up a reward function by name; an unknown name is refused with the nearest known one."""
    if name not in REWARDS:
        raise UnknownName(f"no reward {name!r}; {nearest(name, REWARDS)}")
    return REWARDS[name]


def agent_reward(outcome: Outcome) -> np.ndarray[Any, Any]:
    """Compute each agent's reward ``[count, agents]``: minus its own cost."""
    return -outcome.running_cost


def team_reward(outcome: Outcome) -> np.ndarray[Any, Any]:
    """Compute the shared reward ``[count, agents]``: minus the cost of all agents, the same for each."""
    return np.broadcast_to(-outcome.running_cost.sum(axis=-1, keepdims=True), outcome.agent_cost.shape)
