"""What independent agents have in common: standardisation, targets of batch normalisation, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget
from offloadopt.errors import InvalidInput, UnknownName, Unsupported
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.independent.ddpg import ActorsAndCritics, Ddpg

SMALL: dict[str, Any] = {
    "hidden": (8, 6),
    "num_envs": 4,
    "warm_up": 10,
    "batch_size": 16,
    "buffer_size": 64,
    "actor_delay": 5,
}


@pytest.mark.parametrize("shared", [False, True])
def test_features_and_rewards_are_standardised_until_the_first_gradient_step(aiming: Any, shared: bool) -> None:
    """Agent 1's views and rewards are three times those of agent 0."""
    agents = ActorsAndCritics(Ddpg(**SMALL, gamma=0.0, shared=shared), aiming(), seeded_generator(0))
    factor = torch.tensor([1.0, 3.0])
    values = torch.linspace(-1.0, 1.0, 101)[:, None] * factor  # [rows, agents]
    observations, rewards = [AgentObservation(values[..., None])] * 2, torch.stack([values, values])
    agents.update_statistics(observations, rewards, False)
    later = [AgentObservation(100.0 + values[..., None])]
    agents.update_statistics(later, rewards[:1] - 50.0, True)
    spread = values.flatten().std(correction=0) if shared else values.std(dim=0, correction=0)
    batch = Experience(observations[0], torch.zeros(101, 2, 2), values, observations[0])
    torch.testing.assert_close(agents.target(batch), values / spread)
    for networks in (agents.actor, agents.critic, *agents.targets.values()):
        torch.testing.assert_close(networks.center, torch.zeros(agents.copies, 1), atol=1e-5, rtol=0)
        quartile = values.flatten().quantile(0.75)[None] if shared else 0.5 * factor
        torch.testing.assert_close(networks.scale[:, 0], 2.0 * quartile / 1.349, rtol=1e-2, atol=0)


def test_rewards_that_hardly_differ_are_not_blown_up(aiming: Any) -> None:
    agents = ActorsAndCritics(Ddpg(**SMALL, gamma=0.0), aiming(), seeded_generator(0))
    observation = AgentObservation(torch.rand(9, 2, 1))
    agents.update_statistics([observation], 1e-12 * torch.rand(1, 9, 2), False)
    batch = Experience(observation, torch.zeros(9, 2, 2), torch.full((9, 2), -4.0), observation)
    torch.testing.assert_close(agents.target(batch), batch.reward)


def test_statistics_of_targets_follow_as_softly_as_their_weights(aiming: Any) -> None:
    agents = ActorsAndCritics(Ddpg(**SMALL, batch_norm=True, tau=0.25), aiming(), seeded_generator(0))
    batch_statistics = agents.critic.norms[0]
    batch_statistics.mean.fill_(1.0)
    agents.update_targets(0.0, torch.zeros(2))
    agents.update_targets(0.0, torch.zeros(2))
    mean = agents.targets["critic"].norms[0].mean
    torch.testing.assert_close(mean, torch.full_like(mean, 1 - 0.75**2))


def test_what_it_cannot_learn_is_refused(aiming: Any) -> None:
    with pytest.raises(Unsupported, match="has options that are not always allowed"):
        Ddpg().fit(registry.problem("battery_d2d"))
    with pytest.raises(UnknownName, match="no view 'onw' of aiming"):
        Ddpg(view="onw").fit(aiming())
    with pytest.raises(InvalidInput, match="buffer_size = 8; allowed: at least 3 num_envs = 48"):
        Ddpg(buffer_size=8)


def test_the_warm_up_is_whole_rounds_of_random_actions(aiming: Any) -> None:
    """Weights stay as they were drawn for 13 episodes of 5 slots, and change afterwards."""
    problem, learner = aiming(), Ddpg(**{**SMALL, "actor_delay": 0, "standardise": False})
    drawn = ActorsAndCritics(learner, problem, seeded_generator(2)).actor.arrays()
    for slots, same in ((65, True), (66, False)):
        trained = learner.fit(problem, budget=Budget(steps=8 * slots), seed=2).actor.arrays()
        assert (trained["weights.0"] == drawn["weights.0"]).all() == same
