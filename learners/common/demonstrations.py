"""Behaviour cloning for agents: an actor is trained on an expert's actions in the agents' views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offloadopt.core import Decisions, Demonstrations, Observation
from offloadopt.errors import InvalidInput
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.distributions import Heads, mask_outputs
from offloadopt.learners.common.training import TrainingProgress


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
        problem = interface.problem
        count, horizon = demonstrations.instances.count, problem.horizon
        if count == 0:
            raise InvalidInput("the demonstrations are empty; allowed: 1 or more, or none at all")
        if not np.isfinite(demonstrations.solutions.objective).all():
            row = int(np.flatnonzero(~np.isfinite(demonstrations.solutions.objective))[0])
            raise InvalidInput(f"demonstration {row} is not feasible; allowed: feasible ones only")
        decisions = problem.check_decisions(demonstrations.solutions.decisions, count)
        by_slot = {
            name: field.check(name, demonstrations.observations[name], horizon).reshape(count * horizon, *field.shape)
            for name, field in problem.observation_fields.items()
        }
        observation = Observation(by_slot)
        decided = Decisions(
            {
                name: values.reshape(count * horizon, *problem.decision_fields[name].shape)
                for name, values in decisions.items()
            }
        )
        observed = interface.observe(observation)
        values = interface.controls.encode(observation, decided)

        def over_slots(rows: Tensor) -> Tensor:
            return rows.unflatten(0, (count, horizon)).transpose(0, 1).contiguous()

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
