"""Utilities: their inputs and the scale of the team's reward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.vdn.ddpg import DdpgVdn
from offloadopt.learners.vdn.dqn import DqnVdn
from offloadopt.learners.vdn.utility import UtilityNetwork
from offloadopt.learners.vdn.vdn import Vdn

from toys.vdn_agents import experience, team_of

BOTH = pytest.mark.parametrize("learner", [DdpgVdn, DqnVdn])


@BOTH
@pytest.mark.parametrize("shared", [False, True])
def test_an_agents_term_depends_on_its_own_view_and_action_alone(aiming: Any, learner: type[Vdn], shared: bool) -> None:
    team = team_of(learner, aiming(agents=3), shared=shared)
    batch = experience(team)
    view, rows = (values.clone().requires_grad_() for values in (batch.observation.view, batch.action))
    terms = team.utilities(team.utility, AgentObservation(view), rows)
    for agent in range(3):
        for slope in torch.autograd.grad(terms[:, agent].sum(), (view, rows), retain_graph=True):
            others = [other for other in range(3) if other != agent]
            assert (slope[:, agent] != 0).any()
            assert (slope[:, others] == 0).all()


@BOTH
@pytest.mark.parametrize("shared", [False, True])
def test_a_new_scale_of_rewards_changes_no_value(aiming: Any, learner: type[Vdn], shared: bool) -> None:
    team, gamma = team_of(learner, aiming(), shared=shared), 0.9
    batch = experience(team)

    def total(networks: UtilityNetwork) -> torch.Tensor:
        center, deviation = team.utility.reward_scale()
        terms = team.utilities(networks, batch.observation, batch.action)
        found: torch.Tensor = terms.sum(dim=1) * deviation + center / (1 - gamma)
        return found

    team.utility.update_reward_statistics(torch.tensor([[100.0, 1.0], [140.0, 2.0]]), gamma, None)
    before = total(team.utility), total(team.target_utility)
    team.utility.update_reward_statistics(torch.tensor([[3.0, 4.0], [9.0, -3.0]]), gamma, team.target_utility)
    for held, now in zip(before, (total(team.utility), total(team.target_utility)), strict=True):
        torch.testing.assert_close(now, held, rtol=1e-4, atol=1e-3)
    paid = np.array([101.0, 142, 7, 6])
    expected = (batch.reward.sum(dim=1).numpy() - paid.mean()) / paid.std()
    np.testing.assert_allclose(team.utility.standardise_rewards(batch.reward), expected, rtol=1e-5)


def test_constant_rewards_make_no_unit(aiming: Any) -> None:
    utility = team_of(DqnVdn, aiming()).utility
    utility.update_reward_statistics(torch.full((50, 2), 1e5), 0.9, None)
    torch.testing.assert_close(utility.standardise_rewards(torch.full((1, 2), 1e5 + 2.0)), torch.full((1,), 4.0))
