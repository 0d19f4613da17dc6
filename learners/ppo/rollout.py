"""Roll-outs of many agents in many episodes at once, and generalised advantage estimation (GAE)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from offloadopt.core import Outcome
from offloadopt.envs import Episodes
from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation

Act = Callable[[AgentObservation, Tensor | None], tuple[Tensor, Tensor, Tensor | None]]
"""Actions, their log-probabilities ``[count, agents, ...]`` and the next memory, for an observation and a memory."""


@dataclass(frozen=True)
class Rollout:
    """Views, actions and rewards of agents in consecutive slots.

    Attributes
    ----------
    view : Tensor [slots + 1, count, agents, features]
        The last one is the view after the last decision.
    allowed : Tensor of bool [slots, count, agents, outputs], optional
    global_state : Tensor [slots + 1, count, features], optional
    actions : Tensor [slots, count, agents, actions]
    log_probability, reward : Tensors [slots, count, agents]
    terminated : bool
        Whether nothing follows the last slot.
    outcomes : sequence of Outcome
        Costs of each slot.
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


@dataclass
class Collector:
    """Collection of roll-outs from episodes side by side; they end together, and a roll-out never outlasts them.

    Parameters
    ----------
    interface : AgentInterface
        The agents' views and actions.
    count : int
        Episodes side by side.
    reward_of : callable
        Rewards ``[count, agents]`` of an outcome.
    with_global_state : bool
        Whether the global state is observed.
    """

    interface: AgentInterface
    count: int
    reward_of: Callable[[Outcome], np.ndarray[Any, Any]]
    with_global_state: bool
    _episodes: Episodes | None = field(default=None, init=False)
    _memory: Tensor | None = field(default=None, init=False)

    @property
    def between_episodes(self) -> bool:
        """Whether the next roll-out begins new episodes: then no state of the last ones is needed any more."""
        return self._episodes is None or self._episodes.ended

    def collect(self, act: Act, slots: int, seed: int) -> Rollout:
        """Decide the next slots, or as many as the episodes still have.

        Parameters
        ----------
        seed : int
            Seed of the episodes, if new ones begin.
        """
        if self._episodes is None or self._episodes.ended:
            self._episodes, self._memory = Episodes(self.interface.problem, self.count, seed), None
            self._episodes.begin()
        episodes = self._episodes
        observe = partial(self.interface.observe, with_global_state=self.with_global_state)
        observations = [observe(episodes.observation)]
        actions_taken, log_probabilities, rewards = [], [], []
        outcomes: list[Outcome] = []
        for _ in range(slots):
            actions, log_probability, self._memory = act(observations[-1], self._memory)
            outcome = episodes.step(self.interface.decode(episodes.observation, actions))
            outcomes.append(outcome)
            observations.append(observe(episodes.observation))
            actions_taken.append(actions)
            log_probabilities.append(log_probability)
            rewards.append(torch.from_numpy(self.reward_of(outcome).astype(np.float32)))
            if episodes.ended:
                break
        return Rollout(
            view=torch.stack([moment.view for moment in observations]),
            allowed=_stack([moment.allowed for moment in observations[:-1]]),
            global_state=_stack([moment.global_state for moment in observations]),
            actions=torch.stack(actions_taken),
            log_probability=torch.stack(log_probabilities),
            reward=torch.stack(rewards),
            terminated=episodes.terminated,
            outcomes=outcomes,
            whole_episodes=episodes.ended and len(outcomes) == episodes.problem.horizon,
        )


def _stack(moments: list[Tensor | None]) -> Tensor | None:
    """Stack over slots; ``None`` if there is nothing to stack."""
    present = [moment for moment in moments if moment is not None]
    return torch.stack(present) if present else None


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
    td_error = reward + discount * value[1:] - value[:-1]
    found = torch.empty_like(td_error)
    following = torch.zeros_like(td_error[0])
    for slot in reversed(range(len(td_error))):
        following = td_error[slot] + discount * gae_lambda * following
        found[slot] = following
    return found
