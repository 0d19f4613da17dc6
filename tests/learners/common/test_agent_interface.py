"""Interfaces of agents to a problem: views, global states, sizes of messages and decoded decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from offloadopt.errors import UnknownName
from offloadopt.learners.common.agent_interface import NUMBER_BYTES, AgentInterface


def test_views_and_the_global_state_are_those_of_the_problem_in_single_precision(aiming: Any) -> None:
    problem = aiming(agents=3)
    interface = AgentInterface(problem, None, None)
    instances = problem.sample(4, 0)
    observation = problem.observe(instances, problem.reset(instances))
    seen = interface.observe(observation, with_global_state=True)
    assert torch.equal(seen.view[..., 0], torch.from_numpy(observation["x"].astype(np.float32)))
    assert seen.global_state is not None
    assert torch.equal(seen.global_state, seen.view[..., 0])
    assert interface.observe(observation).global_state is None
    assert seen.allowed is None


def test_sizes_count_features_and_entries_of_one_agent(aiming: Any) -> None:
    interface = AgentInterface(aiming(agents=3), "blind", None)
    assert (interface.features, interface.entries, interface.global_features) == (1, 2, 3)
    assert (interface.view_bytes, interface.action_bytes) == (NUMBER_BYTES, 2 * NUMBER_BYTES)
    wider = interface.for_problem(aiming(agents=5))
    assert (wider.view, wider.problem.num_agents, wider.global_features) == ("blind", 5, 5)


def test_heads_actions_are_decoded_to_decisions_within_the_limits(aiming: Any) -> None:
    problem = aiming()
    interface = AgentInterface(problem, None, None)
    actions = torch.tensor([[[-torch.inf, 0.0], [0.5, torch.inf]]])
    instances = problem.sample(1, 0)
    decisions = interface.decode(problem.observe(instances, problem.reset(instances)), actions)
    np.testing.assert_allclose(decisions["aim"], [[[-1.0, 1.0], [1.0 + 2.0 * np.tanh(0.5), 3.0]]], rtol=1e-6)


def test_unknown_names_of_a_view_are_refused(aiming: Any) -> None:
    AgentInterface.check(aiming(), "own", None)
    with pytest.raises(UnknownName, match="no view 'owm'"):
        AgentInterface.check(aiming(), "owm", None)
