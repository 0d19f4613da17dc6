"""Replay buffers: joint transitions of agents that are stored once per time step, and independent transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offloadopt.core import FloatArray
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.checkpoint import Stateful
from offloadopt.learners.common.torch_utils import with_prefix

OBSERVATION_PARTS = ("view", "allowed", "global_state")
TRANSITION_PARTS = ("view", "action", "reward", "next_view")


class _RingBuffer(Stateful):
    """Arrays of the latest entries by name; the oldest entry is overwritten take_first.

    Parameters
    ----------
    capacity : int
        Largest number of entries.
    """

    state_fields: ClassVar[tuple[str, ...]] = ("appended",)

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.appended = 0
        self._stored: dict[str, NDArray[Any]] = {}

    @property
    def count(self) -> int:
        """Number of stored entries."""
        return min(self.appended, self.capacity)

    def _write(self, index: NDArray[np.int64], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Store arrays ``[entries, ...]`` at these positions."""
        for name, values in arrays.items():
            if name not in self._stored:
                self._stored[name] = np.zeros((self.capacity, *values.shape[1:]), values.dtype)
            self._stored[name][index] = values

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All entries, for a checkpoint."""
        stored = {f"stored.{name}": values[: self.count].copy() for name, values in self._stored.items()}
        return {**stored, **super().arrays()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state that `arrays` returned."""
        super().restore(arrays)
        for name, values in with_prefix(arrays, "stored").items():
            self._write(np.arange(len(values)), {name: values})


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
    """

    observation: AgentObservation
    action: Tensor
    reward: Tensor
    next_observation: AgentObservation
    others: Experience | None = None
    next_action: Tensor | None = None

    @property
    def others_action(self) -> Tensor:
        """Actions ``[rows, agents, size]`` as the critics of the other agents observe them."""
        return self.action if self.others is None else self.others.action


def concatenate(batches: Sequence[Experience]) -> Experience:
    """Concatenate batches along their rows."""
    return Experience(
        observation=concatenate_observations([batch.observation for batch in batches]),
        action=torch.cat([batch.action for batch in batches]),
        reward=torch.cat([batch.reward for batch in batches]),
        next_observation=concatenate_observations([batch.next_observation for batch in batches]),
    )


def take_first(batch: Experience, rows: int) -> Experience:
    """Select the take_first rows of a batch."""
    return Experience(
        observation=_first_rows(batch.observation, rows),
        action=batch.action[:rows],
        reward=batch.reward[:rows],
        next_observation=_first_rows(batch.next_observation, rows),
    )


def split(batch: Experience, parts: int) -> list[Experience]:
    """Split a batch along its rows into parts of equal size."""
    observations, next_observations = _split(batch.observation, parts), _split(batch.next_observation, parts)
    columns = zip(observations, batch.action.chunk(parts), batch.reward.chunk(parts), next_observations, strict=True)
    return [Experience(*column) for column in columns]


def concatenate_observations(observations: Sequence[AgentObservation]) -> AgentObservation:
    """Concatenate observations along their rows."""
    columns = {name: [getattr(each, name) for each in observations] for name in OBSERVATION_PARTS}
    return AgentObservation(**{name: torch.cat(column) for name, column in columns.items() if column[0] is not None})


def _split(observation: AgentObservation, parts: int) -> list[AgentObservation]:
    columns = {name: getattr(observation, name) for name in OBSERVATION_PARTS}
    pieces = {name: values.chunk(parts) for name, values in columns.items() if values is not None}
    return [AgentObservation(**{name: piece[number] for name, piece in pieces.items()}) for number in range(parts)]


def _first_rows(observation: AgentObservation, rows: int) -> AgentObservation:
    columns = {name: getattr(observation, name) for name in OBSERVATION_PARTS}
    return AgentObservation(**{name: values[:rows] for name, values in columns.items() if values is not None})


class JointReplay(_RingBuffer):
    """Replay buffer of joint time steps of parallel environments, in single precision.

    An entry is one time step of all environments. The next observation is read from the next entry, so that each
    observation is stored once.

    Parameters
    ----------
    capacity : int
        Largest number of time steps, at least 3; then the oldest is overwritten.
    """

    state_fields = ("_complete",)

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._complete = np.zeros(capacity, dtype=np.bool_)  # whether the action and the next observation are stored
        self._latest_has_action = False

    def append(
        self, observation: AgentObservation, action: Tensor | None = None, reward: NDArray[Any] | None = None
    ) -> None:
        """Store a time step ``[environments, ...]``, without action and reward after an episode's last slot."""
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

    def draw(self, size: int, rng: np.random.Generator) -> Experience:
        """Draw ``size`` transitions uniformly with replacement."""
        step = rng.choice(np.flatnonzero(self._complete), size=size)
        environment = rng.integers(self._stored["view"].shape[1], size=size)
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


@dataclass(frozen=True)
class TransitionBatch:
    """A batch of transitions with unscaled views and rewards.

    Attributes
    ----------
    view, next_view : Tensor [rows, agents, features]
        Before and after the slot. After an episode's last slot, ``next_view`` is the one at which the episode was
        truncated.
    action : Tensor [rows, agents, numbers]
    reward : Tensor [rows, agents]
    """

    view: Tensor
    action: Tensor
    reward: Tensor
    next_view: Tensor


class TransitionReplay(_RingBuffer):
    """Replay buffer of whole transitions, in single precision.

    An entry is one transition of all agents of one environment.
    """

    def append(self, view: NDArray[Any], action: NDArray[Any], reward: NDArray[Any], next_view: NDArray[Any]) -> None:
        """Store a slot of several environments ``[environments, agents, ...]``."""
        index = np.arange(self.appended, self.appended + len(view)) % self.capacity
        columns = zip(TRANSITION_PARTS, (view, action, reward, next_view), strict=True)
        self._write(index, {name: values.astype(np.float32) for name, values in columns})
        self.appended += len(view)

    def draw(self, size: int, rng: np.random.Generator) -> TransitionBatch:
        """Draw ``size`` transitions uniformly with replacement."""
        rows = rng.integers(self.count, size=size)
        return TransitionBatch(*(torch.from_numpy(self._stored[name][rows]) for name in TRANSITION_PARTS))

    def views(self) -> FloatArray:
        """All stored views ``[count, agents, features]``."""
        return self._stored["view"][: self.count].astype(np.float64)

    def rewards(self) -> FloatArray:
        """All stored rewards ``[count, agents]``."""
        return self._stored["reward"][: self.count].astype(np.float64)
