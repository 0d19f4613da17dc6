"""What agents' policies see and set of a problem: views, controls, and the heads that stand between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from offloadopt.core import Decisions, Observation
from offloadopt.learners.common.distributions import Heads
from offloadopt.structures.agents import AgentProblem

NUMBER_BYTES = 4
"""Of a number or the place of a choice, as agents tell it each other."""


@dataclass(frozen=True)
class AgentObservation:
    """What may be seen before a slot is decided.

    Attributes
    ----------
    view : Tensor [count, agents, features]
        By each agent.
    allowed : Tensor of bool [count, agents, outputs], optional
        Which outputs of the heads stand for something that can be chosen; none: all.
    whole : Tensor [count, features] or [count, agents, features], optional
        By a centre, if there is one, or by each agent's critic.
    """

    view: Tensor
    allowed: Tensor | None = None
    whole: Tensor | None = None


class AgentInterface:
    """A problem as its agents meet it.

    Parameters
    ----------
    problem : AgentProblem
    view, controls : str, optional
        Names of what they see and set; the problem's first unless given.
    together : bool
        Whether an agent's numbers may be explored in dependence on each other.

    Attributes
    ----------
    heads : Heads
        From a network's outputs to what the agents set.
    """

    def __init__(
        self, problem: AgentProblem[Any], view: str | None, controls: str | None, together: bool = True
    ) -> None:
        self.problem = problem
        self.view = next(iter(problem.views)) if view is None else view
        self.controls = problem.controls_named(controls)
        self.heads = Heads(self.controls.fields, problem.num_agents, together)
        self._named = view, controls, together

    @staticmethod
    def check(problem: AgentProblem[Any], view: str | None, controls: str | None) -> None:
        """Refuse names of a view or of controls that the problem does not know."""
        if view is not None:
            problem.view_features(view)
        problem.controls_named(controls)

    def to(self, problem: AgentProblem[Any]) -> AgentInterface:
        """The same view and controls of another problem, for example with another number of agents."""
        return AgentInterface(problem, *self._named)

    @property
    def features(self) -> int:
        """Numbers that an agent sees."""
        return self.problem.view_size(self.view)

    @property
    def entries(self) -> int:
        """Numbers and choices that an agent sets."""
        return sum(math.prod(field.shape[1:]) for field in self.controls.fields.values())

    @property
    def view_bytes(self) -> int:
        """What a message takes that tells a view."""
        return NUMBER_BYTES * self.features

    @property
    def deed_bytes(self) -> int:
        """What a message takes that tells what an agent sets."""
        return NUMBER_BYTES * self.entries

    @property
    def whole_features(self) -> int:
        """Numbers that a centre sees."""
        return int(self.problem.whole_view(self.problem.empty_observation(), self.view).shape[-1])

    def see(self, observation: Observation, *, centre: bool = False) -> AgentObservation:
        """What the agents see, and if there is a centre, what it sees; numbers in single precision."""
        view = self.problem.view(observation, self.view)
        whole = self.problem.whole_view(observation, self.view) if centre else None
        return AgentObservation(
            view=_tensor(view),
            allowed=self.heads.allowed(self.controls.allowed(observation)),
            whole=None if whole is None else _tensor(whole),
        )

    def decode(self, observation: Observation, actions: Tensor) -> Decisions:
        """One slot's decisions from the heads' actions ``[count, agents, actions]``."""
        return self.controls.decode(observation, self.heads.read(actions))


def _tensor(numbers: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(numbers.astype(np.float32))
