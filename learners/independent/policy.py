"""Deterministic decentralised policies: shares between the limits, or the best entry of a menu of levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import torch

from offloadopt.core import Decisions, Observation
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import AgentPolicy
from offloadopt.learners.common.torch_utils import one_thread
from offloadopt.learners.independent.networks import AgentNetworks
from offloadopt.structures.actions import Controls
from offloadopt.structures.levels import QuantisedControls, UnitControls


class DeterministicPolicy(AgentPolicy):
    """Policy in which each agent decides from its own view without exploration.

    The sigmoids of its networks' outputs are the shares of `UnitControls`.
    """

    name = "deterministic"

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Decide one slot from the agents' views."""
        with one_thread(), torch.no_grad():
            return self.decide(observation, self.actor(self.interface.observe(observation).view)), memory

    def decide(self, observation: Observation, outputs: torch.Tensor) -> Decisions:
        """Convert the networks' outputs ``[count, agents, outputs]`` to decisions."""
        controls = self.interface.controls
        return controls.decode(observation, controls.by_field(torch.sigmoid(outputs).double().numpy()))

    @classmethod
    def wrap_controls(cls, settings: Mapping[str, Any]) -> Callable[[Controls], Controls]:
        """Set every decision by a share of the way between its limits."""
        return partial(UnitControls, encoding="none", integers=True)

    @classmethod
    def outputs(cls, interface: AgentInterface) -> int:
        """Outputs of a network: a share for each entry of an action."""
        return interface.entries

    @classmethod
    def make_actor(cls, interface: AgentInterface, settings: Mapping[str, Any]) -> AgentNetworks:
        """Create the untrained networks that a learner with these settings uses for a problem."""
        return AgentNetworks(
            1 if settings["shared"] else interface.problem.num_agents,
            interface.features,
            settings["hidden"],
            cls.outputs(interface),
            compress=settings["standardise"],
            batch_norm=settings.get("batch_norm", False),
        )


class MenuPolicy(DeterministicPolicy):
    """Policy in which each agent takes the entry of greatest value of a menu."""

    def decide(self, observation: Observation, outputs: torch.Tensor) -> Decisions:
        """Convert the entries' values ``[count, agents, entries]`` to decisions."""
        return cast(QuantisedControls, self.interface.controls).choose(observation, outputs.argmax(dim=-1).numpy())

    @classmethod
    def wrap_controls(cls, settings: Mapping[str, Any]) -> Callable[[Controls], Controls]:
        """Give numbers the learner's levels."""
        return partial(QuantisedControls, levels=settings["levels"])

    @classmethod
    def outputs(cls, interface: AgentInterface) -> int:
        """Outputs of a network: the value of each entry of the menu."""
        return len(cast(QuantisedControls, interface.controls).menu)
