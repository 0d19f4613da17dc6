"""Independent DDPG: targets, gradient steps, noise, and what trainings reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget
from offloadopt.learners.common import training as course
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.independent.ddpg import ANCESTOR, ActorsAndCritics, Ddpg, ornstein_uhlenbeck, presigmoid_factor
from offloadopt.learners.independent.networks import AgentNetworks
from offloadopt.learners.independent.policy import DeterministicPolicy
from offloadopt.testing import check_learner

SMALL: dict[str, Any] = {
    "hidden": (8, 6),
    "num_envs": 4,
    "warm_up": 10,
    "batch_size": 16,
    "buffer_size": 64,
    "actor_delay": 5,
}


class Killed(BaseException):
    """Stands for whatever ends a process."""


def weights(policy: Any) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in policy.actor.arrays().items()}


def relu_network(layers: list[tuple[np.ndarray, np.ndarray]], signal: np.ndarray) -> np.ndarray:
    for matrix, bias in layers[:-1]:
        signal = np.maximum(signal @ matrix + bias, 0.0)
    return np.asarray(signal @ layers[-1][0] + layers[-1][1])


def layers_of(networks: AgentNetworks, copy: int) -> list[tuple[np.ndarray, np.ndarray]]:
    pairs = zip(networks.weights, networks.biases, strict=True)
    return [(weight[copy].detach().double().numpy(), bias[copy].detach().double().numpy()) for weight, bias in pairs]


def experience(view: torch.Tensor, action: torch.Tensor, reward: torch.Tensor, following: torch.Tensor) -> Experience:
    return Experience(AgentObservation(view), action, reward, AgentObservation(following))


@pytest.mark.parametrize("horizon", [1, 5])
def test_the_critics_target_is_the_reward_and_what_follows(aiming: Any, horizon: int) -> None:
    settings = Ddpg(**SMALL, gamma=0.9, standardise=False, reward_scale=0.5)
    agents = ActorsAndCritics(settings, aiming(horizon=horizon), seeded_generator(0))
    for networks in agents.targets.values():  # far from 0, so that each part shows
        for parameter in networks.parameters():
            parameter.data.normal_(generator=seeded_generator(3))
    rng = np.random.default_rng(0)
    reward, following = rng.random((7, 2)), rng.random((7, 2, 1))
    tensors = (torch.from_numpy(part).float() for part in (rng.random((7, 2, 1)), rng.random((7, 2, 2))))
    batch = experience(*tensors, torch.from_numpy(reward).float(), torch.from_numpy(following).float())
    target = agents.target(batch).numpy()
    for agent in range(2):
        expected = 0.5 * reward[:, agent]
        if horizon > 1:  # a horizon only cuts off; after a problem's one slot nothing follows
            signal = relu_network(layers_of(agents.targets["actor"], agent), following[:, agent])
            first, *later = layers_of(agents.targets["critic"], agent)
            signal = np.concatenate(
                [np.maximum(following[:, agent] @ first[0] + first[1], 0.0), 1.0 / (1.0 + np.exp(-signal))], axis=-1
            )
            expected = expected + 0.9 * relu_network(later, signal)[:, 0]
        np.testing.assert_allclose(target[:, agent], expected, rtol=1e-4, atol=1e-5)


def test_a_step_of_the_actors_leaves_the_critics_as_the_critics_step_left_them(aiming: Any) -> None:
    """Only the critics' own loss moves them: the same with actors that stand still."""
    after = []
    for rate in (1e-3, 1e-30):
        settings = Ddpg(**{**SMALL, "actor_delay": 0, "actor_rate": rate})
        agents = ActorsAndCritics(settings, aiming(), seeded_generator(0))
        view = torch.rand((9, 2, 1), generator=seeded_generator(1))
        action = torch.rand((9, 2, 2), generator=seeded_generator(2))
        agents.learn(experience(view, action, view[..., 0], view), 0.0, seeded_generator(3))
        after.append(agents.critic.arrays())
    for name, array in after[0].items():
        np.testing.assert_array_equal(array, after[1][name])


def test_actions_are_shares_between_the_limits_from_minus_1_to_1(aiming: Any) -> None:
    """Decisions in [-1, 3]; without noise the policy's are those that are explored."""
    problem = aiming()
    agents = ActorsAndCritics(Ddpg(**SMALL, noise=0.0), problem, seeded_generator(0))
    for parameter in agents.actor.parameters():
        parameter.data.normal_(generator=seeded_generator(3))
    drawn = problem.sample(50, 0)
    observed = problem.observe(drawn, problem.reset(drawn))
    agents.noise = torch.zeros(50, 2, 2)
    explored = agents.explore(agents.observe(observed), 0.0, seeded_generator(1))
    decided = agents.decode(observed, explored)
    policy = DeterministicPolicy(agents.interface, agents.policy_actor(), Origin.of(Ddpg(), problem))
    np.testing.assert_allclose(decided["aim"], policy.act(observed)[0]["aim"], atol=1e-5)
    np.testing.assert_allclose(decided["aim"], 1.0 + 2.0 * explored.numpy(), atol=1e-5)
    torch.testing.assert_close(agents.encode(observed, decided), explored, atol=1e-5, rtol=0)


def test_the_actors_follow_the_chain_rule_or_the_room_that_is_left() -> None:
    signal = torch.tensor([-6.0, -1.0, 0.0, 2.0, 6.0], requires_grad=True)
    shares = torch.sigmoid(signal)
    shares.sum().backward()  # type: ignore[no-untyped-call]
    up, down = torch.full((5,), 0.3), torch.full((5,), -0.3)
    for slope in (up, down):
        torch.testing.assert_close(presigmoid_factor(shares.detach(), slope, inverting=False), signal.grad)
    torch.testing.assert_close(presigmoid_factor(shares.detach(), up, inverting=True), 1.0 - shares.detach())
    torch.testing.assert_close(presigmoid_factor(shares.detach(), down, inverting=True), shares.detach())


def test_the_noise_has_the_spread_and_memory_of_its_process() -> None:
    generator = seeded_generator(0)
    sigma, theta, step = 0.12, 0.15, 0.2
    noise = torch.zeros(4000)
    path = []
    for _ in range(400):
        noise = ornstein_uhlenbeck(noise, sigma, theta, step, generator)
        path.append(noise.numpy())
    late = np.array(path[200:])
    keep = 1 - theta * step  # an AR(1) process
    assert late.std() == pytest.approx(sigma * np.sqrt(step / (1 - keep**2)), rel=0.02)
    assert np.corrcoef(late[:-10].ravel(), late[10:].ravel())[0, 1] == pytest.approx(keep**10, abs=0.02)
    assert abs(late.mean()) < 0.02 * sigma / np.sqrt(2 * theta) * 5


def test_exploration_starts_spread_as_in_the_long_run(aiming: Any) -> None:
    agents = ActorsAndCritics(Ddpg(num_envs=3000, ou_dt=0.01), aiming(), seeded_generator(0))
    assert float(agents.noise.std()) == pytest.approx(0.12 / np.sqrt(0.3), rel=0.02)


@pytest.mark.parametrize("shared", [False, True])
def test_the_best_decision_is_learned(aiming: Any, shared: bool) -> None:
    """Agents of odd number aim elsewhere than those of even number: one network for both cannot know who it is."""
    problem = aiming(agents=2)
    options: dict[str, Any] = {"hidden": (32, 32), "batch_size": 64, "warm_up": 50, "actor_delay": 150, "gamma": 0.0}
    learner = Ddpg(**options, shared=shared, actor_rate=3e-3, critic_rate=5e-3)
    policy = learner.fit(problem, budget=Budget(steps=32 * 950), seed=1)
    instances = problem.sample(100, 5)
    aim = policy.run(problem, instances).decisions["aim"]
    x = instances["x"]
    best = np.stack([np.stack([2 * x[..., 0], 2 - 2 * x[..., 1]], axis=-1), np.full_like(x, 1.5)], axis=-1)
    if shared:
        best[..., 0] = 1.0  # the mean of 2 x and 2 - 2 x
    assert np.abs(aim - best).mean() < 0.25  # of 0.5 before training


def test_the_ancestors_configuration_trains_with_batch_normalisation(aiming: Any) -> None:
    policy = Ddpg(**{**ANCESTOR, "view": None, "hidden": (16, 12)}).fit(aiming(), budget=Budget(steps=800), seed=0)
    assert np.isfinite(policy.run(aiming(), aiming().sample(3, 0)).objective).all()
    assert any(name.startswith("norms") for name in policy.actor.arrays())


@pytest.mark.usefixtures("short_rounds")
def test_it_conforms(aiming: Any) -> None:
    check_learner(Ddpg(**SMALL), aiming(), steps=300)
    check_learner(
        Ddpg(**SMALL, shared=True), registry.problem("carbon_mimo", horizon=8, users=2, antennas=4), steps=200
    )
    check_learner(Ddpg(), registry.problem("carbon_mimo", horizon=8, users=2, antennas=4))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(aiming: Any) -> None:
    one, same, other = (Ddpg(**SMALL).fit(aiming(), budget=Budget(steps=800), seed=seed) for seed in (3, 3, 4))
    assert weights(one) == weights(same) != weights(other)


@pytest.mark.parametrize(("after", "name"), [(20, "ddpg"), (1050, "ddpg"), (1050, "dqn")])
def test_a_training_that_was_killed_ends_with_the_same_policy(
    aiming: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, after: int
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
    options = {field: value for field, value in SMALL.items() if name == "ddpg" or field != "actor_delay"}
    learner, done = registry.learner(name, **options), 0

    def killer(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= after:
            raise Killed

    budget = Budget(steps=1200)
    whole = learner.fit(aiming(), budget=budget, seed=3)
    with pytest.raises(Killed):
        learner.fit(aiming(), budget=budget, seed=3, progress=killer, checkpoint=tmp_path / "state")
    again: list[int] = []
    resumed = learner.fit(aiming(), budget=budget, seed=3, progress=again.append, checkpoint=tmp_path / "state")
    assert weights(resumed) == weights(whole)
    assert sum(again) == 1200
    assert again[0] >= after // 520 * 520  # the round it was killed in is done again, and nothing before
    assert weights(learner.fit(aiming(), budget=budget, seed=3, checkpoint=tmp_path / "state")) == weights(whole)


def test_curves_tell_what_episodes_cost(aiming: Any) -> None:
    points: list[tuple[int, dict[str, float]]] = []
    Ddpg(**SMALL).fit(aiming(), budget=Budget(steps=800), record=lambda step, found: points.append((step, dict(found))))
    assert [step for step, _ in points] == list(range(40, 801, 40))  # 4 environments x 2 agents x 5 slots
    assert {"episode/cost", "episode/objective", "train/critic_loss", "train/value"} <= points[-1][1].keys()
