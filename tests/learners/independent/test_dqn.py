"""Independent DQN: targets, exploration, and what trainings reach."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.independent.dqn import ANCESTOR, Dqn, QNetworks
from offloadopt.testing import check_learner

SMALL: dict[str, Any] = {"hidden": (8, 6), "num_envs": 4, "warm_up": 10, "batch_size": 16, "buffer_size": 64}


def test_the_ancestor_chooses_among_25_pairs_of_powers() -> None:
    problem = registry.problem("carbon_mimo", "ancestor")
    agents = QNetworks(Dqn(**ANCESTOR), problem, seeded_generator(0))
    drawn = problem.sample(25, 0)
    observed = problem.observe(drawn, problem.reset(drawn))
    actions = agents.menu[:, None].repeat(1, 3, 1)
    decided = agents.decode(observed, actions)
    assert torch.equal(agents.encode(observed, decided), actions)
    pairs = np.stack([decided["local_w"][:, 1], decided["offload_w"][:, 1]], axis=-1)
    assert [tuple(pair) for pair in pairs] == list(itertools.product([0.0, 0.5, 1.0, 1.5, 2.0], repeat=2))


def test_the_target_is_the_reward_and_the_best_that_follows(aiming: Any) -> None:
    agents = QNetworks(Dqn(**SMALL, gamma=0.9, levels=3), aiming(), seeded_generator(0))
    for parameter in agents.targets["value"].parameters():
        parameter.data.normal_(generator=seeded_generator(3))
    view = torch.rand((6, 2, 1), generator=seeded_generator(1))
    reward = torch.rand((6, 2), generator=seeded_generator(2))
    with torch.no_grad():
        value = agents.targets["value"](view).numpy()
    expected = [[float(reward[r, a]) + 0.9 * max(value[r, a].tolist()) for a in range(2)] for r in range(6)]
    batch = Experience(AgentObservation(view), torch.zeros((6, 2, 6)), reward, AgentObservation(view))
    np.testing.assert_allclose(agents.target(batch).numpy(), expected, rtol=1e-5)


def test_a_step_regresses_the_value_of_the_chosen_entry_alone(aiming: Any) -> None:
    """Bias of the output layer: gradients reach the entry of the stored levels, 7 = 2 levels of the first x 3 + 1."""
    agents = QNetworks(Dqn(**SMALL, levels=3), aiming(), seeded_generator(0))
    before = agents.value.biases[-1].detach().clone()
    observation = AgentObservation(torch.rand((6, 2, 1), generator=seeded_generator(1)))
    levels = torch.tensor([0.0, 0.0, 1.0, 0.0, 1.0, 0.0]).expand(6, 2, 6)
    agents.learn(Experience(observation, levels, torch.ones(6, 2), observation), 0.0, seeded_generator(2))
    moved = (agents.value.biases[-1] != before).nonzero()
    assert moved.tolist() == [[0, 7], [1, 7]]


def test_exploration_decays_slot_by_slot_to_its_end(aiming: Any) -> None:
    settings = Dqn(num_envs=2000, epsilon_decay=0.9, epsilon_end=0.2, levels=5)
    agents = QNetworks(settings, aiming(), seeded_generator(0))
    observation = AgentObservation(torch.full((2000, 2, 1), 0.5))
    best = agents.menu[agents.value(observation.view).argmax(dim=-1)]
    generator, changed = seeded_generator(1), []
    for _ in range(100):
        chosen = agents.explore(observation, 0.0, generator)
        changed.append(float((chosen != best).any(dim=-1).float().mean()))
    for slot, epsilon in ((0, 1.0), (5, 0.9**5), (90, 0.2)):
        assert changed[slot] == pytest.approx(epsilon * 24 / 25, abs=0.03)


@pytest.mark.parametrize("integer", [False, True])
def test_the_best_entry_is_learned(aiming: Any, integer: bool) -> None:
    """Levels are -1, 0, 1, 2, 3; the best first number is the level nearest to its goal, the second 1 or 2."""
    problem = aiming(integer=integer)
    learner = Dqn(hidden=(32, 32), warm_up=50, gamma=0.0, rate=3e-3, batch_size=64)
    policy = learner.fit(problem, budget=Budget(steps=32 * 500), seed=1)
    instances = problem.sample(200, 5)
    aim = policy.run(problem, instances).decisions["aim"]
    x = instances["x"]
    best = np.rint(np.stack([2 * x[..., 0], 2 - 2 * x[..., 1]], axis=-1))
    assert (aim[..., 0] == best).mean() > 0.8
    assert np.isin(aim[..., 1], (1.0, 2.0)).mean() > 0.9


@pytest.mark.usefixtures("short_rounds")
def test_it_conforms(aiming: Any) -> None:
    check_learner(Dqn(**SMALL), aiming(), steps=300)
    check_learner(Dqn(**SMALL), aiming(integer=True), steps=300)
    check_learner(Dqn(**SMALL, shared=True), registry.problem("carbon_mimo", horizon=8, users=2, antennas=4), steps=300)
    check_learner(Dqn(), registry.problem("carbon_mimo", horizon=8, users=2, antennas=4))
