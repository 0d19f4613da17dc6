"""Demonstrations as agents' data: the expert's actions in their views, to imitate, and transitions, to learn values of.

Off-policy learners learn from demonstrations as "Deep Q-learning from demonstrations" does (DQfD, Hester et al. 2018,
arXiv:1704.03732). Gradient steps on demonstrations alone come first: of critics and Q networks on their
temporal-difference error, of Q networks also on a large-margin loss, of actors on the imitation loss of behaviour
cloning. Then agents interact, with as little exploration as at the end of a training without demonstrations; these stay
in a prioritised replay (`DemonstrationReplay`), and whenever one is drawn, the margin or imitation loss is added
(for actors: Nair et al. 2018, arXiv:1709.10089). Returns over several slots and the L2 penalty of DQfD are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from offloadopt.core import Decisions, Demonstrations, Observation, Outcome, Problem
from offloadopt.envs.rewards import agent_reward
from offloadopt.errors import InvalidInput
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.distributions import Heads, mask_outputs
from offloadopt.learners.common.replay import DemonstrationReplay, Experience, Prioritisation, concatenate
from offloadopt.learners.common.training import IterativeLearner, TrainingProgress
from offloadopt.quantities import Factor, Rounds
from offloadopt.structures.actions import Controls

if TYPE_CHECKING:
    from offloadopt.learners.common.off_policy import TrainableAgents

TOLERANCE = 1e-6
"""Rounding error of encoded decisions that still counts as within their limits."""


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
    global_state : Tensor [slots, count, features], optional
        As of `AgentObservation`.
    """

    view: Tensor
    allowed: Tensor | None
    decided: Mapping[str, Tensor]
    global_state: Tensor | None = None

    @classmethod
    def of(cls, interface: AgentInterface, demonstrations: Demonstrations, *, with_global_state: bool = False) -> Self:
        """Convert demonstrations; raise an error if they do not fit the problem or are not feasible."""
        shape = demonstrations.instances.count, interface.problem.horizon
        observation, decided = single_slots(interface.problem, demonstrations)
        observed = interface.observe(observation, with_global_state=with_global_state)
        values = expressed(interface.controls, observation, decided)

        tensors = {name: torch.from_numpy(rows.astype(np.float32)) for name, rows in values.items()}
        single = cls(observed.view, observed.allowed, tensors, observed.global_state)
        return single.each(lambda rows: rows.unflatten(0, shape).transpose(0, 1).contiguous())

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Change all arrays in the same way."""
        decided = {name: change(values) for name, values in self.decided.items()}
        allowed, state = (None if part is None else change(part) for part in (self.allowed, self.global_state))
        return replace(self, view=change(self.view), allowed=allowed, decided=decided, global_state=state)

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
        part = self.each(lambda values: values[:, rows])
        outputs = mask_outputs(actor(part.view)[0], part.allowed)
        return heads.imitation_loss(outputs, part.decided).mean()

    def as_single_slots(self) -> Self:
        """Reshape to single slots ``[1, slots x count, ...]``, for agents without memory."""
        return self.each(lambda values: values.flatten(0, 1)[None])


class Demonstrable(IterativeLearner):
    """Settings of off-policy learners that learn from demonstrations, and their gradient steps before interaction.

    The settings have no effect without demonstrations.
    """

    uses_demonstrations = True

    batch_size: int
    imitation_steps: Rounds = Field(1000, ge=0, description="gradient steps on demonstrations before interaction")
    imitation_weight: Factor = Field(
        1.0, ge=0, description="of the margin or imitation loss of demonstrations beside the temporal-difference error"
    )
    prioritisation: Prioritisation = Field(Prioritisation(), description="of demonstrations and own transitions")

    def imitate(
        self,
        replay: DemonstrationReplay,
        learn: Callable[[Any], Mapping[str, Tensor]],
        seed: int,
        tracker: TrainingProgress,
        rounding: float,
    ) -> None:
        """Call ``learn`` with batches of demonstrations, and record how decisions were rounded and the last step."""
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        measured: Mapping[str, Tensor] = {}
        for _ in range(self.imitation_steps):
            if not tracker.in_time:
                break
            measured = learn(replay.draw(self.batch_size, rng))
        tracker.record({"train/rounding": rounding, **{name: float(value) for name, value in measured.items()}})


@dataclass(frozen=True)
class ExpertTransitions:
    """Demonstrations as transitions of the agents.

    The expert's decisions are rounded to what the agents' actions express. Rewards and next observations are those of
    the rounded decisions, so that every transition is one of the problem, from a state that the expert visits.

    Attributes
    ----------
    slots : tuple of Experience [count, agents, ...]
        One for each slot of the demonstrated episodes.
    rounding : float
        Mean difference between the expert's decisions and the rounded ones, in units of their ranges.
    """

    slots: tuple[Experience, ...]
    rounding: float

    @classmethod
    def of(
        cls,
        agents: TrainableAgents,
        demonstrations: Demonstrations,
        reward: Callable[[Outcome], NDArray[Any]] = agent_reward,
    ) -> Self:
        """Convert demonstrations; raise an error if they do not fit the problem, are not feasible or not expressible.

        Parameters
        ----------
        agents : TrainableAgents
            How they observe, and represent decisions.
        reward : callable
            Rewards ``[count, agents]`` of a slot's outcome.
        """
        problem, instances = agents.problem, demonstrations.instances
        _, rows = single_slots(problem, demonstrations)
        count, last = instances.count, problem.horizon - 1
        limits = problem.decision_fields.items()
        ranges = {name: field.high - field.low for name, field in limits if field.high > field.low}
        state = problem.reset(instances)
        observation = problem.observe(instances, state)
        slots: list[Experience] = []
        differences: list[float] = []
        for slot in range(problem.horizon):
            decided = rows.take(np.arange(slot, count * problem.horizon, problem.horizon))
            action = agents.encode(observation, decided)
            rounded = agents.decode(observation, action)
            differences += [float(np.abs(rounded[name] - decided[name]).mean()) / ranges[name] for name in ranges]
            following, outcome = problem.step(instances, state, rounded)
            state, _ = problem.step(instances, state, decided)
            # As in `Episodes`, the last state is observed with the last slot's exogenous values.
            before = observation
            after, observation = (
                problem.observe(instances, replace(each, slot=min(slot + 1, last))) for each in (following, state)
            )
            rewards = torch.from_numpy(reward(outcome).astype(np.float32))
            actions = torch.as_tensor(action, dtype=torch.float32)
            slots.append(Experience(agents.observe(before), actions, rewards, agents.observe(after)))
        return cls(tuple(slots), float(np.mean(differences)))

    @property
    def count(self) -> int:
        """Number of demonstrations."""
        return len(self.slots[0].action)

    def together(self) -> Experience:
        """All transitions as one batch."""
        return concatenate(self.slots)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Views, actions and rewards by name, which identify the demonstrations in a checkpoint."""
        batch = self.together()
        return {"view": batch.observation.view.numpy(), "action": batch.action.numpy(), "reward": batch.reward.numpy()}


def expressed(controls: Controls, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
    """Convert decisions to values of controls, by name.

    Raises
    ------
    InvalidInput
        If controls would leave their limits, or take an option that is not allowed although several are. Where one
        alone is allowed, as without a task, the decision does not matter.
    """
    values, masks = controls.encode(observation, decisions), controls.allowed(observation)
    for name, field in controls.fields.items():
        within = (values[name] >= field.low - TOLERANCE) & (values[name] <= field.high + TOLERANCE)  # False for NaN
        if name in masks and within.all():
            option = values[name].astype(np.int64)[..., None] - int(field.low)
            within = np.take_along_axis(masks[name], option, axis=-1)[..., 0] | (masks[name].sum(axis=-1) == 1)
        if not within.all():
            raise InvalidInput(
                f"{np.sum(~within)} of {within.size} demonstrated decisions cannot be expressed: {name!r} would leave "
                f"{field.low:g} to {field.high:g} or is not allowed; allowed: other controls, or another expert"
            )
    return values


def large_margin_loss(values: Tensor, demonstrated: Tensor, margin: float) -> Tensor:
    """Large-margin loss ``[...]`` of DQfD: how far the demonstrated option falls short of leading by ``margin``.

    ``max_a (Q(a) + margin [a is not demonstrated]) - Q(demonstrated)``.

    Parameters
    ----------
    values, demonstrated : Tensor [..., options]
        Values, and the one-hot of the demonstrated option.
    """
    return (values + margin * (1.0 - demonstrated)).amax(dim=-1) - (values * demonstrated).sum(dim=-1)


def minimise(
    parameters: Sequence[nn.Parameter],
    loss: Callable[[Tensor], Tensor],
    batches: Iterable[Tensor],
    learning_rate: float,
    tracker: TrainingProgress,
) -> float:
    """Minimise the loss of batches of row numbers by Adam, while there is time; return that of the last one."""
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    error = torch.zeros(())
    for rows in batches:
        if not tracker.in_time:
            break
        error = loss(rows)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return float(error.detach())
