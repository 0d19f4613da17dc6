"""The layout of one agent's decisions in a flat vector."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import ArrayField
from offloadopt.envs.agent_decisions import AgentDecisions, as_agent_problem
from offloadopt.errors import Unsupported

LEVEL = ArrayField((3,), low=2, high=5, integer=True)
POWER = ArrayField((3, 2), low=0.0, high=0.3)


def layout(**fields: ArrayField) -> AgentDecisions:
    problem: Any = SimpleNamespace(decision_fields=fields)
    return AgentDecisions(problem)


def test_arrays_lie_one_after_the_other_without_their_agent_axis() -> None:
    decisions = layout(level=LEVEL, power=POWER)
    assert decisions.size == 3
    assert {name: field.shape for name, field in decisions.fields.items()} == {"level": (), "power": (2,)}
    low, high = decisions.limits
    assert (low.tolist(), high.tolist()) == ([2, 0, 0], [5, 0.3, 0.3])


def test_a_flat_vector_is_split_into_its_arrays() -> None:
    flat = np.arange(24.0).reshape(2, 4, 3)
    arrays = layout(level=LEVEL, power=POWER).split(flat)
    np.testing.assert_array_equal(arrays["level"], flat[..., 0])
    np.testing.assert_array_equal(arrays["power"], flat[..., 1:])


def test_integers_and_real_numbers_are_told_apart() -> None:
    kinds = [(d.all_integer, d.all_continuous) for d in (layout(a=LEVEL), layout(a=POWER), layout(a=LEVEL, b=POWER))]
    assert kinds == [(True, False), (False, True), (False, False)]


def test_a_problem_without_agents_is_refused() -> None:
    with pytest.raises(Unsupported, match="problem 'multi_server' has no agents that decide for themselves"):
        as_agent_problem(registry.problem("multi_server", users=3))
