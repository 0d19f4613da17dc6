"""MADDPG: targets, gradient steps, and what trainings reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt import registry
from offloadopt.core import Budget, Problem
from offloadopt.errors import InvalidInput, UnknownName, Unsupported
from offloadopt.learners.common import training as course
from offloadopt.learners.common.agent_policy import AgentPolicy
from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.maddpg.maddpg import Maddpg
from offloadopt.testing import check_learner

from toys.clues import MUST_GUESS, GuessScenario, OddGuess, cost, guess
from toys.maddpg_agents import SMALL, agents_of, experience

QUICK: dict[str, Any] = {
    "hidden": (32,),
    "batch_size": 64,
    "warm_up": 64,
    "gamma": 0.5,
    "tau": 0.05,
    "actor_rate": 5e-3,
    "critic_rate": 1e-2,
}
"""Settings that learn the toy problem in seconds."""


class Killed(BaseException):
    """Stands for whatever ends a process."""


def mimo(**changes: Any) -> Problem[Any]:
    return registry.problem("carbon_mimo", **{"horizon": 8, "users": 2, "antennas": 4, **changes})


def train(problem: Problem[Any], steps: int, seed: int = 0, **settings: Any) -> AgentPolicy:
    return Maddpg(**settings).fit(problem, budget=Budget(steps=steps), seed=seed)


def weights(policy: AgentPolicy) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in policy.actor.state_dict().items()}


def by_hand(network: StackedMLP, copy: int, signal: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    layers = [*network.hidden, network.last]
    for number, layer in enumerate(layers):
        weight, bias = layer.weight[copy].detach().double().numpy(), layer.bias[copy, 0].detach().double().numpy()
        signal = signal @ weight + bias
        signal = np.maximum(signal, 0.0) if number < len(layers) - 1 else signal
    return signal


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("horizon", [1, 5])
def test_the_critics_target_is_the_reward_and_what_follows(aiming: Any, horizon: int, shared: bool) -> None:
    problem = aiming(horizon=horizon)
    agents = agents_of(problem, gamma=0.9, shared=shared, standardise=False)
    paid = torch.tensor([[1.0, 10.0], [3.0, 30.0], [8.0, -4.0]])
    agents.critic.update_reward_statistics(paid, 0.9, None)
    batch = experience(agents)
    found = agents.target(batch, seeded_generator(0)).numpy()
    following = batch.next_observation
    assert following.global_state is not None
    view, whole = following.view.double().numpy(), following.global_state.double().numpy()
    copies = (0, 0) if shared else (0, 1)
    acts = [np.tanh(by_hand(agents.target_actor.network, copy, view[:, agent])) for agent, copy in enumerate(copies)]
    for agent, copy in enumerate(copies):
        rewards = paid.numpy() if shared else paid[:, agent].numpy()
        expected = (batch.reward[:, agent].numpy() - rewards.mean()) / rewards.std()
        if horizon > 1:  # a horizon only cuts off; after a problem's one slot nothing follows
            others = [acts[other] if other != agent else np.zeros_like(acts[other]) for other in (0, 1)]
            signal = np.concatenate([view[:, agent], acts[agent], whole, *others], axis=-1)
            expected = expected + 0.9 * by_hand(agents.target_critic.network, copy, signal)[:, 0]
        np.testing.assert_allclose(found[:, agent], expected, rtol=1e-4, atol=1e-5)


def test_a_step_of_the_actors_leaves_the_critics_as_the_critics_step_left_them(aiming: Any) -> None:
    """Only the critics' own loss moves them: the same with actors that stand still."""
    after = []
    for rate in (1e-3, 1e-30):
        agents = agents_of(aiming(), actor_rate=rate)
        agents.learn(experience(agents), 0.0, seeded_generator(0))
        after.append(agents.critic.state_dict())
    for name, values in after[0].items():
        assert torch.equal(values, after[1][name])


def test_agents_with_networks_of_their_own_learn_by_themselves(aiming: Any) -> None:
    """What agent 1 is paid, however much, teaches agent 0 nothing."""
    after = []
    for factor in (1.0, 1000.0):
        agents = agents_of(aiming(), shared=False)
        batch = experience(agents)
        batch.reward[:, 1] *= factor
        for _ in range(3):
            agents.learn(batch, 0.0, seeded_generator(0))
        after.append([*agents.actor.parameters(), *agents.critic.parameters()])
    for one, other in zip(*after, strict=True):
        assert torch.equal(one[0], other[0])
    assert any(not torch.equal(one[1], other[1]) for one, other in zip(*after, strict=True))


def test_the_actors_step_up_their_critics(aiming: Any) -> None:
    agents = agents_of(aiming(), shared=False, actor_rate=1e-3, critic_rate=1e-30, output_weight=0.0)
    batch = experience(agents, rows=50)

    def value() -> Tensor:
        own = torch.tanh(agents.actor(batch.observation.view[None])[0][0])
        return agents.critic(batch.observation, own, batch.action).mean(dim=0)

    before = value()
    for _ in range(20):
        agents.learn(batch, 0.0, seeded_generator(0))
    assert (value() > before + 1e-3).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"shared": False, "standardise": False},
        {"shared": False, "reward": "team", "gamma": 0.0, "temperature": 0.5},
    ],
    ids=str,
)
def test_it_finds_numbers_and_choices_that_fit_a_clue(settings: dict[str, Any]) -> None:
    problem = guess(slots=8)
    assert (
        cost(train(problem, 25_000 if "team" in settings.values() else 16_000, **{**QUICK, **settings}), problem)
        < MUST_GUESS
    )


def test_it_learns_a_decision_without_a_future() -> None:
    problem = guess(slots=1)
    assert cost(train(problem, 14_000, **QUICK), problem) < MUST_GUESS


@pytest.mark.usefixtures("short_rounds")
def test_it_learns_costs_of_any_magnitude_alike() -> None:
    """Powers of two change no digit of standardised rewards."""
    small, large, untrained = (
        weights(train(guess(unit=unit), steps, **SMALL)) for unit, steps in ((2.0**-20, 500), (2.0**20, 500), (1.0, 1))
    )
    assert small == large != untrained


def test_it_fits_a_clue_where_what_is_not_allowed_is_never_tried() -> None:
    problem = OddGuess(GuessScenario(slots=8))
    assert cost(train(problem, 16_000, **QUICK), problem) < MUST_GUESS


@pytest.mark.usefixtures("short_rounds")
@pytest.mark.parametrize("settings", [{}, {"shared": False, "standardise": False, "update_every": 3}], ids=str)
def test_it_conforms(settings: dict[str, Any], aiming: Any) -> None:
    learner = Maddpg(**SMALL, **settings)
    check_learner(learner, guess(), steps=320)
    check_learner(learner, aiming(horizon=1), steps=320)
    check_learner(Maddpg(**SMALL, **settings, view="full", controls="energy"), mimo(), steps=320)
    check_learner(learner, mimo())


@pytest.mark.usefixtures("short_rounds")
def test_it_serves_choices_that_some_may_not_make() -> None:
    check_learner(Maddpg(**SMALL), registry.problem("battery_d2d", horizon=8), steps=600)


@pytest.mark.usefixtures("short_rounds")
@pytest.mark.parametrize(("after", "shared"), [(200, True), (380, False)])
def test_a_training_that_was_killed_ends_with_the_same_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, shared: bool
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
    problem, done = OddGuess(GuessScenario(slots=5)), 0
    learner = Maddpg(**SMALL, shared=shared)  # a round has 2 episodes, 120 steps

    def killer(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= after:
            raise Killed

    options: dict[str, Any] = {"budget": Budget(steps=600), "seed": 3}
    whole = learner.fit(problem, **options)
    with pytest.raises(Killed):
        learner.fit(problem, progress=killer, checkpoint=tmp_path / "state", **options)
    again: list[int] = []
    resumed = learner.fit(problem, progress=again.append, checkpoint=tmp_path / "state", **options)
    assert weights(resumed) == weights(whole)
    assert again[0] == 120 * (after // 120)  # the round it was killed in is done again, and nothing before
    assert sum(again) == 600
    assert weights(learner.fit(problem, checkpoint=tmp_path / "state", **options)) == weights(whole)


@pytest.mark.usefixtures("short_rounds")
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    one, same, other = (weights(train(guess(), 400, seed, **SMALL)) for seed in (3, 3, 4))
    assert one == same != other


def test_curves_tell_what_episodes_cost(aiming: Any) -> None:
    points: list[tuple[int, set[str]]] = []
    reported: list[int] = []
    Maddpg(**SMALL).fit(
        aiming(horizon=40),
        budget=Budget(steps=1000),
        progress=reported.append,
        record=lambda step, found: points.append((step, set(found))),
    )
    assert sum(reported) == 1000
    assert [step for step, _ in points] == [320, 640, 960]  # 4 environments x 2 agents x 40 slots
    assert points[-1][1] == {
        "episode/cost",
        "episode/objective",
        "train/critic_loss",
        "train/value",
        "communication/sent_bytes",
        "communication/delivered_bytes",
    }


def test_seconds_end_training(aiming: Any) -> None:
    reported: list[int] = []
    Maddpg(**SMALL).fit(aiming(), budget=Budget(seconds=1e-9), progress=reported.append)
    assert sum(reported) == 0


def test_a_shared_network_serves_any_number_of_agents_and_separate_ones_only_theirs(tmp_path: Path) -> None:
    train(mimo(), 100, **SMALL, controls="energy").save(tmp_path / "shared")
    larger = mimo(users=4)
    assert load_policy(tmp_path / "shared", larger).run(larger, larger.sample(3, 0)).objective.shape == (3,)
    own = train(mimo(), 1200, **SMALL, shared=False)
    own.save(tmp_path / "own")
    instances = mimo().sample(3, seed=1)
    loaded = load_policy(tmp_path / "own", mimo())
    np.testing.assert_array_equal(loaded.run(mimo(), instances).objective, own.run(mimo(), instances).objective)
    with pytest.raises(InvalidInput, match=r"network\.hidden\.0\.weight \[2, "):
        load_policy(tmp_path / "own", larger)


def test_what_it_cannot_learn_is_refused() -> None:
    with pytest.raises(Unsupported, match="needs the structure AgentProblem"):
        Maddpg().fit(registry.problem("multi_server", users=3, servers=2))
    with pytest.raises(UnknownName, match="no view 'ful' of guess"):
        Maddpg(view="ful").fit(guess())
    with pytest.raises(InvalidInput, match="buffer_size = 47; allowed: at least 3 num_envs = 48"):
        Maddpg(buffer_size=47)
    crowd = registry.problem("twin_inference", users=5_000, servers=1, tasks_max=1, horizon=1)
    with pytest.raises(InvalidInput, match=r"critics of 5,000 agents with batch_size = 128: about .* GiB of memory"):
        Maddpg().make_agents(crowd, torch.Generator())
