"""Examples for imitation: each server's view, the expert's labels, and the expert's certified gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offloadopt.core import Demonstrations, FloatArray, Instances, Observation, Problem
from offloadopt.learners.common.checkpoint import like, restored
from offloadopt.learners.common.demonstrations import single_slots
from offloadopt.learners.dirs.ensemble import features_of, server_labels, view_tensor
from offloadopt.structures.assignment import AssignmentProblem


@dataclass(frozen=True)
class Examples:
    """Labelled views.

    Attributes
    ----------
    view : Tensor [count, servers, features]
    labels : Tensor [count, servers, tasks]
        1 where the expert runs the task on the server.
    gap : array [count]
        Certified relative gap of the expert's decision; ``inf`` where none is proved.
    """

    view: Tensor
    labels: Tensor
    gap: FloatArray

    @classmethod
    def of(cls, problem: AssignmentProblem[Any], demonstrations: Demonstrations) -> Self:
        """An expert's feasible solutions; what does not fit the problem, or is not feasible, is refused."""
        observations, decisions = single_slots(problem, demonstrations)
        labels = server_labels(problem.assignment(decisions), problem.servers)
        return cls(view_tensor(problem, observations), labels, demonstrations.solutions.gap)

    @classmethod
    def none(cls, problem: AssignmentProblem[Any]) -> Self:
        """No example."""
        view = torch.zeros(0, problem.servers, features_of(problem))
        return cls(view, torch.zeros(0, problem.servers, problem.tasks), np.zeros(0))

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Several sets, one after the other."""
        view, labels = (torch.cat([getattr(part, name) for part in parts]) for name in ("view", "labels"))
        return cls(view, labels, np.concatenate([part.gap for part in parts]))

    def first(self, count: int) -> Self:
        """The first ones."""
        return type(self)(self.view[:count], self.labels[:count], self.gap[:count])

    @property
    def count(self) -> int:
        """Number of examples."""
        return len(self.gap)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name."""
        return {"view": self.view.numpy(), "labels": self.labels.numpy(), "gap": self.gap}

    @classmethod
    def from_arrays(cls, problem: AssignmentProblem[Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Examples of what `arrays` gave; raise `ValueError` if they cannot be this problem's."""
        count, none = len(arrays["gap"]), cls.none(problem)
        view, labels = (
            restored(name, held.new_zeros(count, *held.shape[1:]), arrays)
            for name, held in (("view", none.view), ("labels", none.labels))
        )
        gap = like("gap", np.full(count, np.inf), arrays)
        if not (gap >= 0).all() or not ((labels == 0) | (labels == 1)).all():
            raise ValueError("a gap is negative, or a label not 0 or 1")
        return cls(view, labels, gap)

    def certificate(self) -> dict[str, float | None]:
        """The expert's mean and worst certified gap; ``None`` if some decision has none."""
        certified = self.count > 0 and bool(np.isfinite(self.gap).all())
        return {
            "expert_gap_mean": float(self.gap.mean()) if certified else None,
            "expert_gap_worst": float(self.gap.max()) if certified else None,
        }


def first_observation(problem: Problem[Any], instances: Instances) -> Observation:
    """Observation before the first slot."""
    return problem.observe(instances, problem.reset(instances))
