"""Choice of the flat-vector view by a problem's structure, for learners of reinforcement-learning libraries."""

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
    """An `AssignmentProblem` or an `AgentProblem`: the problems that have a flat-vector view."""


ControlProblem.register(AssignmentProblem)  # type: ignore[type-abstract]
ControlProblem.register(AgentProblem)  # type: ignore[type-abstract]


def control_view(problem: Problem[Any], name: str | None = None, *, continuous: bool = False) -> ControlView:
    """Choose the view of a problem: `ScoreView` of servers, `AgentsView` of agents or where their view is named.

    Parameters
    ----------
    problem : ControlProblem
    name : str, optional
        Name of the agents' view; the problem's first unless given. Servers have none, and a problem with both is seen
        by its servers unless it is given.
    continuous : bool
        Whether actions are real numbers also where all decisions are integers.

    Raises
    ------
    Unsupported
        If the problem has neither servers nor agents, or no view of that name.
    """
    require_control(problem, name)
    if _has_scores(problem, name):
        return ScoreView.of(problem)
    return AgentsView(problem, name, continuous=continuous)


def require_control(problem: Problem[Any], name: str | None = None) -> None:
    """Refuse problems and names without a view, without sampling the statistics of a `ScoreView`."""
    if _has_scores(problem, name):
        return
    if isinstance(problem, AgentProblem):
        AgentsView(problem, name)
    elif not isinstance(problem, AssignmentProblem):
        raise Unsupported(f"problem {problem.name!r} has neither servers nor agents; it needs a ControlProblem")
    else:
        raise Unsupported(f"view = {name!r}: the servers of {problem.name!r} have one view; allowed: none")


def _has_scores(problem: Problem[Any], name: str | None) -> bool:
    return isinstance(problem, AssignmentProblem) and name is None
