"""Algorithms 1 to 3 against numbers computed by hand, and that training and imitation find what they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations
from offloadopt.datasets.demonstrations import observations_along
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import off_policy
from offloadopt.learners.common import training as course
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.replay import Experience, JointReplay
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.ddpg_discrete.ddpg_discrete import PAPER, CentralAgents, DdpgDiscrete
from offloadopt.learners.ddpg_discrete.policy import CentralPolicy
from offloadopt.testing import check_learner

SMALL: dict[str, Any] = {
    "hidden": (8, 6),
    "num_envs": 4,
    "warm_up": 3,
    "batch_size": 16,
    "buffer_size": 64,
    "actor_delay": 2,
    "imitation_steps": 5,
}


class Killed(BaseException):
    """Stands for whatever ends a process."""


def mobile(**changes: Any) -> Any:
    return registry.problem("partial_mobile", **{"users": 3, "horizon": 4, **changes})


def weights(policy: CentralPolicy) -> dict[str, bytes]:
    return {name: values.numpy().tobytes() for name, values in policy.actor.state_dict().items()}


def expert(problem: Any, count: int, solver: str = "exact") -> Demonstrations:
    instances = problem.sample(count, seed=7)
    solutions = registry.solver(solver, problem).run(problem, instances)
    return Demonstrations(instances, observations_along(problem, instances, solutions.decisions), solutions)


def agents_of(problem: Any, **settings: Any) -> CentralAgents:
    return DdpgDiscrete(**{**SMALL, **settings}).make_agents(problem, seeded_generator(0))


def experience(agents: CentralAgents, rows: int) -> Experience:
    """Random observations, actions and rewards."""
    problem, generator = agents.interface.problem, seeded_generator(1)
    states = [agents.observe(problem.observe(drawn, problem.reset(drawn))) for drawn in (problem.sample(rows, 0),) * 2]
    reward = torch.rand((rows, problem.num_agents), generator=generator)
    return Experience(states[0], agents.random_actions(states[0], generator), reward, states[1])


# -------------------------------------------------------------------------------------------------------- observations


@pytest.mark.parametrize("shown", [False, True])
def test_features_are_standardised_by_an_episode_of_chance_whoever_is_imitated(shown: bool) -> None:
    """An expert's workloads hardly differ: standardised by them, those of an imperfect policy would be far out."""
    examples = expert(mobile(), 3) if shown else None
    settings = {**SMALL, "controls": "requests", "num_envs": 12}
    actor = DdpgDiscrete(**settings).fit(mobile(), demonstrations=examples, budget=Budget(steps=1)).actor
    mean, std = actor.normalizer.mean_and_std()
    np.testing.assert_allclose(mean[:2], 0.5, atol=0.25)
    np.testing.assert_allclose(mean[2], 0.875, atol=0.05)  # tasks of 1.5 to 2 Mbit, by the largest
    np.testing.assert_allclose(std[2], 0.25 / 12**0.5, rtol=0.3)
    # Three users ask for half a CPU on average, on five servers, unless their ratio is level 0; the first slot is idle.
    np.testing.assert_allclose(mean[3:].mean(), 0.75 * 7 / 8 * 1.5 / 5, rtol=0.4)


def test_features_are_not_standardised_where_they_are_to_stay_as_they_are() -> None:
    actor = DdpgDiscrete(**SMALL, standardise=False).fit(mobile(), budget=Budget(steps=12)).actor
    assert actor.normalizer.count == 0


# ---------------------------------------------------------------------------------------------------------- Algorithm 3


@pytest.mark.parametrize("networks", ["joint", "shared"])
def test_the_critics_target_is_the_reward_and_what_follows(networks: Any) -> None:
    """The joint critic's target is the sum of agents' rewards, the shared one's each agent's own reward."""
    agents = agents_of(mobile(), gamma=0.9, networks=networks, reward_scale=0.5)
    batch = experience(agents, 7)
    target = agents.target(batch).numpy()
    with torch.no_grad():
        actions = agents.stored(agents.greedy(agents.target_actor, batch.next_observation))
        next_value = agents.target_critic(batch.next_observation, agents.critic_input(actions))[..., 0].numpy()
    rewards = batch.reward.numpy() if networks == "shared" else batch.reward.numpy().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(target, 0.5 * rewards + 0.9 * next_value, rtol=1e-5)
    assert target.shape == ((7, 3) if networks == "shared" else (7, 1))


def test_levels_are_stored_and_shared_networks_observe_them_by_their_nearness() -> None:
    actions = torch.tensor([[[0.4, -0.8, 0, 0, 1, 0, 0, 0]]])  # shares 0.7 and 0.1, third of six options
    shared = agents_of(mobile())
    stored = shared.stored(actions)
    torch.testing.assert_close(stored, torch.tensor([[[0.5, -1.0, 0, 0, 1, 0, 0, 0]]]))
    near = [0, 0, 0, 1, 0, 1, 0, 0, 0, 0]  # levels 3 and 0 of 0 to 4
    assert shared.critic_input(stored)[0, 0].tolist() == [*near, 0, 0, 1, 0, 0, 0]
    joint = agents_of(mobile(), networks="joint", controls="requests")
    on_levels = joint.stored(torch.tensor([[[0.4, -0.8, 0.1]]]))  # share 0.55 of five servers is the third
    torch.testing.assert_close(on_levels, torch.tensor([[[0.5, -1.0, 0.0]]]))
    joint = agents_of(mobile(), **{**PAPER, "hidden": (8,)})
    continuous = torch.tensor([[[0.4, -0.8, 0.1]]])
    assert joint.critic_input(joint.stored(continuous)) is continuous  # line (11) stores a_t, not its encoding


@pytest.mark.parametrize(("replay", "appended", "learned"), [("paper", 12, 20), ("overwrite", 32, 28)])
def test_the_papers_replay_stores_until_it_is_full_and_learns_only_then(
    replay: Any, appended: int, learned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A buffer of 10 transitions is that of three episodes of 4 slots; the warm-up of the other is an episode."""
    events: list[str] = []
    append, learn = JointReplay.append, CentralAgents.learn

    def recorded_append(self: JointReplay, observation: AgentObservation, *parts: Any) -> None:
        before = self.appended
        append(self, observation, *parts)
        events.extend(["append"] * (self.appended - before if parts else 0))

    def recorded_learn(self: CentralAgents, *parts: Any) -> Any:
        events.append("learn")
        return learn(self, *parts)

    monkeypatch.setattr(off_policy, "ROUND_SLOTS", 1)
    monkeypatch.setattr(JointReplay, "append", recorded_append)
    monkeypatch.setattr(CentralAgents, "learn", recorded_learn)
    settings = DdpgDiscrete(**{**SMALL, "num_envs": 1, "warm_up": 1, "buffer_size": 10, "replay": replay})
    settings.fit(mobile(), budget=Budget(steps=32 * 3))
    assert (events.count("append"), events.count("learn")) == (appended, learned)
    if replay == "paper":
        assert events == ["append"] * 12 + ["learn"] * 20


def test_noise_falls_to_its_value_at_the_end() -> None:
    agents = agents_of(mobile(), encoding="none", noise=0.2, noise_end=0.05, noise_share=0.5)
    observation = AgentObservation(torch.zeros((4000, 3, 8)))
    greedy = agents.greedy(agents.actor, observation).argmax(dim=-1)
    for spent, sigma in ((0.0, 0.2), (0.25, 0.1), (0.5, 0.05), (1.0, 0.05)):
        actions = agents.explore(observation, spent, seeded_generator(0))
        half = np.quantile(0.5 * (1.0 + actions[..., 0]), [0.25, 0.75])  # noise beyond 0 and 1 is cut off
        assert (half[1] - half[0]) / 1.349 == pytest.approx(sigma, rel=0.05)
        elsewhere = (actions[..., 2:].argmax(dim=-1) != greedy - 2).float().mean()
        assert elsewhere == pytest.approx(sigma * 5 / 6, rel=0.15)


# ----------------------------------------------------------------------------------------------------- the actor's step


class Waves(torch.nn.Module):
    """A critic that is a smooth function of actions alone."""

    def forward(self, observation: AgentObservation, action: torch.Tensor) -> torch.Tensor:
        weight = torch.linspace(-1.0, 2.0, action.shape[-1])
        return (action * weight).sum(dim=-1, keepdim=True).sin()


@pytest.mark.parametrize("networks", ["joint", "shared"])
def test_numbers_climb_along_the_chain_rule(networks: Any) -> None:
    """Without inverting gradients, along the critic's gradient through the squashing, but for a constant factor."""
    problem = registry.problem("carbon_mimo", users=2, antennas=4, horizon=3)
    agents = agents_of(problem, networks=networks, inverting=False)
    agents.critic = Waves()  # type: ignore[assignment]
    signal = torch.randn((6, 2, 2), generator=seeded_generator(0)).requires_grad_()
    observation = AgentObservation(torch.zeros((6, 2, 3)))
    value = agents.critic(observation, agents.critic_input(signal.tanh())).sum()
    (direct,) = torch.autograd.grad(value, signal)
    (found,) = torch.autograd.grad(agents.actor_objective(signal, observation, seeded_generator(0)).sum(), signal)
    torch.testing.assert_close(4.0 * found, direct)  # the derivative of tanh is 4 s (1 - s) at a share s


class Crowd(torch.nn.Module):
    """A critic of three options: each is valued by its number, less the agents that take it."""

    def forward(self, observation: AgentObservation, action: torch.Tensor) -> torch.Tensor:
        options = action[..., -3:]
        crowd = options.sum(dim=1, keepdim=True)
        return (options * (torch.arange(3.0) - crowd)).sum(dim=-1, keepdim=True)


def crowd_value(options: list[int]) -> float:
    return float(sum(option - options.count(option) for option in options))


@pytest.fixture
def crowded() -> Any:
    """Three agents with two servers and no number but ratio and CPU, whose critic is `Crowd`."""

    def make(**settings: Any) -> CentralAgents:
        agents = agents_of(mobile(sites_m=((0.0, 0.0), (400.0, 0.0))), **settings)
        agents.critic = Crowd()  # type: ignore[assignment]
        return agents

    return make


@pytest.mark.parametrize("inverting", [False, True])
def test_options_climb_by_what_they_gain(inverting: bool, crowded: Any) -> None:
    """By their probability as the softmax's chain rule has it, or whatever it is and by the room that is left."""
    agents = crowded(inverting=inverting)
    logits = torch.tensor([[0.0, 2.0, -2.0], [0.0, 1.0, 0.0], [0.3, 0.4, 0.2]])
    signal = torch.cat([torch.zeros((3, 2)), logits], dim=-1).expand(6000, 3, 5).clone().requires_grad_()
    observation = AgentObservation(torch.zeros((6000, 3, 1)))
    objective = agents.actor_objective(signal, observation, seeded_generator(0))
    (slope,) = torch.autograd.grad(objective.sum(), signal)
    found = slope[..., 2:].mean(dim=0)  # whose options are evaluated is averaged out
    chance = torch.softmax(logits, dim=-1)
    values = torch.tensor(
        [[crowd_value([option if a == who else 1 for a in range(3)]) for option in range(3)] for who in range(3)]
    )
    gain = values - (chance * values).sum(dim=-1, keepdim=True)
    expected = gain * (1.0 - gain.sign() * logits / 5.0) if inverting else gain * chance
    torch.testing.assert_close(found, expected, rtol=0.06, atol=1e-5)
    actions = agents.greedy(lambda _: signal[:2].detach(), AgentObservation(observation.view[:2]))
    tried = agents.counterfactual_values(observation, actions, agents.relaxed.options[0], torch.tensor([0, 2]))
    torch.testing.assert_close(tried, values[[0, 2]])
    assert (actions[..., 3] == 1).all()  # the actions are not changed


def test_users_who_all_prefer_one_server_leave_it(crowded: Any) -> None:
    """Their chances alone look well spread: by those, nobody would gain."""
    signal = (1e-3 * torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0])).expand(4000, 3, 5).clone().requires_grad_()
    observation = AgentObservation(torch.zeros((4000, 3, 1)))
    (slope,) = torch.autograd.grad(crowded().actor_objective(signal, observation, seeded_generator(0)).sum(), signal)
    assert slope[..., 4].mean() < 0 < slope[..., 3].mean()


# ------------------------------------------------------------------------------------------------------------ training


@pytest.mark.parametrize(("networks", "steps", "rate"), [("joint", 600, 2e-3), ("shared", 300, 4e-3)])
def test_training_finds_a_better_policy_than_it_began_with(networks: Any, steps: int, rate: float) -> None:
    problem = mobile(users=2, horizon=5)
    options = {"networks": networks, "hidden": (32, 32), "warm_up": 30, "actor_delay": steps // 3, "actor_rate": rate}
    learner = DdpgDiscrete(**options, critic_rate=3e-3)
    instances = problem.sample(40, 5)
    before, after = (
        learner.fit(problem, budget=Budget(steps=32 * slots), seed=1).run(problem, instances).objective.mean()
        for slots in (1, steps)  # of two users
    )
    optimum = registry.solver("exact", problem).run(problem, instances).objective.mean()
    assert after - optimum < 0.5 * (before - optimum)


def test_imitation_reproduces_an_expert_that_can_be_reproduced() -> None:
    """Everything to the nearest server: a function of each user's own place but for the CPU."""
    problem = mobile(users=2, horizon=1)
    shown = expert(problem, 1500, "greedy")
    learner = DdpgDiscrete(encoding="none", imitation_steps=600, imitation_rate=5e-3, hidden=(48, 48))
    instances = problem.sample(300, 5)
    found = learner.fit(problem, demonstrations=shown, budget=Budget(steps=1)).run(problem, instances)
    wanted = registry.solver("greedy", problem).run(problem, instances)
    assert np.mean(found.decisions["server"] == wanted.decisions["server"]) > 0.85
    assert np.abs(found.decisions["ratio"] - wanted.decisions["ratio"]).mean() < 0.05


def test_demonstrations_that_do_not_fit_are_refused() -> None:
    problem = mobile()
    with pytest.raises(InvalidInput, match="empty"):
        DdpgDiscrete(**SMALL).fit(problem, demonstrations=expert(problem, 0))
    with pytest.raises(InvalidInput, match="shape"):
        DdpgDiscrete(**SMALL).fit(mobile(users=4), demonstrations=expert(problem, 2))


# ----------------------------------------------------------------------------------------------------------- contracts


@pytest.mark.parametrize("networks", ["joint", "shared"])
def test_it_conforms(networks: Any) -> None:
    check_learner(DdpgDiscrete(**SMALL, networks=networks), mobile(), steps=180)
    check_learner(DdpgDiscrete(**SMALL, networks=networks), mobile(horizon=1), expert(mobile(horizon=1), 3), steps=180)


def test_the_papers_settings_train() -> None:
    learner = DdpgDiscrete(**{**PAPER, "buffer_size": 20, "hidden": (12, 8, 4)})
    policy = learner.fit(mobile(), budget=Budget(steps=180))
    assert np.isfinite(policy.run(mobile(), mobile().sample(2, 0)).objective).all()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    shown = expert(mobile(), 3)
    one, same, other = (
        DdpgDiscrete(**SMALL).fit(mobile(), demonstrations=shown, budget=Budget(steps=600), seed=seed)
        for seed in (3, 3, 4)
    )
    assert weights(one) == weights(same) != weights(other)


@pytest.mark.parametrize(("after", "replay"), [(120, "overwrite"), (450, "paper")])
def test_a_training_that_was_killed_ends_with_the_same_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replay: Any, after: int
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(off_policy, "ROUND_SLOTS", 4)
    learner, done = DdpgDiscrete(**SMALL, replay=replay), 0

    def killer(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= after:
            raise Killed

    budget, given = Budget(steps=900), {"demonstrations": expert(mobile(), 3), "seed": 3}
    policy = learner.fit(mobile(), budget=budget, **given)
    with pytest.raises(Killed):
        learner.fit(mobile(), budget=budget, progress=killer, checkpoint=tmp_path / "state", **given)
    again: list[int] = []
    resumed = learner.fit(mobile(), budget=budget, progress=again.append, checkpoint=tmp_path / "state", **given)
    assert weights(resumed) == weights(policy)
    assert sum(again) == 900
    assert again[0] >= after - 60  # a round of 48 decisions, and a slot
