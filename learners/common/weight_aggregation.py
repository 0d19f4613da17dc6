"""Exchange of weights between agents with networks of their own: averaging, plain or personalised.

Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763) let agents share the weights of actors and critics every few
iterations. With agent j's weights ``omega_j``, its critic's value ``Q_j`` and the number of its experiences ``N_j``,
the rules are

================  ==================================================================================================
rule              effect of an exchange
================  ==================================================================================================
``average``       FedAvg (McMahan et al. 2017, arXiv:1602.05629): every agent takes the mean of all weights
``personalised``  agent i takes ``(1 - s) omega_i + s hat omega``, where ``hat omega = sum_j w_j omega_j`` and ``w`` is
                  the softmax of ``Q_j / N_j``, standardised over the agents. Targets, which are updated softly, then
                  move as (24) says
``literal``       (24) and (25) as printed: ``hat omega_i = sum_j (Q_j / N_j) omega_j / (n Q_i / N_i)``, and targets
                  alone move towards it, to ``omega'_i + tau s (hat omega_i - omega_i)``
================  ==================================================================================================

The printed weights add up to one only where all ``Q_j / N_j`` are equal, and diverge where ``Q_i`` is about 0; and what
(24) changes is never executed. Hence ``personalised``, which is not in the paper. ``Q`` is the critics' value in
`maddpg` and the learners derived from it; elsewhere the mean reward of a slot, of which it is the discounted sum. The
share ``s`` falls linearly to 0 over the training, as (24) asks ("decreasing with the number of iterations").

Communication is counted in bytes of weights: with ``average`` and ``personalised`` every agent sends its own to a
platform, which returns one aggregate to each; ``literal`` delivers every agent's weights to every other, n (n - 1)
deliveries. The statistics by which networks standardise views are common to all agents already and are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from offloadopt.core import Settings
from offloadopt.learners.common.checkpoint import Stateful
from offloadopt.learners.common.training import IterativeLearner
from offloadopt.quantities import Rounds

Rule = Literal["average", "personalised", "literal"]


class Federation(Settings):
    """Settings of the exchange of weights."""

    rule: Rule = Field("personalised", description="aggregation rule")
    every: Rounds = Field(10, ge=1, description="updates between two exchanges")
    first_share: float = Field(0.5, gt=0, lt=1, description="tau_t of (24) at the beginning; it falls to 0")


class Federable(IterativeLearner):
    """Base of learners whose agents may have networks of their own and exchange their weights."""

    shared: bool = Field(True, description="one network for all agents; otherwise each has its own")
    federation: Federation | None = Field(
        None, description="exchange of weights between the agents' own networks; none: no exchange"
    )

    @model_validator(mode="after")
    def _weights_are_their_own(self) -> Self:
        if self.federation is not None and self.shared:
            raise ValueError(
                "shared = true; allowed with a federation: false, each agent its own network (or federation: none)"
            )
        return self


@dataclass(frozen=True)
class Pair:
    """Stacked networks, one for each agent, and their target networks; what has one copy, agents have in common.

    Attributes
    ----------
    online : Module
    target : Module, optional
    tau : float
        Rate of the soft target updates.
    """

    online: nn.Module
    target: nn.Module | None = None
    tau: float = 0.0


class WeightExchange(Stateful):
    """Counter and executor of the weight exchanges of one training.

    Attributes
    ----------
    sent, delivered : int
        Bytes that agents sent, and that they received.
    """

    state_fields = ("updates", "sent", "delivered")

    def __init__(self, settings: Federation) -> None:
        self.settings = settings
        self.updates = self.sent = self.delivered = 0

    def after_update(self, spent: float, pairs: Sequence[Pair], values: Tensor, counts: Tensor) -> None:
        """Count a gradient step and exchange weights if it is time.

        Parameters
        ----------
        spent : float
            Fraction of the training's budget that is used.
        pairs : sequence of Pair
        values : Tensor [agents]
            ``Q``, in the problem's units.
        counts : Tensor [agents]
            ``N``, transitions in each agent's replay buffer.
        """
        self.updates += 1
        if self.updates % self.settings.every > 0:
            return
        share = self.settings.first_share * max(0.0, 1.0 - spent)
        weights = aggregate_weights(self.settings.rule, values, counts)
        for pair in pairs:
            self._count(pair.online, len(values))
            share_weights(self.settings.rule, pair, weights, share)

    def _count(self, networks: nn.Module, agents: int) -> None:
        size = sum(parameter.nbytes for parameter in networks.parameters() if len(parameter) == agents)
        self.sent += size
        self.delivered += size * (agents - 1) if self.settings.rule == "literal" else size

    @property
    def communication(self) -> dict[str, float]:
        """Bytes exchanged so far, by the names under which they are recorded."""
        return {
            "communication/weights_sent_bytes": float(self.sent),
            "communication/weights_delivered_bytes": float(self.delivered),
        }


def aggregate_weights(rule: Rule, values: Tensor, counts: Tensor) -> Tensor:
    """Compute the matrix ``W [agents, agents]`` of the aggregates ``sum_j W_ij omega_j`` of agents i."""
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
    """Replace every agent's weights by those that the rule computes from all agents' weights."""
    targets = [None] * len(list(pair.online.parameters())) if pair.target is None else pair.target.parameters()
    for own, target in zip(pair.online.parameters(), targets, strict=True):
        if len(own) != len(weights):
            continue
        aggregate = torch.einsum("ij,j...->i...", weights, own)
        if rule == "average":
            own.copy_(aggregate)
        elif rule == "personalised":
            own.lerp_(aggregate, share)
        elif target is not None:
            target.add_(aggregate - own, alpha=pair.tau * share)
