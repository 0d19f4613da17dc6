"""Replay buffers: joint transitions of agents, of which each observation is stored once, and demonstrations.

Without demonstrations transitions are drawn uniformly. With them, `DemonstrationReplay` draws by priority from both,
as in "Deep Q-learning from demonstrations" (DQfD, Hester et al. 2018, arXiv:1704.03732).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from offloadopt.core import FloatArray, IntArray, Settings
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.checkpoint import Stateful
from offloadopt.learners.common.torch_utils import with_prefix
from offloadopt.quantities import Factor

OBSERVATION_PARTS = ("view", "allowed", "global_state")


class Priorities(Stateful):
    """Priorities of the entries of a replay buffer, proportional to errors (Schaul et al. 2016, arXiv:1511.05952).

    Entry ``i`` is drawn with probability ``P(i) = p_i^a / sum_k p_k^a``, where ``p_i = |error_i| + constant_i``. The
    error of an entry that was not replayed yet is the largest one known, so that it is soon drawn. A draw takes one
    pass over all entries, so that this largest error can change at any time (a sum tree would have to be rebuilt).

    Parameters
    ----------
    constant : array [entries]
        Greater than 0.
    exponent : float
        ``a``: 0 draws uniformly.
    """

    state_fields = ("error",)

    def __init__(self, constant: FloatArray, exponent: float) -> None:
        self._constant = constant
        self._exponent = exponent
        self.error: FloatArray = np.full(len(constant), np.nan)  # of entries that were not replayed yet: NaN

    def probabilities(self, held: IntArray | slice) -> FloatArray:
        """``P(i)`` of the entries that are held."""
        error = self.error[held]
        known = error[~np.isnan(error)]
        weight = (np.where(np.isnan(error), known.max(initial=0.0), error) + self._constant[held]) ** self._exponent
        return np.asarray(weight / weight.sum())

    def update(self, rows: IntArray, error: FloatArray) -> None:
        """Set the errors of replayed entries; their signs do not matter."""
        self.error[rows] = np.abs(error)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state that `arrays` returned."""
        super().restore(arrays)
        if (self.error < 0).any() or np.isinf(self.error).any():
            raise ValueError("error holds negative or infinite values; allowed: 0 or more, NaN for none")

    def forget(self, rows: IntArray | slice) -> None:
        """Treat entries as not replayed yet."""
        self.error[rows] = np.nan


def draw_by_probability(probability: FloatArray, size: int, rng: np.random.Generator) -> IntArray:
    """Draw indices ``[size]`` with replacement."""
    cumulated = probability.cumsum()
    return np.asarray((cumulated / cumulated[-1]).searchsorted(rng.random(size), side="right"))


@dataclass(frozen=True)
class PrioritisedRows:
    """Where the rows of a batch stand in a prioritised replay.

    Attributes
    ----------
    rows : array [rows]
        Entries of the replay, -1 for rows that are not from it.
    weight : Tensor [rows]
        Importance weights, which correct for the frequent draws of entries of high priority; at most 1.
    demonstrated : Tensor of bool [rows]
    priorities : Priorities
    """

    rows: IntArray
    weight: Tensor
    demonstrated: Tensor
    priorities: Priorities

    def replaced_from(self, first: int) -> PrioritisedRows:
        """Return what holds of the batch once the rows from ``first`` on are others, not from the replay."""
        kept = np.arange(len(self.rows)) < first
        is_kept = torch.from_numpy(kept)
        weight = torch.where(is_kept, self.weight, torch.ones_like(self.weight))
        return PrioritisedRows(np.where(kept, self.rows, -1), weight, self.demonstrated & is_kept, self.priorities)


@dataclass(frozen=True)
class Experience:
    """A batch of joint transitions of all agents, real or generated.

    Attributes
    ----------
    observation, next_observation : AgentObservation
        Before and after a slot. After an episode's last slot, ``next_observation`` is the one at which the episode was
        truncated.
    action : Tensor [rows, agents, size]
        In the form of `RelaxedActions`.
    reward : Tensor [rows, agents]
    others : Experience, optional
        Replaces the other agents' part of this experience for critics that do not observe it; ``None`` if they do.
    next_action : Tensor [rows, agents, size], optional
        Actions assumed after ``next_observation``; ``None`` if the learner computes them.
    prioritised : PrioritisedRows, optional
        Where the rows were drawn by priority; ``None`` if they were drawn uniformly.
    """

    observation: AgentObservation
    action: Tensor
    reward: Tensor
    next_observation: AgentObservation
    others: Experience | None = None
    next_action: Tensor | None = None
    prioritised: PrioritisedRows | None = None

    @property
    def others_action(self) -> Tensor:
        """Actions ``[rows, agents, size]`` as the critics of the other agents observe them."""
        return self.action if self.others is None else self.others.action

    def weighted(self, loss: Tensor) -> Tensor:
        """Multiply losses ``[rows]`` or ``[rows, agents]`` by importance weights, if rows were drawn by priority."""
        if self.prioritised is None:
            return loss
        weight = self.prioritised.weight
        return loss * (weight if loss.ndim == 1 else weight[:, None])

    def only_demonstrated(self, loss: Callable[[], Tensor]) -> Tensor | float:
        """Losses ``[rows]`` or ``[rows, agents]`` of the demonstrations, 0 for other rows or if there are none."""
        if self.prioritised is None:
            return 0.0
        values, demonstrated = loss(), self.prioritised.demonstrated
        return values * (demonstrated if values.ndim == 1 else demonstrated[:, None])

    def update_priorities(self, error: Tensor) -> None:
        """Set the priorities of the rows by errors ``[rows]`` or ``[rows, agents]``, if they were drawn by them."""
        if self.prioritised is not None:
            rows = self.prioritised.rows
            by_row = error.detach().abs().reshape(len(rows), -1).mean(dim=1).double().numpy()
            self.prioritised.priorities.update(rows[rows >= 0], by_row[rows >= 0])


BatchT = TypeVar("BatchT", bound="Experience | AgentObservation")


def concatenate(batches: Sequence[BatchT]) -> BatchT:
    """Concatenate batches, or observations, along their rows."""
    return _map_tensors(lambda *parts: torch.cat(parts), *batches)


def take(batch: BatchT, rows: slice | IntArray) -> BatchT:
    """Select rows of a batch."""
    return _map_tensors(lambda values: values[rows], batch)


def split(batch: BatchT, parts: int) -> list[BatchT]:
    """Split a batch along its rows into parts of equal size."""
    size = len(batch.view if isinstance(batch, AgentObservation) else batch.action) // parts
    return [take(batch, slice(part * size, (part + 1) * size)) for part in range(parts)]


def _map_tensors(function: Callable[..., Tensor], *batches: Any) -> Any:
    """Apply a function to corresponding tensors of batches; what is ``None``, and priorities, are left out."""
    first = batches[0]
    if first is None or isinstance(first, PrioritisedRows):
        return None
    if isinstance(first, Tensor):
        return function(*batches)
    columns = {part.name: [getattr(batch, part.name) for batch in batches] for part in fields(first)}
    return type(first)(**{name: _map_tensors(function, *column) for name, column in columns.items()})


class JointReplay(Stateful):
    """Replay buffer of joint time steps of parallel environments, in single precision.

    An entry is one time step of all environments. The next observation is read from the next entry, so that each
    observation is stored once.

    Parameters
    ----------
    capacity : int
        Largest number of time steps, at least 3.
    overwrite : bool
        Whether the oldest time step is overwritten where the buffer is full; otherwise no more are stored.
    """

    state_fields = ("appended", "_complete")

    def __init__(self, capacity: int, *, overwrite: bool = True) -> None:
        self.capacity = capacity
        self.appended = 0
        self._stored: dict[str, NDArray[Any]] = {}
        self._overwrite = overwrite
        self._complete = np.zeros(capacity, dtype=np.bool_)  # whether the action and the next observation are stored
        self._latest_has_action = False

    @property
    def full(self) -> bool:
        """Whether as many time steps are stored as the buffer can hold."""
        return self.appended >= self.capacity

    def append(
        self, observation: AgentObservation, action: Tensor | None = None, reward: NDArray[Any] | None = None
    ) -> None:
        """Store a time step ``[environments, ...]``, without action and reward after an episode's last slot."""
        if self.full and not self._overwrite:
            return
        now = self.appended % self.capacity
        self._complete[now] = False
        self._complete[now - 1] |= self._latest_has_action  # row -1 is the one before row 0
        self._latest_has_action = action is not None
        parts = {name: getattr(observation, name) for name in OBSERVATION_PARTS} | {"action": action}
        arrays = {name: values.numpy()[None] for name, values in parts.items() if values is not None}
        if reward is not None:
            arrays["reward"] = reward.astype(np.float32)[None]
        self._write(np.array([now]), arrays)
        self.appended += 1

    def draw(self, size: int, rng: np.random.Generator, spent: float = 0.0) -> Experience:
        """Draw ``size`` transitions uniformly with replacement, at any fraction ``spent`` of the budget."""
        step = rng.choice(np.flatnonzero(self._complete), size=size)
        return self._transitions(step, rng.integers(self._num_envs, size=size))

    @property
    def _num_envs(self) -> int:
        return self._stored["view"].shape[1]

    def held(self) -> IntArray:
        """Numbers of the transitions that can be drawn, step by step and environment by environment."""
        return np.flatnonzero(np.repeat(self._complete, self._num_envs)) if self.appended else np.zeros(0, np.int64)

    def latest(self, observation: AgentObservation, *_: Any) -> slice:
        """Numbers of the transitions that `append` stored last, of these observations."""
        first = (self.appended - 1) % self.capacity * len(observation.view)
        return slice(first, first + len(observation.view))

    def at(self, rows: IntArray) -> Experience:
        """Transitions by their numbers."""
        return self._transitions(*np.divmod(rows, self._num_envs))

    def _transitions(self, step: IntArray, environment: IntArray) -> Experience:
        return Experience(
            observation=self._observation(step, environment),
            action=self._take("action", step, environment),
            reward=self._take("reward", step, environment),
            next_observation=self._observation((step + 1) % self.capacity, environment),
        )

    def _observation(self, step: NDArray[Any], environment: NDArray[Any]) -> AgentObservation:
        return AgentObservation(
            **{name: self._take(name, step, environment) for name in OBSERVATION_PARTS if name in self._stored}
        )

    def _take(self, name: str, step: NDArray[Any], environment: NDArray[Any]) -> Tensor:
        return torch.from_numpy(self._stored[name][step, environment])

    def _write(self, index: NDArray[np.int64], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Store arrays ``[steps, ...]`` at these positions."""
        for name, values in arrays.items():
            if name not in self._stored:
                self._stored[name] = np.zeros((self.capacity, *values.shape[1:]), values.dtype)
            self._stored[name][index] = values

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All time steps, for a checkpoint."""
        stored = {f"stored.{name}": values[: self.appended].copy() for name, values in self._stored.items()}
        return {**stored, **super().arrays()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state that `arrays` returned."""
        super().restore(arrays)
        held = min(self.appended, self.capacity)
        if self._complete[held:].any():
            raise ValueError(f"_complete marks entries that are not stored; stored are {held}")
        for name, values in with_prefix(arrays, "stored").items():
            if len(values) != held or not np.isfinite(values).all():
                raise ValueError(f"stored.{name} has {len(values)} entries; allowed: {held}, all finite")
            self._write(np.arange(held), {name: values})

    def require_like(self, observation: AgentObservation, action: Tensor) -> None:
        """Refuse stored time steps that are not of the form of one, ``[environments, agents, ...]``."""
        parts = {name: getattr(observation, name) for name in OBSERVATION_PARTS} | {"action": action}
        wanted = {name: values.numpy() for name, values in parts.items() if values is not None}
        wanted["reward"] = np.zeros(action.shape[:2], np.float32)
        found = {name: (values.dtype, values.shape[1:]) for name, values in self._stored.items()}
        for name, form in {name: (values.dtype, values.shape) for name, values in wanted.items()}.items():
            if found and found.get(name) != form:
                raise ValueError(f"stored.{name} is {found.get(name)}; allowed: {form}")


class Prioritisation(Settings):
    """Prioritised replay of demonstrations and own transitions; the numbers are those of DQfD (Hester et al. 2018)."""

    exponent: float = Field(0.4, ge=0, le=1, description="of the priorities; 0 draws uniformly")
    importance_exponent: float = Field(
        0.6, ge=0, le=1, description="of the importance weights at the beginning; it grows to 1"
    )
    demonstration_bonus: Factor = Field(1.0, gt=0, description="added to the error of a demonstration, as its priority")
    own_bonus: Factor = Field(0.001, gt=0, description="added to the error of an own transition")


class DemonstrationReplay(Stateful):
    """Replay of demonstrations, which are never overwritten, and own transitions; both are drawn by priority.

    Parameters
    ----------
    own : JointReplay
        Buffer of own transitions.
    room : int
        Own transitions that it holds at most.
    demonstrations : Experience
    rule : Prioritisation
    """

    state_fields = ("own", "priorities")  # the demonstrations are given again

    def __init__(self, own: JointReplay, room: int, demonstrations: Experience, rule: Prioritisation) -> None:
        self.own, self._demonstrations, self._rule = own, demonstrations, rule
        self._count = len(demonstrations.action)
        constants = [rule.demonstration_bonus, rule.own_bonus]
        self.priorities = Priorities(np.repeat(constants, [self._count, room]), rule.exponent)

    def require_like(self, *transition: Any) -> None:
        """Refuse own time steps that are not of the form of one."""
        self.own.require_like(*transition)

    def append(self, *transition: Any) -> None:
        """Store what the buffer of own transitions stores; it is not replayed yet."""
        self.own.append(*transition)
        self.priorities.error[self._count :][self.own.latest(*transition)] = np.nan

    def draw(self, size: int, rng: np.random.Generator, spent: float = 0.0) -> Experience:
        """Draw ``size`` transitions by priority, with importance weights at a fraction ``spent`` of the budget."""
        held = np.concatenate([np.arange(self._count), self._count + self.own.held()])
        probability = self.priorities.probabilities(held)
        index = draw_by_probability(probability, size, rng)
        rows, start = held[index], self._rule.importance_exponent
        weight = (len(held) * probability[index]) ** -(start + (1.0 - start) * min(spent, 1.0))
        demonstrated = rows < self._count
        batch = take(self._demonstrations, rows[demonstrated])
        if not demonstrated.all():
            batch = concatenate([batch, self.own.at(rows[~demonstrated] - self._count)])
        batch = take(
            batch, np.argsort(np.argsort(~demonstrated, kind="stable"))
        )  # in the order in which they were drawn
        weights = torch.from_numpy((weight / weight.max()).astype(np.float32))
        drawn = PrioritisedRows(rows, weights, torch.from_numpy(demonstrated), self.priorities)
        return replace(batch, prioritised=drawn)
