"""What agents' learners are made of: advantages, the clipped gain, critics on a moving scale, networks in copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.networks import StackedGRU
from offloadopt.learners.common.normalization import RunningNormalizer
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.ppo.critic import Critic
from offloadopt.learners.ppo.ppo import _in_pieces, clipped_gain
from offloadopt.learners.ppo.rollout import advantages


def test_advantages_are_discounted_sums_of_surprises() -> None:
    rng = np.random.default_rng(0)
    reward, value, gamma, decay = rng.normal(size=(6, 3, 2)), rng.normal(size=(7, 3, 2)), 0.9, 0.7
    expected = np.zeros_like(reward)
    for slot in range(6):
        for later in range(slot, 6):
            surprise = reward[later] + gamma * value[later + 1] - value[later]
            expected[slot] += (gamma * decay) ** (later - slot) * surprise
    found = advantages(torch.from_numpy(reward), torch.from_numpy(value), gamma, decay)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_with_lambda_one_returns_are_discounted_rewards_and_the_last_value() -> None:
    reward, value = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([5.0, -1.0, 7.0, 10.0])
    returns = advantages(reward, value, 0.5, 1.0) + value[:-1]
    torch.testing.assert_close(returns, torch.tensor([1 + 1 + 1 + 1.25, 2 + 2 + 2.5, 4 + 5.0]))


def test_the_clipped_gain_is_the_smaller_of_both() -> None:
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1])
    advantage = torch.tensor([2.0, -2.0, 2.0, -2.0, 3.0])
    # 1.2 x 2, 1.5 x -2 (not clipped), 0.5 x 2 (not clipped), 0.8 x -2, 1.1 x 3
    expected = torch.tensor([2.4, -3.0, 1.0, -1.6, 3.3])
    torch.testing.assert_close(clipped_gain(ratio.log(), advantage, 0.2), expected)


@pytest.mark.parametrize(("central", "copies"), [(False, 1), (False, 3), (True, 1)])
def test_values_stay_what_they_are_while_the_scale_follows_the_returns(central: bool, copies: int) -> None:
    critic = Critic(3, central, copies, 6 if central else 2, (8,), "tanh", recurrent=False, standardise=False)
    critic.network.initialise(1.0, seeded_generator(0))
    rng = np.random.default_rng(1)
    view = torch.from_numpy(rng.normal(size=(4, 5, 3, 2)).astype(np.float32))
    view = view.flatten(2) if central else view
    with torch.no_grad():
        critic.follow(torch.from_numpy(rng.normal(size=(4, 5, 3))))
        before, _ = critic.values(view)
        returns = torch.from_numpy(1e4 + 300.0 * rng.normal(size=(4, 5, 3)) * [1.0, 2.0, 3.0])
        critic.follow(returns)
        torch.testing.assert_close(critic.values(view)[0], before, rtol=1e-3, atol=0.05)
        for _ in range(300):
            critic.follow(returns)
        normalizer = critic.in_deviations(returns)
    over = (0, 1, 2) if copies == 1 and not central else (0, 1)
    torch.testing.assert_close(normalizer.mean(dim=over).abs().max(), torch.tensor(0.0).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        normalizer.std(dim=over, correction=0).min(), torch.tensor(1.0).double(), atol=1e-3, rtol=0
    )


def test_recurrent_units_are_those_of_torch() -> None:
    layer = StackedGRU(1, 4, 6)
    layer.initialise(seeded_generator(0))
    reference = torch.nn.GRU(4, 6)
    with torch.no_grad():
        for ours, theirs in ((layer.input_gates, "ih"), (layer.memory_gates, "hh")):
            ours.bias.normal_(generator=seeded_generator(1))
            getattr(reference, f"weight_{theirs}_l0").copy_(ours.weight[0].T)
            getattr(reference, f"bias_{theirs}_l0").copy_(ours.bias[0, 0])
        signal = torch.randn(1, 5, 3, 4, generator=seeded_generator(2))
        found, memory = layer(signal, None)
        expected, last = reference(signal[0])
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(memory[0], last)


def test_running_statistics_are_those_of_all_views_together() -> None:
    rng = np.random.default_rng(3)
    parts = [torch.from_numpy(rng.normal(5.0, [1.0, 0.0, 9.0], size=(n, 2, 3)).astype(np.float32)) for n in (4, 1, 30)]
    normalizer = RunningNormalizer(3)
    for part in parts:
        normalizer.update_statistics(part)
    seen = torch.cat(parts).flatten(0, 1)
    expected = (seen - seen.mean(dim=0)) / torch.tensor(
        [seen[:, 0].std(correction=0), 1.0, seen[:, 2].std(correction=0)]
    )
    torch.testing.assert_close(normalizer(seen), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_network_of_its_own_answers_as_if_it_were_alone(recurrent: bool) -> None:
    actor = Actor(3, (2, 8, 4), "tanh", recurrent, standardise=False)
    actor.initialise(seeded_generator(0))
    view = torch.randn(5, 6, 3, 2, generator=seeded_generator(1))
    together, _ = actor(view)
    for agent in range(3):
        alone = Actor(1, (2, 8, 4), "tanh", recurrent, standardise=False)
        alone.load_state_dict({name: value[agent : agent + 1] for name, value in actor.state_dict().items()})
        torch.testing.assert_close(alone(view[:, :, agent : agent + 1])[0], together[:, :, agent : agent + 1])


@pytest.mark.parametrize("copies", [1, 3])
def test_pieces_that_start_from_their_memories_answer_as_the_whole(copies: int) -> None:
    actor = Actor(copies, (2, 8, 4), "tanh", recurrent=True, standardise=False)
    actor.initialise(seeded_generator(0))
    view = torch.from_numpy(np.random.default_rng(2).normal(size=(7, 5, 3, 2)).astype(np.float32))
    with torch.no_grad():
        whole, _ = actor(view)
        outputs, memories = _in_pieces(actor, view, 2)
        rows = view[:6].unflatten(0, (3, 2)).transpose(0, 1).flatten(1, 2)
        again, _ = actor(rows, memories)
    torch.testing.assert_close(outputs, whole)
    torch.testing.assert_close(again.unflatten(1, (3, 5)).transpose(0, 1).flatten(0, 1), whole[:6])
