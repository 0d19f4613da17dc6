"""VDN over DQN: targets, greedy actions, exploration and the trained policy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.vdn.dqn import DqnVdn, DqnVdnAgents

from toys.clues import cost, guess
from toys.vdn_agents import PAID, QUICK, by_hand, experience, in_deviations, team_of, train


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_target_of_dqn_is_what_the_targets_say_of_what_the_networks_like_best(
    aiming: Any, masked: bool, shared: bool
) -> None:
    team: DqnVdnAgents = team_of(DqnVdn, aiming(), gamma=0.9, shared=shared, standardise=False)
    team.utility.update_reward_statistics(PAID, 0.9, None)
    batch = experience(team, rows=60, masked=masked)
    expected = in_deviations(batch, PAID)
    view, differ = batch.next_observation.view.double().numpy(), 0
    for agent, copy in enumerate((0, 0) if shared else (0, 1)):
        liked = by_hand(team.utility.network, copy, view[:, agent])[:, 1:]
        value = by_hand(team.target_utility.network, copy, view[:, agent])
        if masked:
            assert batch.next_observation.allowed is not None
            liked = np.where(batch.next_observation.allowed[:, agent].numpy(), liked, -np.inf)
        expected = expected + 0.9 * value[:, 0]
        for branch in (slice(0, 5), slice(5, 10)):
            best = liked[:, branch].argmax(axis=1)
            of_branch = value[:, 1:][:, branch]
            expected = expected + 0.9 * of_branch[np.arange(60), best]
            differ += (best != of_branch.argmax(axis=1)).sum()
    assert differ > 0  # or it would not show which of both chooses
    np.testing.assert_allclose(team.target(batch, seeded_generator(0)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_what_branches_like_best_is_together_the_best_that_is_allowed(aiming: Any) -> None:
    """Against all 25 combinations of two branches."""
    team: DqnVdnAgents = team_of(DqnVdn, aiming())
    seen = experience(team, rows=40, masked=True).observation
    assert seen.allowed is not None
    found = team.utilities(team.utility, seen, team.next_actions(seen, seeded_generator(0)))
    best = torch.full_like(found, -torch.inf)
    for pair in itertools.product(range(5), repeat=2):
        row = torch.zeros(10)
        row[[pair[0], 5 + pair[1]]] = 1.0
        possible = (seen.allowed | (row == 0)).all(dim=-1)
        value = team.utilities(team.utility, seen, row.expand(40, 2, -1))
        best = torch.where(possible, torch.maximum(best, value), best)
    torch.testing.assert_close(found, best)


@pytest.mark.parametrize(("spent", "chance"), [(0.0, 1.0), (0.2, 0.6), (0.4, 0.2), (0.9, 0.2)])
def test_the_chance_of_exploring_falls_along_a_line(aiming: Any, spent: float, chance: float) -> None:
    team = team_of(DqnVdn, aiming(), epsilon_end=0.2, epsilon_share=0.4)
    seen = experience(team, rows=4000).observation
    rows = team.explore(seen, spent, seeded_generator(1))
    as_liked = (rows == team.next_actions(seen, seeded_generator(0))).all(dim=-1).double().mean()
    assert float(as_liked) == pytest.approx(1 - chance + chance / 25, abs=0.02)
    assert (rows.unflatten(-1, (2, 5)).sum(dim=-1) == 1).all()


def test_levels_come_close_to_the_best_on_levels() -> None:
    """Errors are spread evenly up to half a step, so a squared one is a twelfth of the squared step."""
    problem, levels = guess(slots=8), 5
    best = (4.0 / (levels - 1)) ** 2 / 12
    found = cost(train(DqnVdn, problem, 16_000, **{**QUICK[DqnVdn], "levels": levels}), problem)
    assert 0.95 * best < found < best + 0.02


@pytest.mark.parametrize("settings", [{}, {"shared": False, "standardise": False}], ids=str)
def test_the_policy_does_what_its_network_likes_best(aiming: Any, settings: dict[str, Any]) -> None:
    team: DqnVdnAgents = team_of(DqnVdn, aiming(), **settings)
    views = experience(team, rows=30).observation.view
    team.update_statistics(
        [AgentObservation(views + 2.0)], torch.randn((1, 30, 2), generator=seeded_generator(1)), True
    )
    outputs = team.policy_actor()(views[None])[0][0]
    torch.testing.assert_close(outputs, team.utility(views)[..., 1:])
