"""rMAPPO: the configuration of `Ppo` in Tang et al. 2024 (arXiv:2312.15380, IEEE WCNC).

From the paper: recurrent actors and critics, trained through time; the critic sees all agents' observations without
duplicates, each actor its own alone; every agent has its own reward; decisions are discrete; data is cut into chunks.
Its Table II with the hyper-parameters is not available: discount 0.99, lambda 0.95, clip 0.2, entropy 0.01, rate 5e-4,
chunks of 10 slots and a width of 64 are the defaults of MAPPO's authors (Yu et al. 2022, arXiv:2103.01955).

What was chosen here: one network for all devices, which differ in nothing but where they stand.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from offloadopt.learners.ppo.ppo import Ppo
from offloadopt.quantities import Factor, Layer, Rate, Rounds, Size


class Rmappo(Ppo):
    """Recurrent MAPPO: agents with memory and rewards of their own, and a central critic."""

    name = "rmappo"

    critic: Literal["local", "central"] = Field(
        "central", description="values an agent's own view (IPPO), or all (MAPPO)"
    )
    hidden: tuple[Layer, ...] = Field((64,), min_length=1, description="widths of the hidden layers")
    recurrent: bool = Field(True, description="agents remember: gated recurrent units after the hidden layers")
    chunk: Size | None = Field(
        10,
        ge=1,
        description="slots through which recurrent agents' errors go back, a divisor of longer horizons; none: all",
    )
    steps: Rounds = Field(4_000_000, ge=1, description="agent-steps, unless a budget says otherwise")
    num_envs: Size = Field(32, ge=1, description="episodes side by side")
    learning_rate: Rate = Field(5e-4, gt=0, description="Adam's step size at the start; it falls along a cosine")
    entropy_weight: Factor = Field(0.01, ge=0, description="of the policy's entropy")
