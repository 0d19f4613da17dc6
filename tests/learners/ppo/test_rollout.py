"""Roll-outs against episodes simulated by hand, and advantages against their definition."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from offloadopt.envs import Episodes
from offloadopt.envs.rewards import agent_reward
from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation
from offloadopt.learners.ppo.rollout import Collector, advantages

from toys.clues import guess


def test_rollouts_continue_their_episodes_and_hold_what_the_problem_says() -> None:
    interface = AgentInterface(guess(slots=5, agents=2), None, None)
    outputs = torch.randn((3, 2, interface.heads.outputs), generator=torch.Generator().manual_seed(0))
    spread = interface.heads.initial_spread(0.5)[None]  # of one network for all agents
    actions = interface.heads.sample(outputs, spread, torch.Generator().manual_seed(1))

    def act(observation: AgentObservation, memory: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        slot = torch.zeros(1) if memory is None else memory + 1.0
        return actions, slot.expand(3, 2), slot

    collector = Collector(interface, 3, agent_reward, with_global_state=False)
    rollouts = [collector.collect(act, 3, seed=7), collector.collect(act, 3, seed=8)]
    assert [len(rollout.reward) for rollout in rollouts] == [3, 2]
    assert collector.between_episodes
    assert not any(rollout.whole_episodes for rollout in rollouts)
    slots = torch.cat([rollout.log_probability for rollout in rollouts])[:, 0, 0]
    assert slots.tolist() == [0, 1, 2, 3, 4]  # the memory goes on within an episode
    episodes = Episodes(interface.problem, 3, 7)
    episodes.begin()
    views, rewards = [episodes.observation["clue"]], []
    while not episodes.ended:
        rewards.append(-episodes.step(interface.decode(episodes.observation, actions)).agent_cost)
        views.append(episodes.observation["clue"])
    np.testing.assert_allclose(torch.cat([rollout.reward for rollout in rollouts]), rewards, rtol=1e-6)
    for rollout, expected in zip(rollouts, (views[:4], views[3:]), strict=True):
        np.testing.assert_allclose(rollout.view[..., 0], expected, rtol=1e-6)
    again = collector.collect(act, 9, seed=8)
    assert len(again.reward) == 5
    assert again.whole_episodes
    assert again.log_probability[0, 0, 0] == 0.0
    assert not torch.equal(again.view[0], rollouts[0].view[0])


def test_advantages_are_discounted_sums_of_td_errors() -> None:
    rng = np.random.default_rng(0)
    reward, value, gamma, gae_lambda = rng.normal(size=(6, 3, 2)), rng.normal(size=(7, 3, 2)), 0.9, 0.7
    expected = np.zeros_like(reward)
    for slot in range(6):
        for later in range(slot, 6):
            td_error = reward[later] + gamma * value[later + 1] - value[later]
            expected[slot] += (gamma * gae_lambda) ** (later - slot) * td_error
    found = advantages(torch.from_numpy(reward), torch.from_numpy(value), gamma, gae_lambda)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_with_lambda_one_returns_are_discounted_rewards_and_the_last_value() -> None:
    reward, value = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([5.0, -1.0, 7.0, 10.0])
    returns = advantages(reward, value, 0.5, 1.0) + value[:-1]
    torch.testing.assert_close(returns, torch.tensor([1 + 1 + 1 + 1.25, 2 + 2 + 2.5, 4 + 5.0]))
