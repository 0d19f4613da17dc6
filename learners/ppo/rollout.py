"""Roll-outs of many agents in many episodes at once, and what their decisions were worth (GAE)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from offloadopt.core import Outcome
from offloadopt.envs import Episodes
from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation

Act = Callable[[AgentObservation, Tensor | None], tuple[Tensor, Tensor, Tensor | None]]
"""Actions and their logarithmic probabilities, ``[count, agents, ...]``, for what is seen and a memory; next memory."""


@dataclass(frozen=True)
class Rollout:
    """What agents saw, did and were paid in some slots.

    Attributes
    ----------
    view : Tensor [slots + 1, count, agents, features]
        The last one is what was seen after the last decision.
    allowed : Tensor of bool [slots, count, agents, outputs], optional
    global_state : Tensor [slots + 1, count, features], optional
    actions : Tensor [slots, count, agents, actions]
    log_probability, reward : Tensors [slots, count, agents]
    terminated : bool
        Whether nothing follows the last slot.
    outcomes : sequence of Outcome
        What each slot cost.
    whole_episodes : bool
        Whether the slots are all of their episodes.
    """

    view: Tensor
    allowed: Tensor | None
    global_state: Tensor | None
    actions: Tensor
    log_probability: Tensor
    reward: Tensor
    terminated: bool
    outcomes: Sequence[Outcome]
    whole_episodes: bool


class Collector:
    """Episodes that are decided some slots at a time; they end together, and a roll-out never outlasts them.

    Parameters
    ----------
    interface : AgentInterface
        What the agents see and set.
    count : int
        Episodes side by side.
    pay : callable
        Rewards ``[count, agents]`` of an outcome.
    centre : bool
        Whether someone sees the whole.
    """

    def __init__(
        self,
        interface: AgentInterface,
        count: int,
        pay: Callable[[Outcome], np.ndarray[Any, Any]],
        centre: bool,
    ) -> None:
        self._interface = interface
        self._count = count
        self._pay = pay
        self._centre = centre
        self._episodes: Episodes | None = None
        self._memory: Tensor | None = None

    @property
    def between_episodes(self) -> bool:
        """Whether the next roll-out begins new episodes: then nothing of the last ones is needed any more."""
        return self._episodes is None or self._episodes.ended

    def collect(self, act: Act, slots: int, nature: int) -> Rollout:
        """Decide the next slots, or as many as the episodes still have.

        Parameters
        ----------
        nature : int
            Seed of the episodes, if new ones begin.
        """
        if self._episodes is None or self._episodes.ended:
            self._episodes, self._memory = Episodes(self._interface.problem, self._count, nature), None
            self._episodes.begin()
        episodes = self._episodes
        seen = [self._interface.observe(episodes.observation, with_global_state=self._centre)]
        taken, likely, paid = [], [], []
        outcomes: list[Outcome] = []
        for _ in range(slots):
            actions, log_probability, self._memory = act(seen[-1], self._memory)
            outcome = episodes.step(self._interface.decode(episodes.observation, actions))
            outcomes.append(outcome)
            seen.append(self._interface.observe(episodes.observation, with_global_state=self._centre))
            taken.append(actions)
            likely.append(log_probability)
            paid.append(torch.from_numpy(self._pay(outcome).astype(np.float32)))
            if episodes.ended:
                break
        return Rollout(
            view=torch.stack([moment.view for moment in seen]),
            allowed=_stack([moment.allowed for moment in seen[:-1]]),
            global_state=_stack([moment.global_state for moment in seen]),
            actions=torch.stack(taken),
            log_probability=torch.stack(likely),
            reward=torch.stack(paid),
            terminated=episodes.terminated,
            outcomes=outcomes,
            whole_episodes=episodes.ended and len(outcomes) == episodes.problem.horizon,
        )


def _stack(moments: list[Tensor | None]) -> Tensor | None:
    """Over slots; ``None`` where there is nothing."""
    there = [moment for moment in moments if moment is not None]
    return torch.stack(there) if there else None


def advantages(reward: Tensor, value: Tensor, discount: float, gae_lambda: float) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv:1506.02438, equation (16)).

    ``delta_t = r_t + gamma V_(t+1) - V_t`` and ``A_t = delta_t + gamma lambda A_(t+1)``.

    Parameters
    ----------
    reward : Tensor [slots, ...]
    value : Tensor [slots + 1, ...]
        The last one is the value of what comes after: 0 where nothing does.
    discount, gae_lambda : float
        gamma and lambda.
    """
    surprise = reward + discount * value[1:] - value[:-1]
    found = torch.empty_like(surprise)
    following = torch.zeros_like(surprise[0])
    for slot in reversed(range(len(surprise))):
        following = surprise[slot] + discount * gae_lambda * following
        found[slot] = following
    return found
