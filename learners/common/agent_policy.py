"""Decentralised policies: row ``i`` of a decision depends on the observations of agent ``i`` alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from offloadopt.core import Decisions, Observation, Problem
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.distributions import mask_outputs
from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.normalization import RunningNormalizer
from offloadopt.learners.common.saved_policy import Origin, TrainedPolicy
from offloadopt.learners.common.torch_utils import one_thread
from offloadopt.learners.common.training import IterativeLearner
from offloadopt.quantities import Layer
from offloadopt.structures.actions import Controls
from offloadopt.structures.agents import AgentProblem

OUTPUT_GAIN = 0.01
"""Gain of the output layer's initial weights: an untrained actor's outputs hardly depend on the observation."""


class Actor(nn.Module):
    """Policy network from agents' views to the outputs that parametrise `Heads`.

    Parameters
    ----------
    copies : int
        1 network for all agents, or one for each.
    sizes : sequence of int
        Features of a view, widths of the hidden layers, outputs.
    activation : {"tanh", "relu"}
    recurrent : bool
        Whether the network has a recurrent layer.
    standardise : bool
        Whether views are standardised by their running mean and standard deviation.
    """

    def __init__(self, copies: int, sizes: Sequence[int], activation: str, recurrent: bool, standardise: bool) -> None:
        super().__init__()
        self.normalizer = RunningNormalizer(sizes[0], standardise)
        self.network = StackedMLP(copies, sizes, activation, recurrent)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial weights."""
        self.network.initialise(OUTPUT_GAIN, generator)

    def forward(self, view: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Compute outputs ``[slots, count, agents, outputs]`` and the memory at the end.

        Parameters
        ----------
        view : Tensor [slots, count, agents, features]
        memory : Tensor [1, count, agents, width], optional
            State of the recurrent layer before the first slot; zeros unless given.
        """
        return self.network.of_agents(self.normalizer(view), memory)


class AgentPolicy(TrainedPolicy):
    """Policy in which every agent takes the mode of its distribution given its own view.

    Attributes
    ----------
    interface : AgentInterface
        View and controls of the agents.
    """

    name = "agents"
    serves = AgentProblem

    def __init__(self, interface: AgentInterface, actor: nn.Module, origin: Origin) -> None:
        super().__init__(interface.problem, actor, origin)
        self.interface = interface

    @property
    def parameters(self) -> int:
        """Number of weights that each device stores."""
        return sum(parameter[0].numel() for parameter in self.actor.parameters())

    @property
    def bytes(self) -> int:
        """Size of these weights."""
        return sum(parameter[0].nbytes for parameter in self.actor.parameters())

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Decide one slot. A recurrent policy's memory is a tensor, ``None`` before the first slot."""
        with one_thread(), torch.inference_mode():
            observed = self.interface.observe(observation)
            outputs, memory = self.actor(observed.view[None], memory)
            actions = self.interface.heads.mode(mask_outputs(outputs[0], observed.allowed))
            return self.interface.decode(observation, actions), memory

    @classmethod
    def make_interface(cls, problem: AgentProblem[Any], settings: Mapping[str, Any]) -> AgentInterface:
        """Create the interface that a learner with these settings uses for a problem."""
        together = settings.get("explore_together", True)
        return AgentInterface(problem, settings["view"], settings["controls"], together, cls.wrap_controls(settings))

    @classmethod
    def wrap_controls(cls, settings: Mapping[str, Any]) -> Callable[[Controls], Controls] | None:
        """Wrap the controls, in levels for example; here they stay as they are."""
        return None

    @classmethod
    def make_actor(cls, interface: AgentInterface, settings: Mapping[str, Any]) -> nn.Module:
        """Create the untrained networks that a learner with these settings uses for a problem."""
        sizes = (interface.features, *settings["hidden"], interface.heads.outputs)
        shape = settings["activation"], settings.get("recurrent", False), settings["standardise"]
        return Actor(1 if settings["shared"] else interface.problem.num_agents, sizes, *shape)

    @classmethod
    def untrained(cls, problem: AgentProblem[Any], origin: Origin) -> Self:
        """Create a policy; shared networks fit any number of agents, separate ones only the number trained for."""
        interface = cls.make_interface(problem, origin.settings)
        return cls(interface, cls.make_actor(interface, origin.settings), origin)


class AgentLearner(IterativeLearner):
    """Learner of an `AgentPolicy`: what its agents observe and set, and the shape of their networks."""

    serves: ClassVar[type[Problem[Any]]] = AgentProblem  # type: ignore[type-abstract]
    policy_type: ClassVar[type[AgentPolicy]] = AgentPolicy

    view: str | None = Field(None, description="observation of the agents; none: the problem's first view")
    controls: str | None = Field(None, description="form of the actions; none: the decision itself")
    hidden: tuple[Layer, ...] = Field((64, 64), min_length=1, description="widths of the hidden layers")
    activation: Literal["tanh", "relu"] = Field("relu", description="of the hidden layers")
    standardise: bool = Field(True, description="standardise views by their mean and deviation so far")

    def require(self, problem: Problem[Any]) -> None:
        """Refuse problems without agents, and names of a view or controls that this one does not have."""
        super().require(problem)
        AgentInterface.check(cast(AgentProblem[Any], problem), self.view, self.controls)

    def interface(self, problem: AgentProblem[Any]) -> AgentInterface:
        """The agents' interface to a problem."""
        return self.policy_type.make_interface(problem, self.model_dump())

    def make_actor(self, interface: AgentInterface) -> Any:
        """Create the actor of a policy without initial weights."""
        return self.policy_type.make_actor(interface, self.model_dump())
