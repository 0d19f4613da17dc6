"""Uniform replay of what happened to agents: a ring of rows, each holding one slot of all agents of one environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offloadopt.core import FloatArray

PARTS = ("view", "action", "reward", "following")


@dataclass(frozen=True)
class Drawn:
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

    def draw(self, size: int, rng: np.random.Generator) -> Drawn:
        """``size`` rows, drawn uniformly with replacement."""
        rows = rng.integers(self.count, size=size)
        return Drawn(*(torch.from_numpy(self._held[part][rows]) for part in PARTS))

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
