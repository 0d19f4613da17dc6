"""What each agent's view and action add to the value of the team."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offloadopt.learners.common.networks import StackedMLP, agents_to_copies, copies_to_agents
from offloadopt.learners.common.normalization import RunningNormalizer, reward_mean_and_std


class UtilityNetwork(nn.Module):
    """What views, and what may be joined to them, are worth to the team: agents' terms of ``Q_tot``.

    Terms add up to deviations from the mean of all that the team was paid so far. When this changes, the last layer is
    changed with it so that ``Q_tot`` does not (as PopArt, van Hasselt et al. 2016, arXiv:1602.07714). A constant taken
    off every reward changes no preference, since what follows always counts.

    Parameters
    ----------
    copies : int
        1 network for all agents, or one for each.
    features, joined, outputs : int
        Numbers of a view, of what is joined to it, and of answers, the first of which counts for any action.
    hidden : sequence of int
    activation : {"tanh", "relu"}
    standardise : bool
        Whether views are standardised by what `RunningNormalizer` has seen.
    """

    def __init__(
        self,
        copies: int,
        features: int,
        joined: int,
        outputs: int,
        hidden: Sequence[int],
        activation: str,
        standardise: bool,
    ) -> None:
        super().__init__()
        self.normalizer = RunningNormalizer(features) if standardise else None
        self.reward_statistics = RunningNormalizer(1)
        self.network = StackedMLP(copies, (features + joined, *hidden, outputs), activation, recurrent=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights; at first every value is the mean."""
        self.network.initialise(0.0, generator)

    def forward(self, view: Tensor, joined: Tensor | None = None) -> Tensor:
        """Answers ``[rows, agents, outputs]`` for views ``[rows, agents, features]``."""
        agents = view.shape[1]
        signal = view if self.normalizer is None else self.normalizer(view)
        signal = signal if joined is None else torch.cat([signal, joined], dim=-1)
        answers, _ = self.network(agents_to_copies(signal[None], self.network.copies))
        return copies_to_agents(answers, agents)[0]

    @torch.no_grad()
    def update_reward_statistics(self, reward: Tensor, gamma: float, target: UtilityNetwork | None) -> None:
        """Let the scale follow rewards ``[..., agents]``.

        Parameters
        ----------
        gamma : float
            Discount, by which the mean of rewards is that of values divided by ``1 - gamma``.
        target : UtilityNetwork, optional
            Keeps its values as this one does. Without it none does: before anything was learned.
        """
        center, deviation = self.scale()
        self.reward_statistics.update_statistics(reward.sum(dim=-1, keepdim=True))
        new_center, new_deviation = self.scale()
        if target is None:
            return
        shift = (center - new_center) / (new_deviation * (1.0 - gamma)) / reward.shape[-1]
        for last in (self.network.last, target.network.last):
            last.weight.mul_(deviation / new_deviation)
            last.bias.mul_(deviation / new_deviation)
            last.bias[..., 0] += shift  # of each agent's term a like part

    def standardise_rewards(self, reward: Tensor) -> Tensor:
        """[rows] what the team is paid in rewards ``[rows, agents]``, in deviations from the mean."""
        center, deviation = self.scale()
        return (reward.sum(dim=-1) - center) / deviation

    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation ``[1]`` of what the team is paid; 0 and 1 before anything was."""
        return reward_mean_and_std(self.reward_statistics)
