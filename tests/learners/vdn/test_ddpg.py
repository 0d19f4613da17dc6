"""VDN over DDPG: targets and gradients of the actors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.vdn.ddpg import DdpgVdn, DdpgVdnAgents

from toys.vdn_agents import PAID, by_hand, experience, in_deviations, team_of


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("horizon", [1, 5])
def test_the_target_of_ddpg_is_the_teams_reward_and_the_sum_of_what_follows(
    aiming: Any, horizon: int, shared: bool
) -> None:
    team: DdpgVdnAgents = team_of(DdpgVdn, aiming(horizon=horizon), gamma=0.9, shared=shared, standardise=False)
    team.utility.update_reward_statistics(PAID, 0.9, None)
    batch = experience(team)
    expected = in_deviations(batch, PAID)
    view = batch.next_observation.view.double().numpy()
    if horizon > 1:  # a horizon only cuts off; after a problem's one slot nothing follows
        for agent, copy in enumerate((0, 0) if shared else (0, 1)):
            act = np.tanh(by_hand(team.target_actor.network, copy, view[:, agent]))
            signal = np.concatenate([view[:, agent], act], axis=-1)
            expected = expected + 0.9 * by_hand(team.target_utility.network, copy, signal)[:, 0]
    np.testing.assert_allclose(team.target(batch, seeded_generator(0)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_actors_step_up_their_own_terms_and_leave_these_as_they_are(aiming: Any) -> None:
    team: DdpgVdnAgents = team_of(DdpgVdn, aiming(), shared=False, actor_rate=1e-3, output_weight=0.0)
    batch, held = experience(team, rows=50), [parameter.clone() for parameter in team.utility.parameters()]

    def value() -> torch.Tensor:
        own = torch.tanh(team.actor(batch.observation.view[None])[0][0])
        return team.utilities(team.utility, batch.observation, own).mean(dim=0)

    before = value()
    for _ in range(20):
        team.update_actors(batch, 0.0, seeded_generator(0))
    assert (value() > before + 1e-3).all()
    for parameter, old in zip(team.utility.parameters(), held, strict=True):
        assert torch.equal(parameter, old)
