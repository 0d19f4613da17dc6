"""VDN over DDPG: targets and gradients of the actors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.vdn.ddpg import DdpgVdn, DdpgVdnAgents
from offloadopt.learners.vdn.vdn import Vdn, VdnAgents

SMALL: dict[str, Any] = {"hidden": (8, 6), "num_envs": 4, "warm_up": 10, "batch_size": 16, "buffer_size": 400}
"""Settings for trainings that need not learn."""


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
@pytest.mark.parametrize("horizon", [1, 5])
def test_the_target_of_ddpg_is_the_teams_reward_and_the_sum_of_what_follows(
    aiming: Any, horizon: int, shared: bool
) -> None:
    team: DdpgVdnAgents = team_of(DdpgVdn, aiming(horizon=horizon), gamma=0.9, shared=shared, standardise=False)
    team.utility.update_reward_statistics(PAID, 0.9, None)
    batch = experience(team)
    expected = in_deviations(batch, PAID)
    view = batch.next_observation.view.double().numpy()
    if horizon > 1:  # a horizon only cuts off; after a problem's one slot nothing follows
        for agent, copy in enumerate((0, 0) if shared else (0, 1)):
            act = np.tanh(by_hand(team.target_actor.network, copy, view[:, agent]))
            signal = np.concatenate([view[:, agent], act], axis=-1)
            expected = expected + 0.9 * by_hand(team.target_utility.network, copy, signal)[:, 0]
    np.testing.assert_allclose(team.target(batch, seeded_generator(0)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_actors_step_up_their_own_terms_and_leave_these_as_they_are(aiming: Any) -> None:
    team: DdpgVdnAgents = team_of(DdpgVdn, aiming(), shared=False, actor_rate=1e-3, output_weight=0.0)
    batch, held = experience(team, rows=50), [parameter.clone() for parameter in team.utility.parameters()]

    def value() -> torch.Tensor:
        own = torch.tanh(team.actor(batch.observation.view[None])[0][0])
        return team.utilities(team.utility, batch.observation, own).mean(dim=0)

    before = value()
    for _ in range(20):
        team.update_actors(batch, 0.0, seeded_generator(0))
    assert (value() > before + 1e-3).all()
    for parameter, old in zip(team.utility.parameters(), held, strict=True):
        assert torch.equal(parameter, old)
