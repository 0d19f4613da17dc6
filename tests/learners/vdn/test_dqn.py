"""VDN over DQN: targets, greedy actions, exploration and the trained policy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt.core import Budget, Problem
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.agent_policy import AgentPolicy
from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.vdn.ddpg import DdpgVdn
from offloadopt.learners.vdn.dqn import DqnVdn, DqnVdnAgents
from offloadopt.learners.vdn.vdn import Vdn, VdnAgents

from toys.clues import cost, guess

SMALL: dict[str, Any] = {"hidden": (8, 6), "num_envs": 4, "warm_up": 10, "batch_size": 16, "buffer_size": 400}
"""Settings for trainings that need not learn."""


QUICK: dict[type[Vdn], dict[str, Any]] = {
    DdpgVdn: {
        "hidden": (32,),
        "batch_size": 64,
        "warm_up": 64,
        "gamma": 0.5,
        "tau": 0.05,
        "actor_rate": 5e-3,
        "rate": 1e-2,
    },
    DqnVdn: {"hidden": (32,), "batch_size": 64, "warm_up": 64, "gamma": 0.5, "tau": 0.05, "rate": 5e-3, "levels": 9},
}
"""Settings that learn the toy problem in seconds. On 9 levels it costs 1/48 at least."""


def train(learner: type[Vdn], problem: Problem[Any], steps: int, seed: int = 0, **settings: Any) -> AgentPolicy:
    return learner(**settings).fit(problem, budget=Budget(steps=steps), seed=seed)


def team_of(learner: type[Vdn], problem: Any, **settings: Any) -> Any:
    """Agents whose networks all answer something, by copies and roles."""
    team = learner(**{**SMALL, **settings}).make_agents(problem, seeded_generator(0))
    nets = [learned.networks for learned in team.optimizers.values()] + list(team.targets.values())
    for number, networks in enumerate(nets):
        for parameter in networks.parameters():
            parameter.data.normal_(std=0.5, generator=seeded_generator(number))
    return team


def experience(team: VdnAgents, rows: int = 7, seed: int = 0, masked: bool = False) -> Experience:
    rng = seeded_generator(seed)
    agents, interface = team.interface.problem.num_agents, team.interface

    def seen() -> AgentObservation:
        view = torch.randn((rows, agents, interface.features), generator=rng)
        if not masked:
            return AgentObservation(view)
        allowed = torch.rand((rows, agents, 10), generator=rng) < 0.7
        allowed[..., [0, 5]] = True  # of two branches with 5 options each, one of which is always there
        return AgentObservation(view, allowed)

    now = seen()
    return Experience(now, team.random_actions(now, rng), torch.randn((rows, agents), generator=rng), seen())


def by_hand(network: StackedMLP, copy: int, signal: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    layers = [*network.hidden, network.last]
    for number, layer in enumerate(layers):
        weight, bias = layer.weight[copy].detach().double().numpy(), layer.bias[copy, 0].detach().double().numpy()
        signal = signal @ weight + bias
        signal = np.maximum(signal, 0.0) if number < len(layers) - 1 else signal
    return signal


def in_deviations(batch: Experience, paid: torch.Tensor) -> np.ndarray[Any, Any]:
    total = paid.sum(dim=1).numpy()
    return np.asarray((batch.reward.sum(dim=1).numpy() - total.mean()) / total.std())


PAID = torch.tensor([[1.0, 10.0], [3.0, 30.0], [8.0, -4.0]])


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
    problem = guess(slots=8)
    for levels in (5, 9):
        best = (4.0 / (levels - 1)) ** 2 / 12
        found = cost(train(DqnVdn, problem, 25_000, **{**QUICK[DqnVdn], "levels": levels}), problem)
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
