"""Selection of predicted transitions for the replay buffer.

Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), section 5.2. From a slot ``t0`` on each agent's generator predicts
``n`` slots. The twin replay (23) holds, for every future slot ``t0 + q``, the predictions made ``p = 0 ... n'`` slots
ago. For each ``q = 1 ... n`` one of these enters the agent's replay buffer:

* with a probability ``epsilon`` that falls with ``q`` the one of greatest value to the critic, ``max Q(s, a)``;
* otherwise a random one, with weights ``1 - (p + q) / (n + n')``: the longer ahead it was predicted, the less likely.

(23) is printed as a full table. Predictions made ``p`` slots ago reach ``q <= n - p`` slots ahead, so that its lower
right half is empty here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.replay import Experience
from offloadopt.quantities import Size
from offloadopt.settings import Settings


class SelectionRule(Settings):
    """Parameters of the selection."""

    lookahead: Size = Field(5, ge=1, description="n, slots that generators predict")
    lookback: Size = Field(5, ge=0, description="n', slots for which predictions are kept")
    greedy_probability: float = Field(
        0.8, ge=0, le=1, description="epsilon, probability of selecting the prediction of greatest value"
    )
    greedy_decay: float = Field(0.9, gt=0, le=1, description="factor of epsilon for each slot further ahead")


def select_synthetic(
    rule: SelectionRule,
    made: Sequence[Sequence[Experience]],
    value: Sequence[Sequence[Tensor]],
    generator: torch.Generator,
) -> list[Experience]:
    """Select for each slot ahead the prediction that enters the replay buffer.

    Parameters
    ----------
    made : sequence of sequences of Experience [environments, agents, ...]
        The twin replay (23): from each of the latest slots, the oldest first, predictions of the next slots.
    value : sequence of sequences of Tensor [environments, agents]
        The critics' values of these.
    """
    found, latest = [], len(made) - 1
    for ahead in range(1, rule.lookahead + 1):
        # Predictions made p slots ago hold this slot as their (p + ahead)-th.
        ages = range(min(len(made), rule.lookback + 1, rule.lookahead - ahead + 1))
        candidates = [made[latest - p][p + ahead - 1] for p in ages]
        best = torch.stack([value[latest - p][p + ahead - 1] for p in ages]).argmax(dim=0)
        weights = torch.tensor([1.0 - (p + ahead) / (rule.lookahead + rule.lookback) for p in ages])
        if rule.lookback == 0:  # nothing to select_synthetic between, and no weight for the furthest slot
            weights = torch.ones(1)
        drawn = torch.multinomial(weights, best.numel(), replacement=True, generator=generator).view_as(best)
        greedy = torch.rand(best.shape, generator=generator) < rule.greedy_probability * rule.greedy_decay ** (
            ahead - 1
        )
        found.append(_pick(candidates, torch.where(greedy, best, drawn)))
    return found


def _pick(candidates: Sequence[Experience], which: Tensor) -> Experience:
    """Select for every environment and agent the candidate of index ``which [environments, agents]``."""

    def pick(parts: list[Tensor]) -> Tensor:
        stacked = torch.stack(parts)
        index = which[None].reshape(1, *which.shape, *(1,) * (stacked.ndim - 3)).expand(1, *stacked.shape[1:])
        return stacked.gather(0, index)[0]

    def observation(parts: list[AgentObservation]) -> AgentObservation:
        allowed = [part.allowed for part in parts if part.allowed is not None]
        return AgentObservation(pick([part.view for part in parts]), pick(allowed) if allowed else None)

    return Experience(
        observation([c.observation for c in candidates]),
        pick([c.action for c in candidates]),
        pick([c.reward for c in candidates]),
        observation([c.next_observation for c in candidates]),
    )
