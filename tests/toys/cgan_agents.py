"""Agents of MADDPG-CGAN, and their experience in an inference problem."""

from __future__ import annotations

from typing import Any

import torch

from offloadopt import registry
from offloadopt.core import Problem
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.maddpg_cgan.maddpg_cgan import CganAgents, MaddpgCgan

SMALL: dict[str, Any] = {
    "hidden": (8, 6),
    "num_envs": 4,
    "warm_up": 10,
    "batch_size": 16,
    "buffer_size": 400,
    "generator": {"width": 4, "latent": 4, "layers": 1},
    "pretraining_steps": 4,
    "generator_every": 3,
    "lookahead": 2,
    "lookback": 2,
    "generate_every": 2,
    "synthetic_capacity": 30,
}
"""Settings for trainings that need not learn."""


def inference(**changes: Any) -> Problem[Any]:
    return registry.problem("twin_inference", **{"horizon": 5, "users": 3, "servers": 2, **changes})


def agents_of(problem: Any, **settings: Any) -> CganAgents:
    return MaddpgCgan(**{**SMALL, **settings}).make_agents(problem, seeded_generator(0))


def experience(problem: Any, agents: CganAgents, rows: int, seed: int = 1) -> Experience:
    """What agents that decide by chance live through in the first slot and see in the second."""
    instances = problem.sample(rows, seed)
    generator = torch.Generator().manual_seed(seed)
    state = problem.reset(instances)
    seen = agents.observe(problem.observe(instances, state))
    action = agents.random_actions(seen, generator)
    decisions = agents.interface.decode(problem.observe(instances, state), agents.relaxed.to_head_actions(action))
    state, outcome = problem.step(instances, state, decisions)
    following = agents.observe(problem.observe(instances, state))
    return Experience(seen, action, torch.from_numpy(-outcome.agent_cost).float(), following)
