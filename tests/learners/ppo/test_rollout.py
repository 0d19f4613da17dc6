"""Generalised advantage estimation against its definition."""

from __future__ import annotations

import numpy as np
import torch

from offloadopt.learners.ppo.rollout import advantages


def test_advantages_are_discounted_sums_of_surprises() -> None:
    rng = np.random.default_rng(0)
    reward, value, gamma, decay = rng.normal(size=(6, 3, 2)), rng.normal(size=(7, 3, 2)), 0.9, 0.7
    expected = np.zeros_like(reward)
    for slot in range(6):
        for later in range(slot, 6):
            td_error = reward[later] + gamma * value[later + 1] - value[later]
            expected[slot] += (gamma * decay) ** (later - slot) * td_error
    found = advantages(torch.from_numpy(reward), torch.from_numpy(value), gamma, decay)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_with_lambda_one_returns_are_discounted_rewards_and_the_last_value() -> None:
    reward, value = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([5.0, -1.0, 7.0, 10.0])
    returns = advantages(reward, value, 0.5, 1.0) + value[:-1]
    torch.testing.assert_close(returns, torch.tensor([1 + 1 + 1 + 1.25, 2 + 2 + 2.5, 4 + 5.0]))
