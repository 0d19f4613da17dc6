"""The interface between a problem and learned agents: observations, actions and their distributions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from offloadopt.core import Decisions, Observation
from offloadopt.learners.common.distributions import Heads
from offloadopt.structures.actions import Controls
from offloadopt.structures.agents import AgentProblem

NUMBER_BYTES = 4
"""Bytes of a number, or of the index of an option, in a message between agents."""


@dataclass(frozen=True)
class AgentObservation:
    """What agents, and critics with more information, observe before a slot is decided.

    Attributes
    ----------
    view : Tensor [count, agents, features]
        Observation of each agent.
    allowed : Tensor of bool [count, agents, outputs], optional
        Which of the heads' outputs stand for options that may be chosen; ``None`` if all may.
    global_state : Tensor [count, features] or [count, agents, features], optional
        Input of a centralised critic, common to all agents or one for each.
    """

    view: Tensor
    allowed: Tensor | None = None
    global_state: Tensor | None = None


class AgentInterface:
    """A problem as seen by its agents: a view to observe, controls to set, and distributions over these.

    Parameters
    ----------
    problem : AgentProblem
    view, controls : str, optional
        Names of one of the problem's views and controls; by default its first ones.
    correlated : bool
        Whether an agent's continuous actions may be explored with correlated noise (see `SquashedGaussian`).
    wrap : callable, optional
        Wraps the controls, in levels for example.

    Attributes
    ----------
    heads : Heads
        Distributions over the controls, given a network's outputs.
    """

    def __init__(
        self,
        problem: AgentProblem[Any],
        view: str | None,
        controls: str | None,
        correlated: bool = True,
        wrap: Callable[[Controls], Controls] | None = None,
    ) -> None:
        self.problem = problem
        self.view = next(iter(problem.views)) if view is None else view
        self.controls = problem.controls_named(controls)
        if wrap is not None:
            self.controls = wrap(self.controls)
        self.heads = Heads(self.controls.fields, problem.num_agents, correlated)
        self._arguments = view, controls, correlated, wrap

    @staticmethod
    def check(problem: AgentProblem[Any], view: str | None, controls: str | None) -> None:
        """Raise an error if the problem has no view or no controls of these names."""
        if view is not None:
            problem.view_features(view)
        problem.controls_named(controls)

    def for_problem(self, problem: AgentProblem[Any]) -> AgentInterface:
        """Create the same interface to another problem, for example with another number of agents."""
        return AgentInterface(problem, *self._arguments)

    @property
    def features(self) -> int:
        """Number of features in an agent's view."""
        return self.problem.view_size(self.view)

    @property
    def entries(self) -> int:
        """Number of continuous and integer entries in an agent's action."""
        return sum(self.controls.entries.values())

    @property
    def view_bytes(self) -> int:
        """Bytes of a message that holds a view."""
        return NUMBER_BYTES * self.features

    @property
    def action_bytes(self) -> int:
        """Bytes of a message that holds an agent's action."""
        return NUMBER_BYTES * self.entries

    @property
    def global_features(self) -> int:
        """Number of features in the global state."""
        return int(self.problem.global_view(self.problem.empty_observation(), self.view).shape[-1])

    def observe(self, observation: Observation, *, with_global_state: bool = False) -> AgentObservation:
        """Convert an observation to the agents' views, and on request the global state, in single precision."""
        view = self.problem.view(observation, self.view)
        global_state = self.problem.global_view(observation, self.view) if with_global_state else None
        return AgentObservation(
            view=_tensor(view),
            allowed=self.heads.allowed(self.controls.allowed(observation)),
            global_state=None if global_state is None else _tensor(global_state),
        )

    def decode(self, observation: Observation, actions: Tensor) -> Decisions:
        """Convert the heads' actions ``[count, agents, actions]`` to one slot's decisions."""
        return self.controls.decode(observation, self.heads.decode(actions))


def _tensor(numbers: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(numbers.astype(np.float32))
