"""Centralised critic: the value of each agent given the global state and all agents' actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.networks import StackedMLP, agents_to_copies, copies_to_agents
from offloadopt.learners.common.normalization import RunningNormalizer, reward_mean_and_std


class CentralisedCritic(nn.Module):
    """Action value ``Q_i`` of each agent, of its own view and action, the global state and all others' actions.

    Values are standardised by the running mean and standard deviation of all rewards. When these statistics change, the
    output layer is changed so that no value does (PopArt, van Hasselt et al. 2016, arXiv:1602.07714), so that costs of
    any magnitude are learned at the same pace. A constant subtracted from every reward changes no preference between
    actions, since values are always bootstrapped from the next observation.

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
        super().__init__()
        view, global_state, action = sizes
        self.view_normalizer = RunningNormalizer(view) if standardise else None
        self.global_normalizer = RunningNormalizer(global_state) if standardise else None
        self.reward_statistics = RunningNormalizer(copies)
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
        view, global_state = observation.view, cast(Tensor, observation.global_state)
        if self.view_normalizer is not None and self.global_normalizer is not None:
            view, global_state = self.view_normalizer(view), self.global_normalizer(global_state)
        agents = view.shape[1]
        others = (joint[:, None] * self._others).flatten(2)
        if global_state.ndim == 2:
            global_state = global_state[:, None].expand(-1, agents, -1)
        signal = torch.cat([view, own, global_state, others], dim=-1)
        values, _ = self.network(agents_to_copies(signal[None], self.network.copies))
        return copies_to_agents(values, agents)[0, ..., 0]

    def update_statistics(self, view: Tensor, global_state: Tensor) -> None:
        """Add views ``[..., agents, features]`` and global states ``[..., features]`` to the running statistics."""
        if self.view_normalizer is not None and self.global_normalizer is not None:
            self.view_normalizer.update_statistics(view)
            self.global_normalizer.update_statistics(global_state)

    @torch.no_grad()
    def update_reward_statistics(self, reward: Tensor, gamma: float, target: CentralisedCritic | None) -> None:
        """Add rewards ``[..., agents]`` to the statistics and correct the output layers, so that no value changes.

        Parameters
        ----------
        gamma : float
            Discount: the mean of values is that of rewards divided by ``1 - gamma``.
        target : CentralisedCritic, optional
            Target network, which is corrected alike. If ``None``, as before the first update, no layer is corrected.
        """
        center, std = self.reward_scale()
        self.reward_statistics.update_statistics(reward if self.network.copies > 1 else reward[..., None])
        new_center, new_std = self.reward_scale()
        if target is None:
            return
        shift = (center - new_center) / (new_std * (1.0 - gamma))
        for last in (self.network.last, target.network.last):
            last.weight.mul_((std / new_std)[:, None, None])
            last.bias.mul_((std / new_std)[:, None, None]).add_(shift[:, None, None])

    def standardise_rewards(self, reward: Tensor) -> Tensor:
        """Standardise rewards ``[rows, agents]``."""
        center, std = self.reward_scale()
        return (reward - center) / std

    def to_reward_units(self, value: Tensor, gamma: float) -> Tensor:
        """Convert standardised values ``[rows, agents]`` to discounted sums of rewards."""
        center, std = self.reward_scale()
        return value * std + center / (1.0 - gamma)

    def reward_scale(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[copies]`` of rewards; 0 and 1 before the first update."""
        return reward_mean_and_std(self.reward_statistics)
