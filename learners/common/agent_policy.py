"""Policies of agents that decide by themselves: row ``i`` of a decision depends on what agent ``i`` has seen alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from offloadopt.core import Decisions, Observation, Policy, Problem
from offloadopt.errors import DamagedFile, InvalidInput, Unsupported
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.distributions import restrict
from offloadopt.learners.common.networks import Network, by_agent, by_copy
from offloadopt.learners.common.normalization import Standard
from offloadopt.learners.common.torch_utils import one_thread
from offloadopt.structures.agents import AgentProblem

SMALL_GAIN = 0.01
"""Of the last layer's initial weights: an untrained actor answers nearly the same to all it sees."""


class Actor(nn.Module):
    """From what agents see to the outputs that `Heads` read.

    Parameters
    ----------
    copies : int
        1 network for all agents, or one for each.
    sizes : sequence of int
        Features of a view, widths of the hidden layers, outputs.
    activation : {"tanh", "relu"}
    recurrent : bool
        Whether the agents remember.
    standardise : bool
        Whether views are standardised by what `Standard` has seen.
    """

    def __init__(self, copies: int, sizes: Sequence[int], activation: str, recurrent: bool, standardise: bool) -> None:
        super().__init__()
        self.standard = Standard(sizes[0]) if standardise else None
        self.network = Network(copies, sizes, activation, recurrent)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights."""
        self.network.initialise(SMALL_GAIN, generator)

    def forward(self, view: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Outputs ``[slots, count, agents, outputs]`` for views ``[slots, count, agents, features]``, next memory.

        Memories are ``[1, count, agents, width]``.
        """
        copies, agents = self.network.copies, view.shape[2]
        view = view if self.standard is None else self.standard(view)
        outputs, memory = self.network(by_copy(view, copies), None if memory is None else by_copy(memory, copies))
        return by_agent(outputs, agents), None if memory is None else by_agent(memory, agents)


class AgentPolicy(Policy):
    """Every agent decides from its own view without exploring: a Gaussian's mean, the likeliest option.

    Attributes
    ----------
    interface : AgentInterface
        What of the problem the agents see and set.
    """

    name = "agents"

    def __init__(self, interface: AgentInterface, actor: Actor, origin: policies.Origin) -> None:
        self.problem = interface.problem
        self.interface = interface
        self.actor = actor
        self.origin = origin

    @property
    def parameters(self) -> int:
        """Weights that each device holds."""
        network = self.actor.network
        return sum(parameter[0].numel() for parameter in network.parameters())

    @property
    def bytes(self) -> int:
        """Size of these weights."""
        return sum(parameter[0].nbytes for parameter in self.actor.network.parameters())

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """One slot's decisions. A recurrent policy's memory is a tensor; ``None`` before the first slot."""
        with one_thread(), torch.inference_mode():
            seen = self.interface.see(observation)
            outputs, memory = self.actor(seen.view[None], memory)
            actions = self.interface.heads.mode(restrict(outputs[0], seen.allowed))
            return self.interface.decode(observation, actions), memory

    def save(self, folder: Path) -> None:
        """Write the actor as safetensors + JSON."""
        policies.save(folder, self.origin, {name: value.numpy() for name, value in self.actor.state_dict().items()})

    @classmethod
    def interface_of(cls, problem: AgentProblem[Any], settings: Mapping[str, Any]) -> AgentInterface:
        """The problem as agents of a learner with these settings meet it."""
        return AgentInterface(problem, settings["view"], settings["controls"])

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read a policy. One network for all agents serves any number of them; one for each only its own number."""
        origin, weights = policies.read(folder, problem)
        if not isinstance(problem, AgentProblem):
            raise Unsupported(f"{folder} decides for agents; problem {problem.name!r} is no AgentProblem")
        try:
            settings = origin.settings
            interface = cls.interface_of(problem, settings)
            made_for = len(weights["network.last.bias"])
            sizes = [len(weights["network.last.weight"][0]), weights["network.last.bias"].shape[-1]]
            layers = [weights[f"network.hidden.{layer}.weight"] for layer in range(len(settings["hidden"]))]
            sizes = [layers[0].shape[1], *(layer.shape[2] for layer in layers), sizes[1]]
            actor = Actor(made_for, sizes, settings["activation"], settings["recurrent"], settings["standardise"])
            actor.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        except (KeyError, IndexError, TypeError, RuntimeError):
            raise DamagedFile(f"{folder}: arrays {', '.join(sorted(weights))} are no policy of agents") from None
        seen, decided = interface.features, interface.heads.outputs
        if (sizes[0], sizes[-1]) != (seen, decided) or made_for not in (1, problem.num_agents):
            agents = "any number of" if made_for == 1 else made_for
            raise InvalidInput(
                f"{folder} holds a policy for {agents} agents with {sizes[0]} features and {sizes[-1]} outputs; "
                f"this {problem.name} has {problem.num_agents} agents with {seen} and {decided}"
            )
        return cls(interface, actor, origin)
