"""Central networks, and the gradients of their outputs, against numbers computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.ddpg_discrete.networks import (
    CentralNetwork,
    JointNetwork,
    LogitHead,
    SharedNetwork,
    SigmoidHead,
    counterfactual_values,
    nearness,
)


def test_nearness_is_one_at_a_level_and_shared_between_neighbours() -> None:
    near = nearness(torch.tensor([0.0, 0.25, 0.3, 1.0]), 5)
    expected = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0.8, 0.2, 0, 0], [0, 0, 0, 0, 1]]
    torch.testing.assert_close(near, torch.tensor(expected, dtype=torch.float32))


def test_shared_networks_follow_the_order_of_the_agents() -> None:
    head = LogitHead(5, (None, None, 4))
    critic = SharedNetwork(5, head.critic_features, head.choice_slices, (8, 8), 1)
    critic.initialise(seeded_generator(0))
    state, action = torch.rand((6, 5, 5)), head.critic_input(torch.rand((6, 5, 3)))
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(critic(state, action)[:, order], critic(state[:, order], action[:, order]))


def test_a_shared_critic_counts_who_chooses_the_same() -> None:
    head = LogitHead(3, (None, 4))
    critic = SharedNetwork(2, head.critic_features, head.choice_slices, (6,), 1)
    critic.initialise(seeded_generator(0))
    state = torch.rand((1, 3, 2))
    alone, joined, elsewhere = (torch.tensor([[[0.5, 0.0], [0.5, 1 / 3], [0.5, at]]]) for at in (1.0, 0.0, 2 / 3))
    with torch.no_grad():
        said = [critic(state, head.critic_input(action))[0, 0] for action in (alone, joined, elsewhere)]
    same = critic.before[0](torch.cat([state, head.critic_input(joined)], dim=-1)).relu()[0]
    pooled = (same[0] + same[2]) / 2.0
    signal = torch.cat([same[0], same.mean(dim=0), pooled])
    for layer in critic.after[:-1]:
        signal = layer(signal).relu()
    torch.testing.assert_close(said[1], critic.after[-1](signal).detach())
    assert said[0] != said[1]


def test_an_actors_options_are_read_as_the_likeliest_and_seen_by_their_number() -> None:
    head = LogitHead(5, (None, 4, None))
    assert (head.outputs, head.critic_features) == (6, 14)
    signal = torch.tensor([[0.0, 2.0, -1.0, 3.0, 0.5, 0.0]])  # two quantities, then four options
    shares = head.shares(signal)
    np.testing.assert_allclose(shares, [[0.5, 1 / 3, 1 / (1 + np.exp(-2.0))]], rtol=1e-6)
    critic_input = head.critic_input(torch.from_numpy(shares).float())
    torch.testing.assert_close(critic_input[0, :5], torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]))
    torch.testing.assert_close(critic_input[0, -4:], torch.tensor([0.0, 1.0, 0.0, 0.0]))
    explored = head.explore(signal.expand(4000, 6), 0.4, np.random.default_rng(0))
    assert np.mean(explored[:, 1] != shares[0, 1]) == pytest.approx(0.4 * 3 / 4, abs=0.03)


class Waves(CentralNetwork):
    """A critic that is a smooth function of actions alone."""

    def __init__(self, features: int) -> None:
        super().__init__(1)
        self.weight = torch.randn((features,), generator=seeded_generator(1))

    def forward(self, state: torch.Tensor, action: torch.Tensor | None = None) -> torch.Tensor:
        assert action is not None
        return (action * self.weight).sum(dim=-1, keepdim=True).sin() + 0.0 * state[..., :1]


@pytest.mark.parametrize("head", [SigmoidHead(3), LogitHead(5, (None, None, None))])
def test_quantities_climb_along_the_chain_rule(head: Any) -> None:
    """Without inverting gradients it is the gradient of the critic's word through the actor's squashing."""
    signal = torch.randn((6, 2, 3), generator=seeded_generator(0)).requires_grad_()
    critic, state = Waves(head.critic_features), torch.zeros((6, 2, 1))
    (direct,) = torch.autograd.grad(critic(state, head.critic_input(torch.sigmoid(signal))).sum(), signal)
    rise = head.actor_objective(signal, critic, state, False, np.random.default_rng(0))
    (found,) = torch.autograd.grad(rise.sum(), signal)
    torch.testing.assert_close(found, direct)


class Crowd(CentralNetwork):
    """A critic of three options: each is valued by its number, less the agents that take it."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, state: torch.Tensor, action: torch.Tensor | None = None) -> torch.Tensor:
        assert action is not None
        options = action[..., 5:]
        crowd = options.sum(dim=1, keepdim=True)
        return (options * (torch.arange(3.0) - crowd)).sum(dim=-1, keepdim=True)


def crowded() -> tuple[LogitHead, torch.Tensor, torch.Tensor]:
    """Logits of which option 1's is largest for every agent, by ever less."""
    head = LogitHead(5, (None, 3))
    logits = torch.tensor([[0.0, 2.0, -2.0], [0.0, 1.0, 0.0], [0.3, 0.4, 0.2]])
    signal = torch.cat([torch.zeros((3, 1)), logits], dim=-1)
    return head, logits, signal.expand(30_000, 3, 4).clone().requires_grad_()


def worth_of(taken: list[int]) -> float:
    """What `Crowd` says of all agents together, counted by hand."""
    return float(sum(option - taken.count(option) for option in taken))


def test_an_agents_options_are_tried_while_the_others_keep_theirs() -> None:
    head, _, signal = crowded()
    critic_input = head.critic_input(torch.from_numpy(head.shares(signal[:2].detach())).float())
    found = counterfactual_values(
        Crowd(), torch.zeros((2, 3, 1)), critic_input, head.choice_slices[0], torch.tensor([0, 2])
    )
    by_hand = [[worth_of([option, 1, 1]) for option in range(3)], [worth_of([1, 1, option]) for option in range(3)]]
    torch.testing.assert_close(found, torch.tensor(by_hand))
    assert (critic_input[:, :, 6] == 1).all()  # the inputs are not changed


@pytest.mark.parametrize("inverting", [False, True])
def test_options_climb_by_what_they_gain(inverting: bool) -> None:
    """By their probability as the softmax's chain rule has it, or whatever it is and by the room that is left."""
    head, logits, signal = crowded()
    rise = head.actor_objective(signal, Crowd(), torch.zeros((len(signal), 3, 1)), inverting, np.random.default_rng(0))
    (slope,) = torch.autograd.grad(rise.sum(), signal)
    found = slope[..., 1:].mean(dim=0)  # whom chance made try is averaged out
    chance = torch.softmax(logits, dim=-1)
    values = torch.tensor(
        [[worth_of([option if agent == who else 1 for agent in range(3)]) for option in range(3)] for who in range(3)]
    )
    gain = values - (chance * values).sum(dim=-1, keepdim=True)
    expected = gain * (1.0 - gain.sign() * logits / 5.0) if inverting else gain * chance
    torch.testing.assert_close(found, expected, rtol=0.03, atol=1e-5)


def test_users_who_all_prefer_one_server_are_told_to_leave_it() -> None:
    """Their chances alone look well spread: by those, nobody would gain."""
    head, state = LogitHead(5, (None, 3)), torch.zeros((4000, 3, 1))
    signal = (1e-3 * torch.tensor([0.0, 0.0, 0.0, 1.0])).expand(4000, 3, 4).clone().requires_grad_()
    rise = head.actor_objective(signal, Crowd(), state, True, np.random.default_rng(0))
    (slope,) = torch.autograd.grad(rise.sum(), signal)
    away, there = slope[..., 2].mean(), slope[..., 3].mean()
    assert there < 0 < away


def test_standardised_networks_see_deviations_from_the_mean() -> None:
    rng = np.random.default_rng(0)
    states = torch.from_numpy(rng.normal([5.0, -1.0, 2.0], [0.1, 3.0, 0.0], size=(400, 7, 3)))
    actor = SharedNetwork(3, 0, (), (6,), 2)
    actor.initialise(seeded_generator(0))
    standard = (states - states.mean(dim=(0, 1))) / torch.tensor([states[..., 0].std(), states[..., 1].std(), 1.0])
    with torch.no_grad():
        before = actor(standard.float())
        actor.standardise(states)
        torch.testing.assert_close(actor(states.float()), before, rtol=1e-3, atol=1e-4)


def test_a_joint_network_is_a_perceptron_of_all_numbers() -> None:
    critic = JointNetwork(2, 3, 1, 2, (7, 5), 0)
    critic.initialise(seeded_generator(0))
    state, action = np.random.default_rng(0).normal(size=(4, 2, 4)) * 9, np.random.default_rng(1).random((4, 2, 2))
    state[:, 1, 3] = state[:, 0, 3]
    signal = np.concatenate([state[:, :, :3].reshape(4, 6), state[:, 0, 3:], action.reshape(4, 4)], axis=-1)
    layers = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in critic.layers]
    for weight, bias in layers[:-1]:
        signal = np.clip(signal @ weight.T + bias, 0.0, 6.0)
    expected = signal @ layers[-1][0].T + layers[-1][1]
    with torch.no_grad():
        found = critic(torch.from_numpy(state).float(), torch.from_numpy(action).float())
    np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=1e-4, atol=1e-6)
