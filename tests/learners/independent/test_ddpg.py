"""Independent DDPG: targets, gradient steps, noise, and what trainings reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget
from offloadopt.errors import InvalidInput, UnknownName, Unsupported
from offloadopt.learners.common import training as course
from offloadopt.learners.common.replay import TransitionBatch
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.independent.ddpg import ANCESTOR, ActorsAndCritics, Ddpg, ornstein_uhlenbeck, presigmoid_factor
from offloadopt.learners.independent.networks import AgentNetworks
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


@pytest.mark.parametrize("horizon", [1, 5])
def test_the_critics_target_is_the_reward_and_what_follows(aiming: Any, horizon: int) -> None:
    problem = aiming(horizon=horizon)
    agents = ActorsAndCritics(Ddpg(**SMALL, gamma=0.9, standardise=False), problem, seeded_generator(0))
    for networks in agents.networks.values():  # far from 0, so that each part shows
        for parameter in networks.parameters():
            parameter.data.normal_(generator=seeded_generator(3))
    agents.reward_center[:] = torch.tensor([2.0, 4.0])
    agents.reward_factor[:] = torch.tensor([0.5, 0.25])
    rng = np.random.default_rng(0)
    view, action, reward, following = (
        rng.random((7, 2, 1)),
        rng.random((7, 2, 2)),
        rng.random((7, 2)),
        rng.random((7, 2, 1)),
    )
    batch = TransitionBatch(*(torch.from_numpy(part).float() for part in (view, action, reward, following)))
    target = agents.target(batch).numpy()
    for agent, (center, factor) in enumerate(((2.0, 0.5), (4.0, 0.25))):
        expected = (reward[:, agent] - center) * factor
        if horizon > 1:  # a horizon only cuts off; after a problem's one slot nothing follows
            signal = relu_network(layers_of(agents.networks["target_actor"], agent), following[:, agent])
            first, *later = layers_of(agents.networks["target_critic"], agent)
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
        agents.learn(TransitionBatch(view, action, view[..., 0], view), 0.0)
        after.append(agents.networks["critic"].arrays())
    for name, array in after[0].items():
        np.testing.assert_array_equal(array, after[1][name])


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
    rng = np.random.default_rng(0)
    sigma, theta, step = 0.12, 0.15, 0.2
    noise = np.zeros(4000)
    path = []
    for _ in range(400):
        noise = ornstein_uhlenbeck(noise, sigma, theta, step, rng)
        path.append(noise)
    late = np.array(path[200:])
    keep = 1 - theta * step  # an AR(1) process
    assert late.std() == pytest.approx(sigma * np.sqrt(step / (1 - keep**2)), rel=0.02)
    assert np.corrcoef(late[:-10].ravel(), late[10:].ravel())[0, 1] == pytest.approx(keep**10, abs=0.02)
    assert abs(late.mean()) < 0.02 * sigma / np.sqrt(2 * theta) * 5


def test_exploration_starts_spread_as_in_the_long_run(aiming: Any) -> None:
    agents = ActorsAndCritics(Ddpg(num_envs=3000, ou_dt=0.01), aiming(), seeded_generator(0))
    assert agents.arrays()["_noise"].std() == pytest.approx(0.12 / np.sqrt(0.3), rel=0.02)


@pytest.mark.parametrize("shared", [False, True])
def test_the_best_decision_is_learned(aiming: Any, shared: bool) -> None:
    """Agents of odd number aim elsewhere than those of even number: one network for both cannot know who it is."""
    problem = aiming(agents=2)
    options = {"warm_up": 100, "actor_delay": 400, "gamma": 0.0}
    learner = Ddpg(**options, shared=shared, actor_rate=3e-3, critic_rate=5e-3)
    policy = learner.fit(problem, budget=Budget(steps=32 * 1300), seed=1)
    instances = problem.sample(100, 5)
    aim = policy.run(problem, instances).decisions["aim"]
    x = instances["x"]
    best = np.stack([np.stack([2 * x[..., 0], 2 - 2 * x[..., 1]], axis=-1), np.full_like(x, 1.5)], axis=-1)
    if shared:
        best[..., 0] = 1.0  # the mean of 2 x and 2 - 2 x
    assert np.abs(aim - best).mean() < 0.25  # of 0.5 before training


def test_the_ancestors_configuration_trains_with_batch_normalisation(aiming: Any) -> None:
    policy = Ddpg(**{**ANCESTOR, "view": None, "hidden": (16, 12)}).fit(aiming(), budget=Budget(steps=300), seed=0)
    assert np.isfinite(policy.run(aiming(), aiming().sample(3, 0)).objective).all()
    assert any(name.startswith("norms") for name in policy.actor.arrays())


def test_it_conforms(aiming: Any) -> None:
    check_learner(Ddpg(**SMALL), aiming(), steps=200)
    check_learner(
        Ddpg(**SMALL, shared=True), registry.problem("carbon_mimo", horizon=8, users=2, antennas=4), steps=200
    )
    check_learner(Ddpg(), registry.problem("carbon_mimo", horizon=8, users=2, antennas=4))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(aiming: Any) -> None:
    one, same, other = (Ddpg(**SMALL).fit(aiming(), budget=Budget(steps=400), seed=seed) for seed in (3, 3, 4))
    assert weights(one) == weights(same) != weights(other)


@pytest.mark.parametrize("name", ["ddpg", "dqn"])
@pytest.mark.parametrize("after", [20, 250])
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

    budget = Budget(steps=500)
    whole = learner.fit(aiming(), budget=budget, seed=3)
    with pytest.raises(Killed):
        learner.fit(aiming(), budget=budget, seed=3, progress=killer, checkpoint=tmp_path / "state")
    again: list[int] = []
    resumed = learner.fit(aiming(), budget=budget, seed=3, progress=again.append, checkpoint=tmp_path / "state")
    assert weights(resumed) == weights(whole)
    assert sum(again) == 500
    assert again[0] >= after - 80  # the episode it was killed in is done again, and nothing before
    assert weights(learner.fit(aiming(), budget=budget, seed=3, checkpoint=tmp_path / "state")) == weights(whole)


def test_curves_tell_what_episodes_cost(aiming: Any) -> None:
    points: list[tuple[int, dict[str, float]]] = []
    Ddpg(**SMALL).fit(aiming(), budget=Budget(steps=400), record=lambda step, found: points.append((step, dict(found))))
    assert [step for step, _ in points] == list(range(40, 401, 40))  # 4 environments x 2 agents x 5 slots
    assert {"episode/cost", "episode/objective", "train/critic_loss", "train/value"} <= points[-1][1].keys()


def test_what_it_cannot_learn_is_refused(aiming: Any) -> None:
    with pytest.raises(Unsupported, match="has options that are not always allowed"):
        Ddpg().fit(registry.problem("battery_d2d"))
    with pytest.raises(UnknownName, match="no view 'onw' of aiming"):
        Ddpg(view="onw").fit(aiming())
    with pytest.raises(InvalidInput, match="buffer_size = 8; allowed: at least num_envs = 16"):
        Ddpg(buffer_size=8)
