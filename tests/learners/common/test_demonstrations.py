"""Behaviour cloning: demonstrations as agents' views and actions, and an actor that reproduces them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from offloadopt.core import Decisions, Demonstrations, Observation, Solutions
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.demonstrations import ExpertActions, imitate
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.common.training import TrainingProgress


def demonstrations_of(problem: Any, count: int) -> Demonstrations:
    """Demonstrations of the best decisions."""
    instances = problem.sample(count, 0)
    x = instances["x"]
    goal = np.where(np.arange(problem.num_agents) % 2 == 0, 2 * x, 2 - 2 * x)
    decisions = Decisions({"aim": np.stack([goal, np.full_like(goal, 1.5)], axis=-1)})
    solutions = Solutions.scored(problem, instances, decisions, seconds=np.zeros(count))
    return Demonstrations(instances, Observation({"x": x}), solutions)


def test_an_actor_learns_the_experts_actions(aiming: Any) -> None:
    problem = aiming(horizon=3)
    interface = AgentInterface(problem, None, None)
    expert = ExpertActions.of(interface, demonstrations_of(problem, 64))
    assert expert.view.shape == (3, 64, 2, 1)
    assert expert.as_single_slots().view.shape == (1, 192, 2, 1)
    actor = Actor(2, (1, 16, interface.heads.outputs), "tanh", recurrent=False, standardise=True)
    actor.initialise(seeded_generator(0))
    before = float(expert.imitation_loss(actor, interface.heads, torch.arange(64)).detach())
    tracker = TrainingProgress(time.monotonic(), 300)
    imitate(
        actor,
        interface.heads,
        expert,
        steps=300,
        minibatch_size=64,
        learning_rate=1e-2,
        tracker=tracker,
        generator=seeded_generator(1),
    )
    after = float(expert.imitation_loss(actor, interface.heads, torch.arange(64)).detach())
    assert after < 0.02 * before
