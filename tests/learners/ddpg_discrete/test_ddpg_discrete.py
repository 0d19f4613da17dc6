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
from offloadopt.learners.common import training as course
from offloadopt.learners.common.replay import TransitionBatch, TransitionReplay
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.ddpg_discrete.ddpg_discrete import PAPER, CentralAgent, DdpgDiscrete
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
    return {name: array.tobytes() for name, array in policy.actor.arrays().items()}


def expert(problem: Any, count: int, solver: str = "exact") -> Demonstrations:
    instances = problem.sample(count, seed=7)
    solutions = registry.solver(solver, problem).run(problem, instances)
    return Demonstrations(instances, observations_along(problem, instances, solutions.decisions), solutions)


# ----------------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("shown", [False, True])
def test_states_are_standardised_by_an_episode_of_chance_whoever_is_imitated(shown: bool) -> None:
    """An expert's workloads hardly differ: standardised by them, those of an imperfect policy would be far out."""
    examples = expert(mobile(), 3) if shown else None
    actor = DdpgDiscrete(**SMALL, networks="joint").fit(mobile(), demonstrations=examples, budget=Budget(steps=1)).actor
    np.testing.assert_allclose(actor.center[:2], 0.5, atol=0.25)  # 12 users' places
    np.testing.assert_allclose(actor.center[2], 0.875, atol=0.05)  # tasks of 1.5 to 2 Mbit, by the largest
    np.testing.assert_allclose(actor.scale[2], 0.25 / 12**0.5, rtol=0.3)
    # Three users ask for half a CPU on average, on five servers, unless their ratio is level 0; the first slot is idle.
    np.testing.assert_allclose(actor.center[3:].mean(), 0.75 * 7 / 8 * 1.5 / 5, rtol=0.4)


@pytest.mark.parametrize("raw", [{"normalise": False}, {"standardise": False}])
def test_states_are_not_standardised_where_they_are_to_stay_as_they_are(raw: dict[str, bool]) -> None:
    actor = DdpgDiscrete(**{**SMALL, **raw}).fit(mobile(), budget=Budget(steps=180)).actor
    assert (actor.center == 0).all()
    assert (actor.scale == 1).all()


# ---------------------------------------------------------------------------------------------------------- Algorithm 3


@pytest.mark.parametrize("networks", ["joint", "shared"])
def test_the_critics_target_is_the_reward_and_what_follows(networks: Any) -> None:
    """The joint critic's target is the sum of agents' rewards, the shared one's each agent's own reward."""
    problem = mobile()
    settings = DdpgDiscrete(**{**SMALL, "gamma": 0.9, "networks": networks, "reward_scale": 0.5, "huber_delta": None})
    agent = CentralAgent(settings, problem, seeded_generator(0))
    rng = np.random.default_rng(0)
    view, following = (torch.from_numpy(rng.random((7, 3, 8))).float() for _ in range(2))
    action, reward = torch.from_numpy(rng.random((7, 3, 3))).float(), torch.from_numpy(rng.random((7, 3))).float()
    target = agent.target(TransitionBatch(view, action, reward, following)).numpy()
    with torch.no_grad():
        shares = agent.head.shares(agent.networks["target_actor"](following))
        critic_input = agent.head.critic_input(torch.from_numpy(agent.quantiser.quantise(shares)).float())
        next_value = agent.networks["target_critic"](following, critic_input)[..., 0].numpy()
    rewards = reward.numpy() if networks == "shared" else reward.numpy().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(target, 0.5 * rewards + 0.9 * next_value, rtol=1e-5)
    assert target.shape == ((7, 3) if networks == "shared" else (7, 1))


@pytest.mark.parametrize(("replay", "appended", "learned"), [("paper", 10, 22), ("overwrite", 32, 32)])
def test_the_papers_replay_stores_until_it_is_full_and_learns_only_then(
    replay: Any, appended: int, learned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, int]] = []
    append, learn = TransitionReplay.append, CentralAgent.learn

    def recorded_append(self: TransitionReplay, *parts: Any) -> None:
        events.append(("append", self.appended))
        append(self, *parts)

    def recorded_learn(self: CentralAgent, *parts: Any) -> Any:
        events.append(("learn", 0))
        return learn(self, *parts)

    monkeypatch.setattr(TransitionReplay, "append", recorded_append)
    monkeypatch.setattr(CentralAgent, "learn", recorded_learn)
    settings = DdpgDiscrete(**{**SMALL, "num_envs": 1, "warm_up": 0, "buffer_size": 10, "replay": replay})
    settings.fit(mobile(), budget=Budget(steps=32 * 3))
    kinds = [kind for kind, _ in events]
    assert (kinds.count("append"), kinds.count("learn")) == (appended, learned)
    if replay == "paper":
        assert kinds == ["append"] * 10 + ["learn"] * 22


def test_noise_falls_to_its_least_value() -> None:
    problem = mobile()
    settings = DdpgDiscrete(**SMALL, encoding="none", noise=0.2, noise_decay=0.99, noise_least=0.05)
    agent = CentralAgent(settings, problem, seeded_generator(0))
    state = np.zeros((4000, 3, 8))
    for slot, sigma in ((0, 0.2), (50, 0.2 * 0.99**50), (1000, 0.05)):
        ratio = agent.explore(state, slot, np.random.default_rng(0))[..., 0]
        half = np.quantile(ratio, [0.25, 0.75])  # noise beyond 0 and 1 is cut off
        assert (half[1] - half[0]) / 1.349 == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("networks", ["joint", "shared"])
def test_training_finds_a_better_policy_than_it_began_with(networks: Any) -> None:
    problem = mobile(users=2, horizon=5)
    options = {"networks": networks, "hidden": (32, 32), "warm_up": 60, "actor_delay": 200, "actor_rate": 2e-3}
    learner = DdpgDiscrete(**options, critic_rate=3e-3, noise_decay=0.998)
    instances = problem.sample(40, 5)
    before, after = (
        learner.fit(problem, budget=Budget(steps=steps), seed=1).run(problem, instances).objective.mean()
        for steps in (32, 32 * 700)  # of two users
    )
    optimum = registry.solver("exact", problem).run(problem, instances).objective.mean()
    assert after - optimum < 0.5 * (before - optimum)


def test_imitation_reproduces_an_expert_that_can_be_reproduced() -> None:
    """Everything to the nearest server: a function of each user's own place but for the CPU."""
    problem = mobile(users=2, horizon=1)
    shown = expert(problem, 1500, "greedy")
    learner = DdpgDiscrete(encoding="none", imitation_steps=1200, imitation_rate=5e-3, hidden=(48, 48))
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


@pytest.mark.parametrize("replay", ["paper", "overwrite"])
@pytest.mark.parametrize("after", [120, 450])
def test_a_training_that_was_killed_ends_with_the_same_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replay: Any, after: int
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
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
    assert again[0] >= after - 32
