"""Central policy: one actor that observes all agents sets the controls of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from offloadopt.core import Decisions, Observation
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import AgentPolicy
from offloadopt.learners.common.distributions import mask_outputs
from offloadopt.learners.common.torch_utils import one_thread
from offloadopt.learners.ddpg_discrete.networks import CentralNetwork, JointNetwork, SharedNetwork
from offloadopt.structures.actions import Controls
from offloadopt.structures.levels import UnitControls


class CentralPolicy(AgentPolicy):
    """Policy of a central actor without exploration.

    Parameters
    ----------
    interface : AgentInterface
    actor : CentralNetwork
    origin : Origin
        Its settings define the levels of the controls.
    """

    name = "central"

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Decide one slot from the observations of all agents."""
        with one_thread(), torch.inference_mode():
            observed = self.interface.observe(observation, with_global_state=True)
            outputs = mask_outputs(self.actor(observed), observed.allowed)
            return self.interface.decode(observation, self.interface.heads.mode(outputs)), memory

    @classmethod
    def wrap_controls(cls, settings: Mapping[str, Any]) -> Callable[[Controls], Controls]:
        """Give controls the learner's levels; joint networks have a number for each integer, too."""
        integers = settings["networks"] == "joint"
        return partial(UnitControls, encoding=settings["encoding"], levels=settings["levels"], integers=integers)

    @classmethod
    def make_actor(cls, interface: AgentInterface, settings: Mapping[str, Any]) -> CentralNetwork:
        """Create an untrained actor; one that agents share serves any number of them."""
        layers = settings["hidden"], interface.heads.outputs, settings["activation"]
        if settings["networks"] == "shared":
            return SharedNetwork(interface.features, 0, (), *layers)
        return JointNetwork(interface.global_features, interface.problem.num_agents, 0, *layers)
