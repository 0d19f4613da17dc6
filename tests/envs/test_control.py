"""Each structure gets the view that it has, and problems of neither structure are refused."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from offloadopt import registry
from offloadopt.envs import AgentsView, ScoreView
from offloadopt.envs.control import ControlProblem, control_view, require_control
from offloadopt.errors import UnknownName, Unsupported


@pytest.fixture(scope="module")
def agents() -> Any:
    return registry.problem("carbon_mimo", horizon=3, users=2, antennas=3)


@pytest.fixture(scope="module")
def servers() -> Any:
    return registry.problem("multi_server", users=3)


def test_agents_are_seen_through_the_named_view_or_their_first(agents: Any) -> None:
    view = control_view(agents)
    assert isinstance(view, AgentsView)
    assert view.name == next(iter(agents.views))
    assert control_view(agents, "full").name == "full"  # type: ignore[attr-defined]


def test_servers_are_seen_through_their_scores(servers: Any) -> None:
    assert isinstance(control_view(servers), ScoreView)
    assert isinstance(servers, ControlProblem)


def test_a_view_that_a_problem_does_not_have_is_refused(agents: Any, servers: Any) -> None:
    with pytest.raises(Unsupported, match=r"^view = 'full': the servers of 'multi_server' have one view"):
        control_view(servers, "full")
    with pytest.raises(UnknownName, match="no view 'ful' of carbon_mimo; did you mean 'full'"):
        require_control(agents, "ful")


def test_a_problem_without_servers_and_agents_is_refused(toy: ModuleType) -> None:
    queues = registry.problem("queues")
    assert not isinstance(queues, ControlProblem)
    with pytest.raises(Unsupported, match="problem 'queues' has neither servers nor agents"):
        require_control(queues)
