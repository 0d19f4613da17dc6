"""Central networks: one perceptron of the joint state, or one that agents share and that pools over them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.networks import ACTIVATIONS, StackedLinear, StackedMLP
from offloadopt.learners.common.normalization import RewardScaledNetwork, RunningNormalizer
from offloadopt.learners.independent.networks import LAST_INIT

FEW = 2.0
"""Divisor of sums over agents with the same choice: about their usual number."""


class CentralNetwork(nn.Module):
    """Map observations of all agents, and actions, to outputs ``[rows, agents or 1, numbers]``.

    Parameters
    ----------
    features : int
        Size of what the network observes.
    """

    rewards: RewardScaledNetwork
    """Of a critic: the statistics by which rewards, of each agent or their sum, are standardised."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.normalizer = RunningNormalizer(features)

    @abstractmethod
    def observed(self, observation: AgentObservation) -> Tensor:
        """Select what the network observes."""

    @abstractmethod
    def forward(self, observation: AgentObservation, action: Tensor | None = None) -> Tensor:
        """Compute outputs; actions are ``[rows, agents, numbers]``."""

    def standardise(self, observations: Sequence[AgentObservation]) -> None:
        """Standardise features by their mean and deviation in observations.

        Otherwise features that all agents share, which only shift the hidden layers, dominate those that differ.
        """
        self.normalizer.update_statistics(torch.stack([self.observed(each) for each in observations]))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw parameters within 1/sqrt(inputs), those of the last layer within 3e-3 (Lillicrap et al. 2016)."""
        layers = [part for part in self.modules() if isinstance(part, StackedLinear)]
        with torch.no_grad():
            for layer in layers:
                limit = LAST_INIT if layer is layers[-1] else layer.weight.shape[1] ** -0.5
                layer.weight.uniform_(-limit, limit, generator=generator)
                layer.bias.uniform_(-limit, limit, generator=generator)


class JointNetwork(CentralNetwork):
    """The paper's network: one perceptron of all numbers of the joint state, and for a critic of all actions.

    Parameters
    ----------
    features : int
        Numbers of the joint state.
    agents, action_size : int
        Agents, and numbers of an agent's action in a critic's input; 0 for an actor.
    hidden : sequence of int
    outputs : int
        Numbers of each agent; 0 for a single number for all, a critic's.
    activation : {"tanh", "relu", "relu6"}
    """

    def __init__(
        self, features: int, agents: int, action_size: int, hidden: Sequence[int], outputs: int, activation: str
    ) -> None:
        super().__init__(features)
        self._outputs = outputs or 1
        sizes = (features + agents * action_size, *hidden, agents * outputs or 1)
        self.network = StackedMLP(1, sizes, activation, recurrent=False)

    def observed(self, observation: AgentObservation) -> Tensor:
        """Return the joint state ``[rows, numbers]``."""
        return cast(Tensor, observation.global_state)

    def forward(self, observation: AgentObservation, action: Tensor | None = None) -> Tensor:
        """Compute outputs ``[rows, agents or 1, outputs]``."""
        state = self.normalizer(self.observed(observation))
        signal = state if action is None else torch.cat([state, action.flatten(1)], dim=-1)
        return self.network(signal[None, None])[0].reshape(len(signal), -1, self._outputs)


class SharedNetwork(CentralNetwork):
    """One network for every agent, whatever their number and order: its hidden features are pooled over all agents.

    A critic also pools over the agents with the same choice.

    Parameters
    ----------
    features : int
        Numbers of an agent's view.
    action_size : int
        Numbers of an agent's action in a critic's input, 0 for an actor.
    choices : sequence of slice
        Where in a critic's action the options of each choice stand; none for an actor.
    hidden : sequence of int
        Widths before the pooling and after it: as many layers there as here.
    outputs : int
        Numbers for each agent.
    activation : {"tanh", "relu", "relu6"}
    """

    def __init__(
        self,
        features: int,
        action_size: int,
        choices: Sequence[slice],
        hidden: Sequence[int],
        outputs: int,
        activation: str,
    ) -> None:
        super().__init__(features)
        self._choices = list(choices)
        self._activation = ACTIVATIONS[activation]
        self.before = StackedMLP(1, (features + action_size, *hidden), activation, recurrent=False)
        self.after = StackedMLP(1, ((2 + len(choices)) * hidden[-1], *hidden, outputs), activation, recurrent=False)

    def observed(self, observation: AgentObservation) -> Tensor:
        """Return the agents' views ``[rows, agents, features]``."""
        return observation.view

    def forward(self, observation: AgentObservation, action: Tensor | None = None) -> Tensor:
        """Compute outputs ``[rows, agents, outputs]``."""
        view = self.normalizer(observation.view)
        signal = view if action is None else torch.cat([view, action], dim=-1)
        signal = self._activation(self.before(signal[None])[0][0])
        pools = [signal.mean(dim=1, keepdim=True).expand_as(signal)]
        if action is not None:
            for options in self._choices:
                chosen = action[..., options]
                pools.append(chosen @ (chosen.transpose(1, 2) @ signal) / FEW)
        return cast(Tensor, self.after(torch.cat([signal, *pools], dim=-1)[None])[0][0])


def nearness(shares: Tensor, levels: int) -> Tensor:
    """Nearness ``[..., levels]`` of shares to levels: 1 at a level, falling linearly to 0 at its neighbours."""
    at = torch.arange(levels, dtype=shares.dtype)
    return (1.0 - (shares[..., None] * (levels - 1) - at).abs()).clamp_min(0.0)
