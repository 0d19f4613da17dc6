"""What agents' twins foresaw, and which of it is worth remembering.

Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), section 5.2. From a slot ``t0`` on each agent's twin is led on for
``n`` slots. The twin replay (23) holds, for every future slot ``t0 + q``, what was foreseen for it ``p = 0 ... n'``
slots ago. For each ``q = 1 ... n`` one of these enters the agent's real replay:

* with a probability ``epsilon`` that falls with ``q`` the one that its critic thinks best, ``max Q(s, a)``;
* otherwise any, with weights ``1 - (p + q) / (n + n')``: the longer ahead it was foreseen, the less likely.

(23) is printed as a full table. What was made ``p`` slots ago reaches ``q <= n - p`` slots ahead, so that its lower
right half is empty here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.replay import Experience


@dataclass(frozen=True)
class Enrichment:
    """The rule's numbers.

    Attributes
    ----------
    ahead, behind : int
        ``n`` and ``n'``.
    greedy : float
        ``epsilon`` of the next slot; it is multiplied by ``fall`` for each slot further ahead.
    fall : float
    """

    ahead: int
    behind: int
    greedy: float
    fall: float


def choose(
    rule: Enrichment,
    made: Sequence[Sequence[Experience]],
    value: Sequence[Sequence[Tensor]],
    generator: torch.Generator,
) -> list[Experience]:
    """For each slot ahead the prediction that enters the replay.

    Parameters
    ----------
    made : sequence of sequences of Experience [environments, agents, ...]
        The twin replay (23): from each of the latest slots, the oldest first, what was foreseen for the ``ahead`` next.
    value : sequence of sequences of Tensor [environments, agents]
        What critics think of it.
    """
    found, latest = [], len(made) - 1
    for ahead in range(1, rule.ahead + 1):
        # What was foreseen p slots ago said it of its (p + ahead)-th slot.
        ages = range(min(len(made), rule.behind + 1, rule.ahead - ahead + 1))
        candidates = [made[latest - p][p + ahead - 1] for p in ages]
        best = torch.stack([value[latest - p][p + ahead - 1] for p in ages]).argmax(dim=0)
        weights = torch.tensor([1.0 - (p + ahead) / (rule.ahead + rule.behind) for p in ages])
        if rule.behind == 0:  # nothing to choose between, and no weight for the furthest slot
            weights = torch.ones(1)
        drawn = torch.multinomial(weights, best.numel(), replacement=True, generator=generator).view_as(best)
        greedy = torch.rand(best.shape, generator=generator) < rule.greedy * rule.fall ** (ahead - 1)
        found.append(_pick(candidates, torch.where(greedy, best, drawn)))
    return found


def _pick(candidates: Sequence[Experience], which: Tensor) -> Experience:
    """For every environment and agent the experience of the candidate ``which [environments, agents]``."""

    def pick(parts: list[Tensor]) -> Tensor:
        stacked = torch.stack(parts)
        index = which[None].reshape(1, *which.shape, *(1,) * (stacked.ndim - 3)).expand(1, *stacked.shape[1:])
        return stacked.gather(0, index)[0]

    def seen(moments: list[AgentObservation]) -> AgentObservation:
        allowed = [moment.allowed for moment in moments if moment.allowed is not None]
        return AgentObservation(pick([moment.view for moment in moments]), pick(allowed) if allowed else None)

    return Experience(
        seen([c.observation for c in candidates]),
        pick([c.action for c in candidates]),
        pick([c.reward for c in candidates]),
        seen([c.next_observation for c in candidates]),
    )
