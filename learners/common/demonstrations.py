"""Behaviour cloning for agents: an actor is trained on an expert's actions in the agents' views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offloadopt.core import Decisions, Demonstrations, Observation, Problem
from offloadopt.errors import InvalidInput
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.distributions import Heads, mask_outputs
from offloadopt.learners.common.training import TrainingProgress


def single_slots(problem: Problem[Any], demonstrations: Demonstrations) -> tuple[Observation, Decisions]:
    """Rows ``[count x horizon, ...]`` of all slots: what was observed, and what the expert decided.

    Raises
    ------
    InvalidInput
        If demonstrations do not fit the problem, or one of them is not feasible.
    """
    rows, solutions = demonstrations.instances.count * problem.horizon, demonstrations.solutions
    observed = {
        name: field.check(name, demonstrations.observations[name], problem.horizon).reshape(rows, *field.shape)
        for name, field in problem.observation_fields.items()
    }
    decisions = problem.check_decisions(solutions.decisions, demonstrations.instances.count)
    for row in np.flatnonzero(~np.isfinite(solutions.objective)):
        status = solutions.status_names[row]
        raise InvalidInput(f"demonstration {row} is not feasible ({status}); allowed: feasible ones only")
    decided = {name: values.reshape(rows, *problem.decision_fields[name].shape) for name, values in decisions.items()}
    return Observation(observed), Decisions(decided)


@dataclass(frozen=True)
class ExpertActions:
    """Demonstrations as the agents' views and the expert's actions.

    Attributes
    ----------
    view : Tensor [slots, count, agents, features]
    allowed : Tensor of bool [slots, count, agents, outputs], optional
    decided : mapping of str to Tensor [slots, count, agents] or [slots, count, agents, entries]
        In the form of the agents' controls.
    """

    view: Tensor
    allowed: Tensor | None
    decided: Mapping[str, Tensor]

    @classmethod
    def of(cls, interface: AgentInterface, demonstrations: Demonstrations) -> Self:
        """Convert demonstrations; raise an error if they do not fit the problem or are not feasible."""
        shape = demonstrations.instances.count, interface.problem.horizon
        observation, decided = single_slots(interface.problem, demonstrations)
        observed = interface.observe(observation)
        values = interface.controls.encode(observation, decided)

        def over_slots(rows: Tensor) -> Tensor:
            return rows.unflatten(0, shape).transpose(0, 1).contiguous()

        return cls(
            view=over_slots(observed.view),
            allowed=None if observed.allowed is None else over_slots(observed.allowed),
            decided={name: over_slots(torch.from_numpy(rows.astype(np.float32))) for name, rows in values.items()},
        )

    @property
    def count(self) -> int:
        """Number of demonstrations."""
        return self.view.shape[1]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Views and actions by name, which identify the demonstrations in a checkpoint."""
        decided = {f"decided.{name}": values.numpy() for name, values in self.decided.items()}
        allowed = {} if self.allowed is None else {"allowed": self.allowed.numpy()}
        return {"view": self.view.numpy(), **allowed, **decided}

    def imitation_loss(self, actor: Actor, heads: Heads, rows: Tensor) -> Tensor:
        """Mean imitation loss of an actor in some of the demonstrations."""
        outputs, _ = actor(self.view[:, rows])
        outputs = mask_outputs(outputs, None if self.allowed is None else self.allowed[:, rows])
        return heads.imitation_loss(outputs, {name: values[:, rows] for name, values in self.decided.items()}).mean()

    def as_single_slots(self) -> ExpertActions:
        """Reshape to single slots ``[1, slots x count, ...]``, for agents without memory."""
        flat = {name: values.flatten(0, 1)[None] for name, values in self.decided.items()}
        allowed = None if self.allowed is None else self.allowed.flatten(0, 1)[None]
        return ExpertActions(self.view.flatten(0, 1)[None], allowed, flat)


def imitate(
    actor: Actor,
    heads: Heads,
    expert: ExpertActions,
    *,
    steps: int,
    minibatch_size: int,
    learning_rate: float,
    tracker: TrainingProgress,
    generator: torch.Generator,
) -> float:
    """Minimise the imitation loss of an actor by Adam.

    Parameters
    ----------
    steps : int
        Gradient steps; fewer if the budget's seconds end before.
    minibatch_size : int
        Agent-steps in a gradient step, at least.
    tracker : TrainingProgress
        Ends the training when the budget's seconds are over.

    Returns
    -------
    float
        The last minibatch's mean distance.
    """
    if actor.normalizer is not None:
        actor.normalizer.update_statistics(expert.view)
    examples = expert if actor.network.recurrent is not None else expert.as_single_slots()
    slots, count, agents, _ = examples.view.shape
    size = min(count, -(-minibatch_size // (slots * agents)))
    optimizer = torch.optim.Adam(actor.parameters(), lr=learning_rate, fused=True)
    error = torch.zeros(())
    for _ in range(steps):
        if tracker.spent >= 1.0:
            break
        rows = torch.randint(count, (size,), generator=generator)
        error = examples.imitation_loss(actor, heads, rows)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return float(error.detach())
