"""CADDTO-PPO: the configuration of `Ppo` in Zulfiqar, Mirza, Qureshi 2026 (arXiv:2602.18797).

From the paper: one policy for all users, trained on pooled experience; each sees its own buffer, green energy and last
clipped SINR and bears its own cost; gamma 0.99, lambda 0.95, clip 0.2, entropy 0.01, updates after 2,048 samples in
minibatches of 128. Its text lacks the networks: two layers of 128 have 17,282 weights, the 68 KB that it reports. It
also lacks learning rate, epochs, value weight and activation: 3e-4, 10, 0.5 and tanh are Stable-Baselines3's defaults,
with which the values that it states agree.

What was chosen here: 2,048 samples are 4 episodes of 100 slots and 5 users, 2,000 agent-steps, because roll-outs are
whole episodes; a minibatch is 25 slots of all users, 125 agent-steps. With other numbers of users or slots the samples
are more or fewer in proportion. The learning rate is constant; the two powers are explored independently of each other;
returns are standardised for the critic (see `Critic`), for which the paper gives no scale.

The paper's agents set two powers. Their best sum is nearly always the green power (see `EnergyControls`), which two
independent numbers rarely hit: with ``controls = "energy"`` the same method comes much closer to the best known rule.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from offloadopt.learners.ppo.ppo import Ppo
from offloadopt.quantities import Factor, Layer, Rate, Rounds, Size


class CaddtoPpo(Ppo):
    """CADDTO-PPO: one PPO policy, trained on all users' pooled experience and run by each user on its own."""

    name = "caddto-ppo"

    hidden: tuple[Layer, ...] = Field((128, 128), min_length=1, description="widths of the hidden layers")
    activation: Literal["tanh", "relu"] = Field("tanh", description="of the hidden layers")
    standardise: bool = Field(False, description="views by their running mean and deviation")
    explore_together: bool = Field(False, description="numbers may be explored in dependence on each other")

    steps: Rounds = Field(
        3_000_000, ge=1, description="agent-steps, unless a budget says otherwise (the paper: 6,500,000)"
    )
    num_envs: Size = Field(4, ge=1, description="episodes side by side")
    epochs: Rounds = Field(10, ge=1, description="passes over a roll-out")
    minibatch_size: Size = Field(128, ge=1, description="agent-steps in a gradient step (in whole slots of all agents)")
    learning_rate: Rate = Field(3e-4, gt=0, description="Adam's step size at the start; it falls along a cosine")
    final_learning_rate: Rate = Field(3e-4, ge=0, description="and at the end")
    entropy_weight: Factor = Field(0.01, ge=0, description="of the policy's entropy")
