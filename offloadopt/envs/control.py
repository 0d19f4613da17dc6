"""Which problems the libraries' learners can be given, and through which view."""

from __future__ import annotations

from abc import ABC
from typing import Any

from offloadopt.core import Problem
from offloadopt.envs.agents_view import AgentsView
from offloadopt.envs.score_view import ScoreView
from offloadopt.envs.views import ControlView
from offloadopt.errors import Unsupported
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.assignment import AssignmentProblem


class ControlProblem(ABC):  # noqa: B024
    """An `AssignmentProblem` or an `AgentProblem`: one class to name what either structure makes possible."""


ControlProblem.register(AssignmentProblem)  # type: ignore[type-abstract]
ControlProblem.register(AgentProblem)  # type: ignore[type-abstract]


def control_view(problem: Problem[Any], seen: str | None = None, *, continuous: bool = False) -> ControlView:
    """`ScoreView` of servers, or `AgentsView` of agents that see their view ``seen``, by default the first.

    ``continuous`` asks for actions that are numbers also where all decisions are whole ones.
    """
    require_control(problem, seen)
    return (
        AgentsView(problem, seen, continuous=continuous) if isinstance(problem, AgentProblem) else ScoreView.of(problem)
    )


def require_control(problem: Problem[Any], seen: str | None = None) -> None:
    """Refuse what has no such view, without drawing the sample that a `ScoreView` is made of."""
    if isinstance(problem, AgentProblem):
        AgentsView(problem, seen)
    elif not isinstance(problem, AssignmentProblem):
        raise Unsupported(f"problem {problem.name!r} has neither servers nor agents; it needs a ControlProblem")
    elif seen is not None:
        raise Unsupported(f"view = {seen!r}: the servers of {problem.name!r} have one view; allowed: none")
