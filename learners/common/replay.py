"""Replay of what all agents saw, did and were paid together: a ring of moments of environments side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offloadopt.core import FloatArray
from offloadopt.learners.common.agent_interface import AgentObservation

SEEN = ("view", "allowed", "whole")


@dataclass(frozen=True)
class Experience:
    """Transitions of all agents. Whatever makes them, of rows that happened or in their place, can be learned from.

    Attributes
    ----------
    seen, following : AgentObservation
        Before and after a slot. What follows an episode's last slot is what was seen when it was cut off.
    action : Tensor [rows, agents, size]
        Rows of `Relaxed`.
    reward : Tensor [rows, agents]
    others : Experience, optional
        What stands for the others' experience where critics do not know it; none: they know it.
    next_action : Tensor [rows, agents, size], optional
        What agents are taken to do next; none: whoever learns has to say.
    """

    seen: AgentObservation
    action: Tensor
    reward: Tensor
    following: AgentObservation
    others: Experience | None = None
    next_action: Tensor | None = None

    @property
    def known(self) -> Experience:
        """What critics know of the agents other than their own."""
        return self if self.others is None else self.others


def joined(parts: Sequence[Experience]) -> Experience:
    """The rows of several experiences, one after the other."""
    return Experience(
        seen=side_by_side([part.seen for part in parts]),
        action=torch.cat([part.action for part in parts]),
        reward=torch.cat([part.reward for part in parts]),
        following=side_by_side([part.following for part in parts]),
    )


def first(batch: Experience, rows: int) -> Experience:
    """The first rows."""
    return Experience(_rows(batch.seen, rows), batch.action[:rows], batch.reward[:rows], _rows(batch.following, rows))


def split(batch: Experience, parts: int) -> list[Experience]:
    """Equal parts, one after the other."""
    seen, following = _split(batch.seen, parts), _split(batch.following, parts)
    columns = zip(seen, batch.action.chunk(parts), batch.reward.chunk(parts), following, strict=True)
    return [Experience(*column) for column in columns]


def _split(seen: AgentObservation, parts: int) -> list[AgentObservation]:
    columns = {name: getattr(seen, name) for name in SEEN}
    pieces = {name: values.chunk(parts) for name, values in columns.items() if values is not None}
    return [AgentObservation(**{name: piece[number] for name, piece in pieces.items()}) for number in range(parts)]


def _rows(seen: AgentObservation, rows: int) -> AgentObservation:
    columns = {name: getattr(seen, name) for name in SEEN}
    return AgentObservation(**{name: values[:rows] for name, values in columns.items() if values is not None})


def side_by_side(moments: Sequence[AgentObservation]) -> AgentObservation:
    """The rows of several moments, one after the other."""
    columns = {name: [getattr(moment, name) for moment in moments] for name in SEEN}
    return AgentObservation(**{name: torch.cat(column) for name, column in columns.items() if column[0] is not None})


class JointReplay:
    """The latest moments, in single precision. What followed a moment is the next one, so it is held once.

    Parameters
    ----------
    room : int
        Moments of all environments that are held, at least 3; then the oldest gives way.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.appended = 0
        self._held: dict[str, NDArray[Any]] = {}
        self._complete = np.zeros(room, dtype=np.bool_)  # whether it was decided and what followed is held
        self._decided = False  # whether the newest was

    @property
    def count(self) -> int:
        """Moments that are held."""
        return min(self.appended, self.room)

    def append(self, seen: AgentObservation, action: Tensor | None = None, reward: NDArray[Any] | None = None) -> None:
        """Hold a moment ``[environments, ...]``: with what was done, or without after an episode's last slot."""
        now = self.appended % self.room
        self._complete[now] = False
        self._complete[now - 1] |= self._decided  # row -1 is the one before row 0
        self._decided = action is not None
        parts = {name: getattr(seen, name) for name in SEEN} | {"action": action}
        arrays = {name: values.numpy() for name, values in parts.items() if values is not None}
        if reward is not None:
            arrays["reward"] = reward.astype(np.float32)
        for name, values in arrays.items():
            if name not in self._held:
                self._held[name] = np.zeros((self.room, *values.shape), values.dtype)
            self._held[name][now] = values
        self.appended += 1

    def draw(self, size: int, rng: np.random.Generator) -> Experience:
        """``size`` transitions, drawn uniformly with replacement."""
        moment = rng.choice(np.flatnonzero(self._complete), size=size)
        environment = rng.integers(self._held["view"].shape[1], size=size)
        return Experience(
            seen=self._seen(moment, environment),
            action=self._take("action", moment, environment),
            reward=self._take("reward", moment, environment),
            following=self._seen((moment + 1) % self.room, environment),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All moments, for a checkpoint between episodes."""
        held = {f"replay.{name}": values[: self.count].copy() for name, values in self._held.items()}
        return {**held, "replay.complete": self._complete.copy(), "replay.appended": np.array([self.appended])}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `arrays` gave."""
        self.appended = int(arrays["replay.appended"][0])
        self._complete = arrays["replay.complete"].copy()
        for name in (*SEEN, "action", "reward"):
            if (values := arrays.get(f"replay.{name}")) is not None:
                self._held[name] = np.zeros((self.room, *values.shape[1:]), values.dtype)
                self._held[name][: self.count] = values

    def _seen(self, moment: NDArray[Any], environment: NDArray[Any]) -> AgentObservation:
        return AgentObservation(**{name: self._take(name, moment, environment) for name in SEEN if name in self._held})

    def _take(self, name: str, moment: NDArray[Any], environment: NDArray[Any]) -> Tensor:
        return torch.from_numpy(self._held[name][moment, environment])


PARTS = ("view", "action", "reward", "following")


@dataclass(frozen=True)
class TransitionBatch:
    """Transitions, with views as agents saw them and rewards as they were paid.

    Attributes
    ----------
    view, following : Tensor [rows, agents, features]
        Before and after the slot. What follows an episode's last slot is what the agents saw when it was cut off.
    action : Tensor [rows, agents, numbers]
    reward : Tensor [rows, agents]
    """

    view: Tensor
    action: Tensor
    reward: Tensor
    following: Tensor


class Transitions:
    """The latest rows, in single precision.

    Parameters
    ----------
    room : int
        Rows that are held; then the oldest gives way.
    agents, features, numbers : int
        Shape of a view and of an action.
    """

    def __init__(self, room: int, agents: int, features: int, numbers: int) -> None:
        self.room = room
        self.appended = 0
        shapes = {"view": (features,), "action": (numbers,), "reward": (), "following": (features,)}
        self._held = {part: np.zeros((room, agents, *shapes[part]), np.float32) for part in PARTS}

    @property
    def count(self) -> int:
        """Rows that are held."""
        return min(self.appended, self.room)

    def append(self, view: NDArray[Any], action: NDArray[Any], reward: NDArray[Any], following: NDArray[Any]) -> None:
        """Hold a slot of several environments ``[environments, agents, ...]``."""
        rows = np.arange(self.appended, self.appended + len(view)) % self.room
        for part, values in zip(PARTS, (view, action, reward, following), strict=True):
            self._held[part][rows] = values
        self.appended += len(view)

    def draw(self, size: int, rng: np.random.Generator) -> TransitionBatch:
        """``size`` rows, drawn uniformly with replacement."""
        rows = rng.integers(self.count, size=size)
        return TransitionBatch(*(torch.from_numpy(self._held[part][rows]) for part in PARTS))

    def views(self) -> FloatArray:
        """[count, agents, features] all views held."""
        return self._held["view"][: self.count].astype(np.float64)

    def rewards(self) -> FloatArray:
        """[count, agents] all rewards held."""
        return self._held["reward"][: self.count].astype(np.float64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All rows, for a checkpoint."""
        held = {f"replay.{part}": self._held[part][: self.count].copy() for part in PARTS}
        return {**held, "replay.appended": np.array([self.appended])}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `arrays` gave."""
        self.appended = int(arrays["replay.appended"][0])
        for part in PARTS:
            self._held[part][: self.count] = arrays[f"replay.{part}"]
