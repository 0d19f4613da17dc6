"""Central networks against numbers computed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.networks import StackedLinear, StackedMLP
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.ddpg_discrete.networks import JointNetwork, SharedNetwork, nearness


def seen(*shape: int, seed: int = 0) -> AgentObservation:
    """Views of an agent each, and the same numbers as a joint state."""
    view = torch.randn(shape, generator=seeded_generator(seed))
    return AgentObservation(view, global_state=view.flatten(1))


def layers(network: StackedMLP) -> list[tuple[np.ndarray, np.ndarray]]:
    parts: Sequence[StackedLinear] = [*network.hidden, network.last]  # type: ignore[list-item]
    return [(part.weight[0].detach().numpy(), part.bias[0].detach().numpy()) for part in parts]


def test_nearness_is_one_at_a_level_and_shared_between_neighbours() -> None:
    near = nearness(torch.tensor([0.0, 0.25, 0.3, 1.0]), 5)
    expected = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0.8, 0.2, 0, 0], [0, 0, 0, 0, 1]]
    torch.testing.assert_close(near, torch.tensor(expected, dtype=torch.float32))


def test_shared_networks_follow_the_order_of_the_agents() -> None:
    critic = SharedNetwork(5, 4, [slice(1, 4)], (8, 8), 1, "relu")
    critic.initialise(seeded_generator(0))
    observation, action = seen(6, 5, 5), torch.rand((6, 5, 4))
    order = torch.tensor([3, 0, 4, 1, 2])
    permuted = critic(AgentObservation(observation.view[:, order]), action[:, order])
    torch.testing.assert_close(critic(observation, action)[:, order], permuted)


def test_a_shared_critic_counts_who_chooses_the_same() -> None:
    critic = SharedNetwork(2, 4, [slice(0, 4)], (6,), 1, "relu")
    critic.initialise(seeded_generator(0))
    observation = seen(1, 3, 2)
    alone, joined, elsewhere = (torch.eye(4)[[0, 1, at]][None] for at in (3, 0, 2))
    with torch.no_grad():
        values = [critic(observation, action)[0, 0] for action in (alone, joined, elsewhere)]
    (weight, bias), *_ = layers(critic.before)
    inputs = torch.cat([observation.view[0], joined[0]], dim=-1).numpy()
    same = np.maximum(inputs @ weight + bias, 0.0)
    signal = np.concatenate([same[0], same.mean(axis=0), (same[0] + same[2]) / 2.0])
    *hidden, (last, offset) = layers(critic.after)
    for weight, bias in hidden:
        signal = np.maximum(signal @ weight + bias[0], 0.0)
    np.testing.assert_allclose(values[1].numpy(), signal @ last + offset[0], rtol=1e-4, atol=1e-6)
    assert values[0] != values[1]


def test_standardised_networks_observe_deviations_from_the_mean() -> None:
    rng = np.random.default_rng(0)
    states = torch.from_numpy(rng.normal([5.0, -1.0, 2.0], [0.1, 3.0, 0.0], size=(400, 7, 3)).astype(np.float32))
    actor = SharedNetwork(3, 0, (), (6,), 2, "relu")
    actor.initialise(seeded_generator(0))
    spread = torch.stack([states[..., 0].std(), states[..., 1].std(), torch.tensor(1.0)])
    standard = AgentObservation((states - states.mean(dim=(0, 1))) / spread)
    with torch.no_grad():
        before = actor(standard)
        actor.standardise([AgentObservation(rows) for rows in states.split(100)])
        torch.testing.assert_close(actor(AgentObservation(states)), before, rtol=1e-3, atol=1e-4)


def test_a_joint_network_is_a_perceptron_of_all_numbers() -> None:
    critic = JointNetwork(8, 2, 2, (7, 5), 0, "relu6")
    critic.initialise(seeded_generator(0))
    observation, action = seen(4, 2, 4), torch.rand((4, 2, 2))
    observation.view.mul_(9)
    signal = torch.cat([observation.view.flatten(1), action.flatten(1)], dim=-1).numpy()
    *hidden, (last, offset) = layers(critic.network)
    for weight, bias in hidden:
        signal = np.clip(signal @ weight + bias, 0.0, 6.0)
    with torch.no_grad():
        found = critic(AgentObservation(observation.view, global_state=observation.view.flatten(1)), action)
    np.testing.assert_allclose(found[:, 0].numpy(), signal @ last + offset, rtol=1e-4, atol=1e-6)
