"""Which problems continuous-control libraries can be given, and through which view."""

from __future__ import annotations

from abc import ABC
from typing import Any

from offloadopt.core import Problem
from offloadopt.envs.joint import AgentsView
from offloadopt.envs.scores import ScoreView
from offloadopt.envs.views import ControlView
from offloadopt.errors import Unsupported
from offloadopt.structure import AgentProblem, AssignmentProblem


class ControlProblem(ABC):  # noqa: B024
    """An `AssignmentProblem` or an `AgentProblem`: one class to name what either structure makes possible."""


ControlProblem.register(AssignmentProblem)  # type: ignore[type-abstract]
ControlProblem.register(AgentProblem)  # type: ignore[type-abstract]


def control_view(problem: Problem[Any], seen: str | None = None) -> ControlView:
    """`ScoreView` of servers, or `AgentsView` of agents that see their view ``seen``, by default the first."""
    if isinstance(problem, AgentProblem):
        return AgentsView(problem, seen)
    if isinstance(problem, AssignmentProblem):
        if seen is not None:
            raise Unsupported(f"view = {seen!r}: the servers of {problem.name!r} have one view; allowed: none")
        return ScoreView.of(problem)
    raise Unsupported(f"problem {problem.name!r} has neither servers nor agents; it needs a ControlProblem")
