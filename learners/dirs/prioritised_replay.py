"""Prioritised replay of demonstrations and an agent's own data: equation (16) of DIRS (arXiv:2005.12364).

Transition ``i`` is drawn with probability ``P(i) = p_i^a / sum_k p_k^a``, where ``p_i = |dJ_i| + eps`` and ``dJ_i`` is
by how much the agents' losses on it changed, on average, in the update that replayed it last. ``eps`` is larger for
demonstrations than for own data.

The paper leaves open the priority of a transition that was not replayed yet, and which one is overwritten once the
buffer is full. Here ``dJ_i`` of a new transition is the largest one known (see `Priorities`), and a new transition
overwrites the oldest own one; demonstrations, which Algorithm 1 keeps, are held beside the
room for own data and never overwritten. With the paper's numbers (256 demonstrations, 300 own transitions, room for
1024) nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offloadopt.core import FloatArray, IntArray
from offloadopt.learners.common.checkpoint import like, restored
from offloadopt.learners.common.replay import Priorities, draw_by_probability


class Replay:
    """Views and labels of transitions: first the demonstrations, then own data.

    Parameters
    ----------
    view : Tensor [demonstrations, servers, features]
    labels : Tensor [demonstrations, servers, tasks]
    room : int
        How many own transitions are held.
    exponent : float
        ``a`` of (16): 0 draws uniformly.
    demonstration_priority, own_priority : float
        ``eps`` of demonstrations and of own data.
    """

    def __init__(
        self,
        view: Tensor,
        labels: Tensor,
        *,
        room: int,
        exponent: float,
        demonstration_priority: float,
        own_priority: float,
    ) -> None:
        self.demonstrations = len(view)
        self.view = torch.cat([view, view.new_zeros(room, *view.shape[1:])])
        self.labels = torch.cat([labels, labels.new_zeros(room, *labels.shape[1:])])
        self.appended = 0
        self._room = room
        is_own = np.arange(len(self.view)) >= self.demonstrations
        self._priorities = Priorities(np.where(is_own, own_priority, demonstration_priority), exponent)

    @property
    def count(self) -> int:
        """Number of transitions held."""
        return self.demonstrations + min(self.appended, self._room)

    def append(self, view: Tensor, labels: Tensor) -> None:
        """Hold an own transition ``[servers, features]`` and ``[servers, tasks]``, in place of the oldest if full."""
        row = self.demonstrations + self.appended % self._room
        self.view[row], self.labels[row] = view, labels
        self._priorities.forget(slice(row, row + 1))
        self.appended += 1

    def probabilities(self) -> FloatArray:
        """``P(i) [count]``, equation (16)."""
        return self._priorities.probabilities(slice(self.count))

    def draw(self, size: int, rng: np.random.Generator) -> IntArray:
        """Row numbers ``[size]``, drawn with replacement."""
        return draw_by_probability(self.probabilities(), size, rng)

    def update(self, rows: IntArray, change: FloatArray) -> None:
        """Set ``dJ`` of replayed transitions ``[size]``; its sign does not matter."""
        self._priorities.update(rows, change)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays that change in training: all but the demonstrations themselves."""
        own = slice(self.demonstrations, self.count)
        return {
            "view": self.view[own].numpy().copy(),
            "labels": self.labels[own].numpy().copy(),
            "change": self._priorities.error[: self.count].copy(),
            "appended": np.array(self.appended),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state that `arrays` returned."""
        self.appended = restored("appended", self.appended, arrays)
        own = slice(self.demonstrations, self.count)
        self.view[own] = restored("view", self.view[own], arrays)
        self.labels[own] = restored("labels", self.labels[own], arrays)
        error = self._priorities.error.copy()
        error[: self.count] = like("change", error[: self.count], arrays)
        self._priorities.restore({"error": error})
