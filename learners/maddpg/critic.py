"""Centralised critic: the value of each agent given the global state and all agents' actions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.normalization import RewardScaledNetwork, RunningNormalizer


class CentralisedCritic(RewardScaledNetwork):
    """Action value ``Q_i`` of each agent, of its own view and action, the global state and all others' actions.

    Parameters
    ----------
    agents : int
    copies : int
        1 network for all agents, or one for each.
    sizes : (int, int, int)
        Features of a view and of the global state, entries of a relaxed action.
    hidden : sequence of int
    activation : {"tanh", "relu"}
    standardise : bool
        Whether views and the global state are standardised by running statistics.
    """

    def __init__(
        self,
        agents: int,
        copies: int,
        sizes: tuple[int, int, int],
        hidden: Sequence[int],
        activation: str,
        standardise: bool,
    ) -> None:
        super().__init__(copies)
        view, global_state, action = sizes
        self.view_normalizer = RunningNormalizer(view, standardise)
        self.global_normalizer = RunningNormalizer(global_state, standardise)
        inputs = view + global_state + (1 + agents) * action
        self.network = StackedMLP(copies, (inputs, *hidden, 1), activation, recurrent=False)
        self._others = 1.0 - torch.eye(agents)[..., None]

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial weights; those of the output layer are 0, so that every value is the mean."""
        self.network.initialise(0.0, generator)

    def forward(self, observation: AgentObservation, own: Tensor, joint: Tensor) -> Tensor:
        """Compute standardised values ``[rows, agents]``.

        Parameters
        ----------
        observation : AgentObservation
            With a global state.
        own, joint : Tensors [rows, agents, entries]
            Each agent's own action, and the actions of all: for agent i's value its own row of ``joint`` is ignored.
        """
        view = self.view_normalizer(observation.view)
        global_state = self.global_normalizer(observation.global_state)
        agents = view.shape[1]
        others = (joint[:, None] * self._others).flatten(2)
        if global_state.ndim == 2:
            global_state = global_state[:, None].expand(-1, agents, -1)
        signal = torch.cat([view, own, global_state, others], dim=-1)
        return self.network.of_agents(signal[None])[0][0, ..., 0]

    def update_statistics(self, view: Tensor, global_state: Tensor) -> None:
        """Add views ``[..., agents, features]`` and global states ``[..., features]`` to the running statistics."""
        self.view_normalizer.update_statistics(view)
        self.global_normalizer.update_statistics(global_state)
