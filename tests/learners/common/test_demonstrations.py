"""Demonstrations as agents' data, and what learners make of them."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget, Decisions, Demonstrations, Observation, Solutions
from offloadopt.datasets.demonstrations import observations_along
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import training
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.demonstrations import ExpertActions, ExpertTransitions, large_margin_loss, minimise
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.common.training import TrainingProgress
from offloadopt.learners.maddpg.maddpg import Maddpg
from offloadopt.learners.vdn.dqn import DqnVdn
from offloadopt.testing import check_learner

from toys.agents import LEVELS, Thermostats


def demonstrations_of(problem: Any, count: int) -> Demonstrations:
    """Demonstrations of the best decisions."""
    instances = problem.sample(count, 0)
    x = instances["x"]
    goal = np.where(np.arange(problem.num_agents) % 2 == 0, 2 * x, 2 - 2 * x)
    aim = np.stack([goal, np.full_like(goal, 1.5)], axis=-1)
    decisions = Decisions({"aim": np.rint(aim).astype(np.int64) if problem.scenario.integer else aim})
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
    actor.normalizer.update_statistics(expert.view)
    generator, loss = seeded_generator(1), partial(expert.imitation_loss, actor, interface.heads)
    batches = (torch.randint(64, (11,), generator=generator) for _ in range(300))
    minimise(list(actor.parameters()), loss, batches, 1e-2, tracker)
    after = float(expert.imitation_loss(actor, interface.heads, torch.arange(64)).detach())
    assert after < 0.02 * before


# ------------------------------------------------------------------------------------------------------- transitions


def thermostats(fan: int, heater: float, count: int = 8) -> Demonstrations:
    """One decision for all rooms and slots, but that the heater has half of the power in the second slot."""
    problem = Thermostats(Thermostats.scenario_type())
    instances = problem.sample(count, 0)
    heaters = np.full((count, 2, 2), heater)
    heaters[:, 1] /= 2
    decisions = Decisions({"fan": np.full((count, 2, 2), fan), "heater": heaters})
    solutions = Solutions.scored(problem, instances, decisions, seconds=np.zeros(count))
    return Demonstrations(instances, observations_along(problem, instances, decisions), solutions)


def test_transitions_are_those_of_the_problem() -> None:
    """Without rounding the rewards are the costs that the judge charges, and each slot begins where the last ended."""
    problem, shown = Thermostats(Thermostats.scenario_type()), thermostats(0, 1.25)
    agents = Maddpg().make_agents(problem, seeded_generator(0))
    expert = ExpertTransitions.of(agents, shown)
    outcome = problem.evaluate(shown.instances, shown.solutions.decisions)
    total = sum(each.reward for each in expert.slots)
    torch.testing.assert_close(total, torch.from_numpy(-outcome.agent_cost).float())
    assert expert.rounding < 1e-6
    first, last = expert.slots
    torch.testing.assert_close(first.next_observation.view, last.observation.view)
    decided = agents.decode(shown.observations.take(slice(0, 8)), first.action)
    np.testing.assert_allclose(decided["heater"], 1.25, atol=1e-6)


def test_decisions_are_rounded_to_levels_and_their_own_costs_are_learned() -> None:
    """Two levels of the heater are 0 and 2: 1.25 becomes 2, half of it 0."""
    problem, shown = Thermostats(Thermostats.scenario_type()), thermostats(0, 1.25)
    expert = ExpertTransitions.of(DqnVdn(levels=2).make_agents(problem, seeded_generator(0)), shown)
    warmth = shown.observations["warmth"]
    first = (warmth[:, 0] + 2.0) ** 2 + 0.2
    second = warmth[:, 1] ** 2
    for slot, cost in zip(expert.slots, (first, second), strict=True):
        torch.testing.assert_close(slot.reward, torch.from_numpy(-cost).float())
    assert expert.rounding == pytest.approx((0.75 + 0.625) / 2 / 2 / 2)  # of two fields, one of them exact


def test_options_that_are_not_allowed_are_replaced_where_they_do_not_matter_and_refused_elsewhere() -> None:
    problem, shown = Thermostats(Thermostats.scenario_type()), thermostats(1, 0.5)
    agents = Maddpg().make_agents(problem, seeded_generator(0))
    expert = ExpertTransitions.of(agents, shown)
    for slot, row in zip(expert.slots, (0, 1), strict=True):
        warm = torch.from_numpy(shown.observations["warmth"][:, row] > 0)
        fan = slot.action[..., -LEVELS:].argmax(dim=-1)
        assert torch.equal(fan, warm.long())
    problem = Thermostats(Thermostats.scenario_type())
    problem.allowed = lambda observation: {"fan": np.arange(LEVELS) != np.full((8, 2, 1), 1)}  # type: ignore[method-assign]
    with pytest.raises(InvalidInput, match="16 of 16 demonstrated decisions cannot be expressed: 'fan'"):
        ExpertTransitions.of(Maddpg().make_agents(problem, seeded_generator(0)), shown)


def test_the_margin_loss_is_what_is_missing_to_a_lead() -> None:
    values = torch.tensor([[3.0, 1.0, 2.5], [3.0, 2.9, 0.0], [1.0, 3.0, 0.0]])
    first = torch.tensor([1.0, 0.0, 0.0]).expand(3, 3)
    torch.testing.assert_close(large_margin_loss(values, first, 0.8), torch.tensor([0.3, 0.7, 2.8]))


# ---------------------------------------------------------------------------------------------------------- learners

SMALL: dict[str, Any] = {"shared": False, "hidden": (16,), "num_envs": 2, "batch_size": 16, "imitation_steps": 80}
SB3: dict[str, Any] = {"num_envs": 2, "imitation_steps": 100, "imitation_rate": 1e-2}
LEARNERS: dict[str, dict[str, Any]] = {
    "maddpg": {**SMALL, "actor_rate": 1e-2},
    "ddpg-vdn": {**SMALL, "actor_rate": 1e-2},
    "dqn-vdn": {**SMALL, "levels": 3},
    "ddpg": {**SMALL, "actor_rate": 1e-2},
    "dqn": {**SMALL, "levels": 3, "rate": 1e-2},
    "federated": {
        "options": {name: value for name, value in SMALL.items() if name != "shared"} | {"actor_rate": 1e-2},
        "rule": "personalised",
        "every": 50,
    },
    "a2c-sb3": SB3,
    "ppo-sb3": {**SB3, "rollout_length": 2, "minibatch_size": 4},
    "ddpg-sb3": SB3,
    "dqn-sb3": {**SB3, "levels": 3, "learning_starts": 8, "steps": 16},
    "maddpg-cgan": {**SMALL, "actor_rate": 1e-2, "pretraining_steps": 3, "generator_every": 50},
}


@pytest.mark.parametrize("name", LEARNERS)
def test_demonstrations_matter(name: str, aiming: Any) -> None:
    """After four slots of interaction, the cost is much nearer to the expert's, which is 0, than without."""
    if name.endswith("-sb3"):
        pytest.importorskip("stable_baselines3")
    problem = aiming(horizon=2)
    held_out, learner = problem.sample(50, 9), registry.learner(name, **LEARNERS[name])
    with_, without = (
        learner.fit(problem, demonstrations=shown, budget=Budget(steps=16)).run(problem, held_out).objective.mean()
        for shown in (demonstrations_of(problem, 32), None)
    )
    assert with_ < 0.5 * without


@pytest.mark.parametrize("name", ["dqn-vdn", "ddpg"])
def test_a_training_with_demonstrations_keeps_the_clauses_of_learners(name: str, aiming: Any) -> None:
    learner = registry.learner(name, **{**LEARNERS[name], "imitation_steps": 3})
    check_learner(learner, aiming(horizon=2), demonstrations_of(aiming(horizon=2), 8), steps=40)


@pytest.mark.parametrize("name", ["maddpg", "dqn-vdn", "ddpg", "dqn"])
def test_a_training_that_was_killed_ends_with_the_same_policy(
    name: str, aiming: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its first episodes, when the replay holds own transitions and errors of both kinds."""
    problem, learner = aiming(horizon=2), registry.learner(name, **{**LEARNERS[name], "imitation_steps": 3})
    done: list[int] = []

    def killer(steps: int) -> None:
        done.append(steps)
        if sum(done) >= 270:
            raise KeyboardInterrupt

    def fit(folder: str, **options: Any) -> bytes:
        shown, kept = demonstrations_of(problem, 8), tmp_path / folder
        policy = learner.fit(problem, demonstrations=shown, budget=Budget(steps=330), checkpoint=kept, **options)
        return b"".join(value.numpy().tobytes() for value in policy.actor.state_dict().values())

    monkeypatch.setattr(training, "SAVE_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        fit("killed", progress=killer)
    again: list[int] = []
    assert fit("killed", progress=again.append) == fit("whole")
    assert again[0] >= 256  # done before
