"""Controls whose continuous entries are quantised, so that agents only choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, Observation
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import AgentPolicy
from offloadopt.learners.common.distributions import Heads
from offloadopt.structures.actions import Allowed, Controls
from offloadopt.structures.agents import AgentProblem


class QuantisedControls(Controls):
    """Wrap controls so that each number takes one of equidistant levels from its lower to its upper limit.

    Parameters
    ----------
    controls : Controls
    levels : int
        At least 2. Integer fields stay as they are.
    """

    def __init__(self, controls: Controls, levels: int) -> None:
        self._controls = controls
        self._numbers = {name: field for name, field in controls.fields.items() if not field.integer}
        self._last = levels - 1
        chosen = {name: ArrayField(field.shape, 0, self._last, integer=True) for name, field in self._numbers.items()}
        self.fields = {**controls.fields, **chosen}

    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """Convert levels to decisions."""
        shares = {name: values[name] / self._last for name in self._numbers}
        # The outer levels are the limits themselves, without rounding.
        numbers = {
            name: field.low * (1.0 - shares[name]) + field.high * shares[name] for name, field in self._numbers.items()
        }
        return self._controls.decode(observation, {**values, **numbers})

    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """Convert decisions to the nearest levels."""
        values = self._controls.encode(observation, decisions)
        numbers = {
            name: np.rint((values[name] - field.low) / (field.high - field.low) * self._last).astype(np.int64)
            for name, field in self._numbers.items()
        }
        return {**values, **numbers}

    def allowed(self, observation: Observation) -> Allowed:
        """Allowed options of the wrapped controls; every level is allowed."""
        return self._controls.allowed(observation)


class QuantisedInterface(AgentInterface):
    """Interface to a problem with quantised controls."""

    def __init__(self, problem: AgentProblem[Any], view: str | None, controls: str | None, levels: int) -> None:
        super().__init__(problem, view, controls)
        self.controls = QuantisedControls(self.controls, levels)
        self.heads = Heads(self.controls.fields, problem.num_agents)
        self._settings = view, controls, levels

    def for_problem(self, problem: AgentProblem[Any]) -> QuantisedInterface:
        """Create the same interface to another problem."""
        return QuantisedInterface(problem, *self._settings)


class QuantisedPolicy(AgentPolicy):
    """Policy in which every agent takes the option of greatest advantage in each entry of its action."""

    name = "levels"

    @classmethod
    def make_interface(cls, problem: AgentProblem[Any], settings: Mapping[str, Any]) -> AgentInterface:
        """Create the interface with the learner's number of levels."""
        return QuantisedInterface(problem, settings["view"], settings["controls"], settings["levels"])
