"""The baselines of Stable-Baselines3: what is exported acts as the library does, and needs it no more."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import ArrayField, Budget, Decisions, rollout
from offloadopt.envs import AgentsView, ScoreView
from offloadopt.errors import InvalidInput, UnknownName, Unsupported
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.sb3.algorithms import A2C, DDPG, PPO, CentralSb3Learner
from offloadopt.learners.sb3.exported_actor import Actor

from toys.sb3_training import trained

LEARNERS = [
    A2C(),
    DDPG(learning_starts=64, num_envs=32),
    PPO(num_envs=16, rollout_length=20, minibatch_size=64, learning_rate=1e-3),
]
"""With so few random steps, and so short roll-outs, that a short training trains."""
both = pytest.mark.parametrize("learner", LEARNERS[:2], ids=lambda learner: learner.name)
every = pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)
choosing = pytest.mark.parametrize("learner", [LEARNERS[0], LEARNERS[2]], ids=lambda learner: learner.name)


@pytest.fixture(scope="module")
def small() -> Any:
    return registry.problem("multi_server", "heterogeneous", users=6, servers=2)


@pytest.fixture(scope="module")
def agents() -> Any:
    return registry.problem("carbon_mimo", horizon=8, users=2, antennas=4)


@pytest.fixture(scope="module")
def devices() -> Any:
    """Agents whose decisions are whole numbers only: one of 4 targets and one of 6 modes each."""
    return registry.problem("battery_d2d", horizon=6, users=3, servers=1)


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("stable_baselines3")


def weights(policy: Actor) -> bytes:
    return b"".join(array.tobytes() for layer in policy.layers for array in layer)


# ------------------------------------------------------------------------------------------------- what is exported


@both
@pytest.mark.parametrize("gain", [1.0, 30.0], ids=["as trained", "saturated"])
def test_the_exported_actor_gives_the_librarys_actions(
    learner: CentralSb3Learner, gain: float, small: Any, library: Any
) -> None:
    """Also where outputs lie far beyond [-1, 1], so that clipping and squashing decide ties."""
    model = trained(learner, small, 640).model
    view = ScoreView.of(small)
    with torch.no_grad():
        last = next(part for part in model.policy.modules() if getattr(part, "out_features", 0) == 12)
        last.weight *= gain
    actor = learner.policy_type(small, view, learner.layers(model), policies.Origin.of(learner, small, seed=1))

    instances = small.sample(500, 2)
    theirs, _ = model.predict(view.observe(instances), deterministic=True)
    ours = actor.actions(small.observe(instances, small.reset(instances)))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    away_from_ties = np.abs(theirs[:, 0] - theirs[:, 1]) > 1e-3
    decided = view.decode(instances, theirs)["server"]
    taken = actor.run(small, instances).decisions["server"]
    clear = away_from_ties & (np.abs(theirs).min(axis=1) > 1e-3)
    assert clear.mean() > 0.3
    assert np.array_equal(taken[clear], decided[clear])


@every
@pytest.mark.parametrize("gain", [1.0, 30.0], ids=["as trained", "saturated"])
def test_the_exported_actor_gives_the_librarys_powers(
    learner: CentralSb3Learner, gain: float, agents: Any, library: Any
) -> None:
    """For agents, in every slot of a roll-out, as decisions within their limits."""
    model = trained(learner, agents, 640).model
    view = AgentsView(agents)
    with torch.no_grad():
        last = next(part for part in model.policy.modules() if getattr(part, "out_features", 0) == 4)
        last.weight *= gain
    actor = learner.policy_type(agents, view, learner.layers(model), policies.Origin.of(learner, agents, seed=1))
    instances = agents.sample(100, 2)

    def theirs(observation: Any) -> Any:
        action, _ = model.predict(view.observe(observation), deterministic=True)
        return Decisions(
            {"local_w": 1.0 + action[:, 0::2].astype(float), "offload_w": 1.0 + action[:, 1::2].astype(float)}
        )

    expected = rollout(agents, instances, theirs)
    taken = actor.run(agents, instances).decisions
    assert agents.check_decisions(taken, 100).count == 100
    for name, array in taken.items():
        np.testing.assert_allclose(array, expected[name], atol=2e-3)
        at_limits = np.minimum(array, 2.0 - array) < 1e-3
        assert at_limits.mean() > 0.3 if gain > 1 else array.std() > 0


@choosing
def test_the_exported_actor_takes_the_librarys_options(learner: CentralSb3Learner, devices: Any, library: Any) -> None:
    """The likeliest target and mode of each agent, in every slot of a roll-out."""
    model = trained(learner, devices, 640).model
    view = AgentsView(devices)
    with torch.no_grad():
        model.policy.action_net.weight *= 100.0  # so that options depend on the observation
    actor = learner.policy_type(devices, view, learner.layers(model), policies.Origin.of(learner, devices, seed=1))
    instances = devices.sample(100, 2)

    def theirs(observation: Any) -> Any:
        chosen, _ = model.predict(view.observe(observation), deterministic=True)
        return Decisions({"target": chosen[:, 0::2], "mode": chosen[:, 1::2]})

    expected = rollout(devices, instances, theirs)
    taken = actor.run(devices, instances).decisions
    for name, array in taken.items():
        assert array.dtype == np.int64
        assert len(np.unique(array)) > 1
        assert (array == expected[name]).mean() > 0.99  # but for ties within rounding


def test_the_exported_actor_rounds_the_librarys_shares_to_options(devices: Any, library: Any) -> None:
    model = trained(LEARNERS[1], devices, 640).model
    view = AgentsView(devices, continuous=True)
    layers, origin = LEARNERS[1].layers(model), policies.Origin.of(LEARNERS[1], devices, seed=1)
    actor = LEARNERS[1].policy_type(devices, view, layers, origin)
    instances = devices.sample(200, 2)
    observation = devices.observe(instances, devices.reset(instances))
    theirs, _ = model.predict(view.observe(observation), deterministic=True)
    np.testing.assert_allclose(actor.actions(observation), theirs, atol=1e-4)
    decided, _ = actor.act(observation)
    for name, share, most in (("target", theirs[:, 0::2], 3), ("mode", theirs[:, 1::2], 5)):
        assert (np.abs(decided[name] - (1 + share) / 2 * most) <= 0.501).all()
        assert decided[name].dtype == np.int64


@both
def test_a_saved_policy_decides_the_same_without_the_library(
    learner: CentralSb3Learner, small: Any, library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = learner.fit(small, budget=Budget(steps=320), seed=0)
    policy.save(tmp_path / "policy")
    assert {path.name for path in (tmp_path / "policy").iterdir()} == {"policy.json", "weights.safetensors"}
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    loaded = learner.policy_type.load(tmp_path / "policy", small)
    instances = small.sample(100, 3)
    for name, array in policy.run(small, instances).decisions.items():
        assert array.tobytes() == loaded.run(small, instances).decisions[name].tobytes()


@every
def test_a_saved_policy_of_agents_decides_the_same_without_the_library(
    learner: CentralSb3Learner, agents: Any, library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It remembers by itself which view its agents had."""
    policy = learner.replace(view="full").fit(agents, budget=Budget(steps=320), seed=0)
    policy.save(tmp_path)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    loaded = policies.load_policy(tmp_path, agents)
    instances = agents.sample(50, 3)
    for name, array in policy.run(agents, instances).decisions.items():
        assert array.tobytes() == loaded.run(agents, instances).decisions[name].tobytes()
    other = registry.problem("carbon_mimo", horizon=8, users=3, antennas=4)
    with pytest.raises(InvalidInput, match=r"policy with 8 inputs and 4 outputs; this carbon_mimo has 12 and 6$"):
        policies.load_policy(tmp_path, other)


@every
def test_a_saved_policy_of_whole_numbers_decides_the_same_without_the_library(
    learner: CentralSb3Learner, devices: Any, library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = learner.fit(devices, budget=Budget(steps=320), seed=0)
    policy.save(tmp_path)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    loaded = policies.load_policy(tmp_path, devices)
    instances = devices.sample(50, 3)
    for name, array in policy.run(devices, instances).decisions.items():
        assert array.tobytes() == loaded.run(devices, instances).decisions[name].tobytes()
    other = registry.problem("battery_d2d", horizon=6, users=2, servers=2)
    with pytest.raises(InvalidInput, match=r"inputs and (30|6) outputs; this battery_d2d has \d+ and (20|4)$"):
        policies.load_policy(tmp_path, other)


# ---------------------------------------------------------------------------------------------------- what is learned


@both
def test_training_lowers_the_cost_on_instances_it_never_saw(
    learner: CentralSb3Learner, small: Any, library: Any
) -> None:
    held_out = small.sample(300, 9)
    optimum = registry.solver("exact", small).run(small, held_out).bound.mean()
    before, after = (
        learner.fit(small, budget=Budget(steps=steps * small.num_agents), seed=0).run(small, held_out).objective.mean()
        - optimum
        for steps in (1, 8_000 if learner.name == "a2c-sb3" else 4_000)
    )
    assert after < 0.7 * before


@pytest.mark.parametrize("learner", LEARNERS[1:], ids=lambda learner: learner.name)
def test_training_lowers_the_cost_of_agents_over_a_horizon(
    learner: CentralSb3Learner, agents: Any, library: Any
) -> None:
    held_out = agents.sample(300, 9)
    before, after = (
        learner.fit(agents, budget=Budget(steps=steps * agents.num_agents), seed=0)
        .run(agents, held_out)
        .objective.mean()
        for steps in (1, 2_700)
    )
    assert after < 0.85 * before


@every
def test_training_finds_good_options_among_whole_numbers(learner: CentralSb3Learner, aiming: Any, library: Any) -> None:
    """By hand: chance costs 4.58 a slot, the best options cost 0.33."""
    problem = aiming(agents=1, integer=True)
    instances = problem.sample(300, 9)
    by_chance = registry.solver("random", problem).run(problem, instances).objective.mean() / 5
    steps = {"a2c-sb3": 12_000, "ppo-sb3": 3_500, "ddpg-sb3": 3_000}[learner.name]
    policy = learner.replace(gamma=0.0).fit(problem, budget=Budget(steps=steps * problem.num_agents), seed=0)
    learned = policy.run(problem, instances).objective.mean() / 5
    assert by_chance == pytest.approx(4.58, rel=0.05)
    assert learned < 0.7


# ---------------------------------------------------------------------------------------------- what it depends on


@every
def test_the_same_seed_gives_the_same_weights(learner: CentralSb3Learner, small: Any, library: Any) -> None:
    first, again, other = (
        weights(learner.fit(small, budget=Budget(steps=320), seed=seed)) for seed in (7, 7, 2**40 + 7)
    )
    assert first == again
    assert first != other


# ---------------------------------------------------------------------------------------------------- what is refused


@every
def test_what_cannot_be_decided_is_refused_before_anything_begins(
    learner: CentralSb3Learner, aiming: Any, agents: Any, small: Any
) -> None:
    problem = aiming()
    unlimited = type("Unlimited", (type(problem),), {"decision_fields": {"aim": ArrayField((2, 2), low=0.0)}})
    with pytest.raises(Unsupported, match=r"^aim of 'aiming' takes 0 to inf; this view needs decisions with limits$"):
        learner.require(unlimited(problem.scenario))
    with pytest.raises(UnknownName, match="no view 'papers' of carbon_mimo; did you mean 'paper'"):
        learner.replace(view="papers").require(agents)
    with pytest.raises(Unsupported, match=r"^view = 'full': the servers of 'multi_server' have one view"):
        learner.replace(view="full").require(small)


@pytest.mark.parametrize(
    ("learner", "field", "value"),
    [
        (A2C, "num_envs", 0),
        (A2C, "learning_rate", 0.0),
        (DDPG, "noise", -1.0),
        (DDPG, "reward", "cost"),
        (PPO, "minibatch_size", 1),
        (PPO, "gamma", 1.1),
    ],
)
def test_a_wrong_hyper_parameter_is_named(learner: Any, field: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=field):
        learner(**{field: value})
