"""PPO's critic: values do not change with the scale of returns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.ppo.critic import Critic


@pytest.mark.parametrize(("central", "copies"), [(False, 1), (False, 3), (True, 1)])
def test_values_stay_what_they_are_while_the_scale_follows_the_returns(central: bool, copies: int) -> None:
    critic = Critic(3, central, copies, 6 if central else 2, (8,), "tanh", recurrent=False, standardise=False)
    critic.network.initialise(1.0, seeded_generator(0))
    rng = np.random.default_rng(1)
    view = torch.from_numpy(rng.normal(size=(4, 5, 3, 2)).astype(np.float32))
    view = view.flatten(2) if central else view
    with torch.no_grad():
        critic.update_return_statistics(torch.from_numpy(rng.normal(size=(4, 5, 3))))
        before, _ = critic.values(view)
        returns = torch.from_numpy(1e4 + 300.0 * rng.normal(size=(4, 5, 3)) * [1.0, 2.0, 3.0])
        critic.update_return_statistics(returns)
        torch.testing.assert_close(critic.values(view)[0], before, rtol=1e-3, atol=0.05)
        for _ in range(300):
            critic.update_return_statistics(returns)
        normalizer = critic.standardise_returns(returns)
    over = (0, 1, 2) if copies == 1 and not central else (0, 1)
    torch.testing.assert_close(normalizer.mean(dim=over).abs().max(), torch.tensor(0.0).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        normalizer.std(dim=over, correction=0).min(), torch.tensor(1.0).double(), atol=1e-3, rtol=0
    )
