"""Centralised critics: their inputs and the scale of rewards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt.learners.maddpg.critic import CentralisedCritic

from toys.maddpg_agents import agents_of, experience


@pytest.mark.parametrize("shared", [False, True])
def test_an_agents_value_depends_on_its_own_action_once_and_on_all_others(aiming: Any, shared: bool) -> None:
    agents = agents_of(aiming(agents=3), shared=shared)
    batch = experience(agents)
    own, joint = (batch.action.clone().requires_grad_() for _ in range(2))
    values = agents.critic(batch.observation, own, joint)
    for agent in range(3):
        by_own, by_joint = torch.autograd.grad(values[:, agent].sum(), (own, joint), retain_graph=True)
        others = [other for other in range(3) if other != agent]
        assert (by_own[:, others] == 0).all()
        assert (by_joint[:, agent] == 0).all()
        assert (by_own[:, agent] != 0).any()
        assert all((by_joint[:, other] != 0).any() for other in others)


def test_a_new_scale_of_rewards_changes_no_value(aiming: Any) -> None:
    agents = agents_of(aiming(), shared=False)
    critic, target, gamma = agents.critic, agents.target_critic, 0.9
    batch = experience(agents)
    assert batch.observation.global_state is not None

    def values(networks: CentralisedCritic) -> Tensor:
        center, deviation = critic.reward_scale()
        return networks(batch.observation, batch.action, batch.action) * deviation + center / (1 - gamma)

    critic.update_reward_statistics(torch.tensor([[100.0, 1.0], [140.0, 2.0]]), gamma, None)
    before = values(critic), values(target)
    critic.update_reward_statistics(torch.tensor([[3.0, 4.0], [9.0, -3.0]]), gamma, target)
    for held, now in zip(before, (values(critic), values(target)), strict=True):
        torch.testing.assert_close(now, held, rtol=1e-4, atol=1e-3)
    paid = np.array([[100.0, 140, 3, 9], [1, 2, 4, -3]])
    expected = (batch.reward.numpy() - paid.mean(axis=1)) / paid.std(axis=1)
    np.testing.assert_allclose(critic.standardise_rewards(batch.reward), expected, rtol=1e-5)


def test_constant_rewards_make_no_unit(aiming: Any) -> None:
    critic = agents_of(aiming(), shared=True).critic
    critic.update_reward_statistics(torch.full((50, 2), 1e5), 0.9, None)
    critic.update_reward_statistics(torch.full((50, 2), 1e5), 0.9, None)
    torch.testing.assert_close(critic.standardise_rewards(torch.full((1, 2), 1e5 + 2.0)), torch.full((1, 2), 2.0))
