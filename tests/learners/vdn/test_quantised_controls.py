"""Agents that choose among levels of the controls that they set."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from offloadopt import registry
from offloadopt.core import Problem
from offloadopt.learners.vdn.quantised_controls import QuantisedInterface


def mimo(**changes: Any) -> Problem[Any]:
    return registry.problem("carbon_mimo", **{"horizon": 8, "users": 2, "antennas": 4, **changes})


def test_levels_stand_before_other_controls() -> None:
    """Agents that set their energy balance: the middle one of three levels draws exactly the green power."""
    problem: Any = mimo()
    interface = QuantisedInterface(problem, None, "energy", 3)
    observation = problem.observe(problem.sample(5, 0), problem.reset(problem.sample(5, 0)))
    middle = interface.decode(observation, torch.ones((5, 2, 2)))
    own = problem.controls["energy"]
    expected = own.decode(observation, {"balance": np.zeros((5, 2)), "local_share": np.full((5, 2), 0.5)})
    for name, values in expected.items():
        np.testing.assert_allclose(middle[name], values)
    assert interface.for_problem(mimo(users=4)).heads.outputs == interface.heads.outputs == 6  # type: ignore[arg-type]
