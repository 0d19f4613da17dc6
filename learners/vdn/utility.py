"""Utility of each agent: its term of the team's value, given its own view and action."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.normalization import RewardScaledNetwork, RunningNormalizer


class UtilityNetwork(RewardScaledNetwork):
    """Utilities of the agents, whose sum is the team's value ``Q_tot``.

    Parameters
    ----------
    copies : int
        1 network for all agents, or one for each.
    features, action_size, outputs : int
        Features of a view, entries of an action as input, and outputs, of which the first counts for any action.
    hidden : sequence of int
    activation : {"tanh", "relu"}
    standardise : bool
        Whether views are standardised by their running mean and standard deviation.
    """

    def __init__(
        self,
        copies: int,
        features: int,
        action_size: int,
        outputs: int,
        hidden: Sequence[int],
        activation: str,
        standardise: bool,
    ) -> None:
        super().__init__(1, team=True)
        self.normalizer = RunningNormalizer(features, standardise)
        self.network = StackedMLP(copies, (features + action_size, *hidden, outputs), activation, recurrent=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial weights; those of the output layer are 0, so that ``Q_tot`` is the mean."""
        self.network.initialise(0.0, generator)

    def forward(self, view: Tensor, action: Tensor | None = None) -> Tensor:
        """Compute outputs ``[rows, agents, outputs]`` for views and actions ``[rows, agents, ...]``."""
        signal = self.normalizer(view)
        signal = signal if action is None else torch.cat([signal, action], dim=-1)
        return self.network.of_agents(signal[None])[0][0]
