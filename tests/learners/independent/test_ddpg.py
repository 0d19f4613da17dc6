"""DDPG's parts against numbers computed by hand, and that it finds a decision known to be best."""

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
from offloadopt.learners.common.replay import TransitionBatch, TransitionReplay
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.independent.ddpg import ANCESTOR, ActorsAndCritics, Ddpg, ornstein_uhlenbeck, presigmoid_factor
from offloadopt.learners.independent.networks import AgentNetworks, polyak_update_with_buffers
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
    return {name: array.tobytes() for name, array in policy.networks.arrays().items()}


def relu_network(layers: list[tuple[np.ndarray, np.ndarray]], signal: np.ndarray) -> np.ndarray:
    for matrix, bias in layers[:-1]:
        signal = np.maximum(signal @ matrix + bias, 0.0)
    return np.asarray(signal @ layers[-1][0] + layers[-1][1])


def layers_of(networks: AgentNetworks, copy: int) -> list[tuple[np.ndarray, np.ndarray]]:
    pairs = zip(networks.weights, networks.biases, strict=True)
    return [(weight[copy].detach().double().numpy(), bias[copy].detach().double().numpy()) for weight, bias in pairs]


# ------------------------------------------------------------------------------------------------------------- replay


def test_a_full_ring_holds_the_latest_rows() -> None:
    ring = TransitionReplay(5)
    for slot in range(4):
        number = np.full((2, 2), float(slot))  # two environments, two agents
        ring.append(number[..., None], number[..., None], number, number[..., None] + 1)
    assert ring.count == 5
    assert sorted(ring.rewards()[:, 0]) == [1, 2, 2, 3, 3]
    batch = ring.draw(200, np.random.default_rng(0))
    assert set(batch.reward.flatten().tolist()) == {1.0, 2.0, 3.0}
    assert torch.equal(batch.next_view[..., 0], batch.reward + 1)
    assert torch.equal(batch.view[..., 0], batch.reward)


def test_a_ring_that_is_put_back_draws_the_same() -> None:
    ring, copy = (TransitionReplay(7) for _ in range(2))
    rng = np.random.default_rng(1)
    for _ in range(4):
        ring.append(rng.random((3, 1, 2)), rng.random((3, 1, 1)), rng.random((3, 1)), rng.random((3, 1, 2)))
    copy.restore(ring.arrays())
    one, other = (held.draw(9, np.random.default_rng(2)) for held in (ring, copy))
    assert torch.equal(one.view, other.view)
    assert torch.equal(one.next_view, other.next_view)
    assert copy.appended == 12


def test_what_follows_the_last_slot_of_an_episode_is_held_with_it(aiming: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Episode by episode the views lead from one to the next, and none of them to another episode's."""
    held: list[tuple[Any, Any]] = []
    append = TransitionReplay.append

    def watched(self: TransitionReplay, view: Any, action: Any, reward: Any, following: Any) -> None:
        held.append((view, following))
        append(self, view, action, reward, following)

    monkeypatch.setattr(TransitionReplay, "append", watched)
    Ddpg(**SMALL).fit(aiming(horizon=3), budget=Budget(steps=4 * 2 * 12))
    assert len(held) == 12
    for slot, (_, following) in enumerate(held[:-1]):
        same = np.array_equal(following, held[slot + 1][0])
        assert same == (slot % 3 != 2)
    last, following = held[2]
    np.testing.assert_array_equal(following, last)  # this problem's views are nature alone: the last slot's


# ----------------------------------------------------------------------------------------------------------- networks


def test_a_feature_that_hardly_varies_is_not_blown_up() -> None:
    networks = AgentNetworks(1, 3, (4,), 1)
    constant, seldom = np.full(100, 0.3), np.where(np.arange(100) < 10, 0.0, 1.0)
    networks.standardise(np.stack([constant, seldom, np.arange(100.0)], axis=-1)[:, None])
    center, scale = networks.center[0].tolist(), networks.scale[0].tolist()
    assert center == pytest.approx([0.3, 1.0, 49.5])
    assert scale == pytest.approx([1.0, 0.3, 49.5 / 1.349])


@pytest.mark.parametrize("copies", [1, 3])
def test_each_agent_is_answered_by_its_own_copy(copies: int) -> None:
    networks = AgentNetworks(copies, 2, (5, 4), 3, second_input=2, compress=True)
    networks.initialise(seeded_generator(0))
    rng = np.random.default_rng(0)
    view, joined = rng.random((6, 3, 2)), rng.random((6, 3, 2))
    networks.standardise(view)
    with torch.no_grad():
        outputs = networks(torch.from_numpy(view).float(), torch.from_numpy(joined).float()).numpy()
    for agent in range(3):
        copy = 0 if copies == 1 else agent
        first, *later = layers_of(networks, copy)
        seen = view.reshape(-1, 2) if copies == 1 else view[:, agent]
        low, middle, high = np.percentile(seen, (25, 50, 75), axis=0)
        standard = 1.349 * (view[:, agent] - middle) / (high - low)
        standard = np.sign(standard) * np.log(1.0 + np.abs(standard))
        signal = np.maximum(standard @ first[0] + first[1], 0.0)
        expected = relu_network(later, np.concatenate([signal, joined[:, agent]], axis=-1))
        np.testing.assert_allclose(outputs[:, agent], expected, rtol=1e-4, atol=1e-6)


def test_batch_normalisation_is_that_of_torch_for_each_copy() -> None:
    networks = AgentNetworks(2, 3, (4,), 1, batch_norm=True)
    networks.initialise(seeded_generator(0))
    view = torch.randn((50, 2, 3), generator=seeded_generator(1))
    networks.train()
    outputs = networks(view)
    for agent in range(2):
        (weight, last), (bias, last_bias) = networks.weights, networks.biases
        signal = view[:, agent] @ weight[agent] + bias[agent]
        reference = torch.nn.BatchNorm1d(4)(signal).relu() @ last[agent] + last_bias[agent]
        torch.testing.assert_close(outputs[:, agent], reference)
    for _ in range(1500):
        networks(view)
    networks.eval()
    torch.testing.assert_close(networks(view), outputs, rtol=1e-3, atol=1e-5)


def test_targets_follow_by_the_share_tau() -> None:
    target, source = (AgentNetworks(2, 3, (4,), 1, batch_norm=True) for _ in range(2))
    source.initialise(seeded_generator(0))
    source.center.fill_(2.0)
    before = target.arrays()
    polyak_update_with_buffers(target, source, 0.25)
    polyak_update_with_buffers(target, source, 0.25)
    for name, now in source.arrays().items():
        expected = before[name] + (1 - 0.75**2) * (now - before[name])
        np.testing.assert_allclose(target.arrays()[name], expected, rtol=1e-5, atol=1e-7)


# ---------------------------------------------------------------------------------------------------------- algorithm


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
    assert agents.arrays()["noise"].std() == pytest.approx(0.12 / np.sqrt(0.3), rel=0.02)


# ----------------------------------------------------------------------------------------------------------- learning


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
    assert any(name.startswith("norms") for name in policy.networks.arrays())


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


def test_a_shared_network_serves_any_number_of_agents(aiming: Any, tmp_path: Path) -> None:
    Ddpg(**SMALL, shared=True).fit(aiming(), budget=Budget(steps=100)).save(tmp_path / "shared")
    Ddpg(**SMALL).fit(aiming(), budget=Budget(steps=100)).save(tmp_path / "own")
    three = aiming(agents=3)
    assert np.isfinite(load_policy(tmp_path / "shared", three).run(three, three.sample(2, 0)).objective).all()
    with pytest.raises(InvalidInput, match="networks of 2 agents"):
        load_policy(tmp_path / "own", three)


def test_what_it_cannot_learn_is_refused(aiming: Any) -> None:
    with pytest.raises(Unsupported, match="'aim' is a whole number"):
        Ddpg().fit(aiming(integer=True))
    with pytest.raises(UnknownName, match="no view 'onw' of aiming"):
        Ddpg(view="onw").fit(aiming())
    with pytest.raises(InvalidInput, match="buffer_size = 8; allowed: at least num_envs = 16"):
        Ddpg(buffer_size=8)
