"""Interface and policy of agents that choose among the levels of their controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import AgentPolicy
from offloadopt.learners.common.distributions import Heads
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.levels import QuantisedControls


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
