"""CADDTO-PPO: the configuration of `Ppo` in Zulfiqar, Mirza, Qureshi 2026 (arXiv:2602.18797)."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from offloadopt.learners.ppo import Ppo


class CaddtoPpo(Ppo):
    """One policy, trained on all users' pooled experience, that each user runs by itself."""

    name = "caddto-ppo"

    view: str | None = Field("paper", description="what agents see: buffer, green energy, the last clipped SINR")
    hidden: tuple[PositiveInt, ...] = Field((128, 128), min_length=1, description="widths of the hidden layers")
    environments: int = Field(4, ge=1, description="episodes side by side")
    epochs: int = Field(10, ge=1, description="passes over a roll-out")
    minibatch: int = Field(128, ge=1, description="agent-steps in a gradient step (in whole slots of all agents)")
    learning_rate: float = Field(3e-4, gt=0, description="Adam's step size at the start; it falls along a cosine")
    final_learning_rate: float = Field(3e-4, ge=0, description="and at the end")
    entropy_weight: float = Field(0.01, ge=0, description="of the policy's entropy")
