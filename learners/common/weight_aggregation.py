"""What agents with networks of their own learn from each other's weights: averages of them, plain or personalised.

Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763) let agents share the weights of actors and critics every few
iterations. With agent j's weights ``omega_j``, the value ``Q_j`` that its critic sees and the experiences ``N_j`` that
it holds, the rules are

================  ==================================================================================================
rule              what happens at an exchange
================  ==================================================================================================
``average``       FedAvg (McMahan et al. 2017, arXiv:1602.05629): everybody goes on with the mean
``personalised``  agent i goes on with ``(1 - s) omega_i + s hat omega``, where ``hat omega = sum_j w_j omega_j`` and
                  ``w`` is the softmax of ``Q_j / N_j``, standardised over the agents. Targets that follow softly then
                  move as (24) says
``literal``       (24) and (25) as printed: ``hat omega_i = sum_j (Q_j / N_j) omega_j / (n Q_i / N_i)``, and targets
                  alone move towards it, to ``omega'_i + tau s (hat omega_i - omega_i)``
================  ==================================================================================================

The printed weights add up to one only where all ``Q_j / N_j`` are equal, and blow up where ``Q_i`` is about 0; nor is
what moves in (24) ever executed. Hence ``personalised``, which is not in the paper. ``Q`` is what the critics of
`maddpg` and its kin say; elsewhere what agents are paid in a slot, of which it is the discounted sum. The share ``s``
falls linearly to 0 over the training, as (24) asks ("decreasing with the number of iterations").

Bytes are those of the weights that pass: with ``average`` and ``personalised`` every agent sends its own to a platform,
which returns one aggregate to each; ``literal`` needs everybody's at everybody's, n (n - 1) deliveries. The means and
deviations by which networks standardise views are common to all agents already, and not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from offloadopt.core import Learner, Settings

Rule = Literal["average", "personalised", "literal"]


class Federation(Settings):
    """How often and how agents share their weights."""

    rule: Rule = Field("personalised", description="what becomes of shared weights")
    every: int = Field(10, ge=1, description="updates between two exchanges")
    first_share: float = Field(0.5, gt=0, lt=1, description="tau_t of (24) at the beginning; it falls to 0")


class Federable(Learner):
    """A learner whose agents may have networks of their own, and share them."""

    shared: bool = Field(True, description="one network for all agents; otherwise each has its own")
    federation: Federation | None = Field(None, description="how agents share their own networks' weights; none: never")

    @model_validator(mode="after")
    def _weights_are_their_own(self) -> Self:
        if self.federation is not None and self.shared:
            raise ValueError(
                "shared = true; allowed with a federation: false, each agent its own network (or federation: none)"
            )
        return self


@dataclass(frozen=True)
class Pair:
    """Networks in copies, one for each agent, and those that follow them.

    Attributes
    ----------
    online : Module
    target : Module, optional
    tau : float
        Share of the way that targets follow in an update.
    """

    online: nn.Module
    target: nn.Module | None = None
    tau: float = 0.0


class WeightExchange:
    """The exchanges of one training.

    Attributes
    ----------
    sent, delivered : int
        Bytes that left agents, and that reached them.
    """

    def __init__(self, settings: Federation) -> None:
        self.settings = settings
        self.updates = self.sent = self.delivered = 0

    def after_update(self, spent: float, pairs: Sequence[Pair], values: Tensor, counts: Tensor) -> None:
        """Count an update; if it is time, share the weights.

        Parameters
        ----------
        spent : float
            Share of the training's budget.
        pairs : sequence of Pair
        values : Tensor [agents]
            ``Q``, in the problem's units.
        counts : Tensor [agents]
            ``N``, experiences in each agent's replay.
        """
        self.updates += 1
        if self.updates % self.settings.every > 0:
            return
        share = self.settings.first_share * max(0.0, 1.0 - spent)
        weights = aggregate_weights(self.settings.rule, values, counts)
        for pair in pairs:
            self._count(pair.online)
            share_weights(self.settings.rule, pair, weights, share)

    def _count(self, networks: nn.Module) -> None:
        size = sum(parameter.nbytes for parameter in networks.parameters())
        agents = len(next(networks.parameters()))
        self.sent += size
        self.delivered += size * (agents - 1) if self.settings.rule == "literal" else size

    @property
    def measured(self) -> dict[str, float]:
        """For curves."""
        return {"bytes/weights_sent": float(self.sent), "bytes/weights_delivered": float(self.delivered)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was counted."""
        return {"exchange": np.array([self.updates, self.sent, self.delivered])}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `arrays` gave."""
        self.updates, self.sent, self.delivered = arrays["exchange"].tolist()


def aggregate_weights(rule: Rule, values: Tensor, counts: Tensor) -> Tensor:
    """``W [agents, agents]``, with which agent i's aggregate is ``sum_j W_ij omega_j``."""
    agents = len(values)
    if rule == "average":
        return torch.full((agents, agents), 1.0 / agents)
    ratio = values.double() / counts.double()
    if rule == "literal":
        return (ratio / (agents * ratio[:, None])).float()
    deviation = ratio.std(correction=0)
    standard = (ratio - ratio.mean()) / torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    return standard.softmax(dim=0).float().expand(agents, -1)


@torch.no_grad()
def share_weights(rule: Rule, pair: Pair, weights: Tensor, share: float) -> None:
    """Let every copy go on with what the rule makes of all copies' weights."""
    followers = [None] * len(list(pair.online.parameters())) if pair.target is None else pair.target.parameters()
    for own, follower in zip(pair.online.parameters(), followers, strict=True):
        aggregate = torch.einsum("ij,j...->i...", weights, own)
        if rule == "average":
            own.copy_(aggregate)
        elif rule == "personalised":
            own.lerp_(aggregate, share)
        elif follower is not None:
            follower.add_(aggregate - own, alpha=pair.tau * share)
