"""The baselines of Stable-Baselines3: what is exported acts as the library does, and needs it no more."""

from __future__ import annotations

import itertools
import random
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import ArrayField, Budget, Decisions, Problem, rollout
from offloadopt.envs import AgentsView, AssignmentVectorEnv, ProblemVectorEnv, ScoreView
from offloadopt.errors import DamagedFile, InvalidInput, OffloadError, UnknownName, Unsupported
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.sb3.algorithms import A2C, DDPG, PPO, Baseline, ModeActor
from offloadopt.learners.sb3.exported_actor import Actor

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
    """Agents who decide nothing but whole numbers: one of 4 targets and one of 6 modes each."""
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
    learner: Baseline, gain: float, small: Any, library: Any
) -> None:
    """Also where outputs lie far beyond [-1, 1], so that clipping and squashing decide ties."""
    model, _ = learner.train(small, Budget(steps=640), seed=1)
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
    learner: Baseline, gain: float, agents: Any, library: Any
) -> None:
    """For agents, in every slot of a roll-out, as decisions within their limits."""
    model, _ = learner.train(agents, Budget(steps=640), seed=1)
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
def test_the_exported_actor_takes_the_librarys_options(learner: Baseline, devices: Any, library: Any) -> None:
    """The likeliest target and mode of each agent, in every slot of a roll-out."""
    model, _ = learner.train(devices, Budget(steps=640), seed=1)
    view = AgentsView(devices)
    with torch.no_grad():
        model.policy.action_net.weight *= 100.0  # so that options depend on what is seen
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
    model, _ = LEARNERS[1].train(devices, Budget(steps=640), seed=1)
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


def test_a_network_small_enough_to_compute_by_hand(small: Any) -> None:
    """One hidden unit that reads the first measurement; server 1 gets twice its tangent, server 2 minus it."""
    view = ScoreView.of(small)
    first = np.zeros((1, 12), dtype=np.float32)
    first[0, 0] = 1.0
    second = np.repeat([[2.0], [-1.0]], 6, axis=0).astype(np.float32)
    layers = [(first, np.float32([0.5])), (second, np.zeros(12, dtype=np.float32))]
    actor = ModeActor(small, view, layers, policies.Origin.of(A2C(), small))
    instances = small.sample(50, 0)
    seen = np.tanh(view.observe(instances)[:, 0] + 0.5)
    expected = np.stack([(2 * seen).clip(-1, 1), -seen], axis=1)
    np.testing.assert_allclose(actor.actions(instances), np.repeat(expected[..., None], 6, axis=2), rtol=1e-6)
    decided = actor.run(small, instances).decisions["server"]
    assert np.array_equal(decided, np.repeat(np.where(seen >= 0, 1, 2)[:, None], 6, axis=1))


@both
def test_a_saved_policy_decides_the_same_without_the_library(
    learner: Baseline, small: Any, library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    learner: Baseline, agents: Any, library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    learner: Baseline, devices: Any, library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_without_the_library_training_is_refused_in_one_line(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(OffloadError, match=r"pip install 'offloadopt\[sb3\]'$"):
        A2C().fit(small)


# ---------------------------------------------------------------------------------------------------- what is learned


@both
def test_training_lowers_the_cost_on_instances_it_never_saw(learner: Baseline, small: Any, library: Any) -> None:
    held_out = small.sample(300, 9)
    optimum = registry.solver("exact", small).run(small, held_out).bound.mean()
    before, after = (
        learner.fit(small, budget=Budget(steps=steps * small.num_agents), seed=0).run(small, held_out).objective.mean()
        - optimum
        for steps in (1, 12_000 if learner.name == "a2c-sb3" else 4_000)
    )
    assert after < 0.7 * before


@pytest.mark.parametrize("learner", LEARNERS[1:], ids=lambda learner: learner.name)
def test_training_lowers_the_cost_of_agents_over_a_horizon(learner: Baseline, agents: Any, library: Any) -> None:
    held_out = agents.sample(300, 9)
    before, after = (
        learner.fit(agents, budget=Budget(steps=steps * agents.num_agents), seed=0)
        .run(agents, held_out)
        .objective.mean()
        for steps in (1, 4_000)
    )
    assert after < 0.85 * before


@every
def test_training_finds_good_options_among_whole_numbers(learner: Baseline, aiming: Any, library: Any) -> None:
    """By hand: chance costs 4.58 a slot, the best options cost 0.33."""
    problem = aiming(agents=1, integer=True)
    instances = problem.sample(300, 9)
    by_chance = registry.solver("random", problem).run(problem, instances).objective.mean() / 5
    steps = {"a2c-sb3": 40_000, "ppo-sb3": 10_000, "ddpg-sb3": 6_000}[learner.name]
    policy = learner.replace(discount=0.0).fit(problem, budget=Budget(steps=steps * problem.num_agents), seed=0)
    learned = policy.run(problem, instances).objective.mean() / 5
    assert by_chance == pytest.approx(4.58, rel=0.05)
    assert learned < 0.7


# ---------------------------------------------------------------------------------------------- what it depends on


@every
def test_the_same_seed_gives_the_same_weights(learner: Baseline, small: Any, library: Any) -> None:
    first, again, other = (
        weights(learner.fit(small, budget=Budget(steps=320), seed=seed)) for seed in (7, 7, 2**40 + 7)
    )
    assert first == again
    assert first != other


@every
def test_training_leaves_the_global_generators_and_threads_alone(learner: Baseline, small: Any, library: Any) -> None:
    def state() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()  # type: ignore[index]  # noqa: NPY002

    before, threads = state(), torch.get_num_threads()
    learner.fit(small, budget=Budget(steps=320), seed=0)
    assert state() == before
    assert torch.get_num_threads() == threads


@every
@pytest.mark.parametrize("scale_rewards", [False, True])
def test_training_leaves_nothing_in_the_systems_temporary_folder_and_is_silent(
    learner: Baseline,
    scale_rewards: bool,
    devices: Any,
    library: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    learner.replace(scale_rewards=scale_rewards).fit(devices, budget=Budget(steps=320))
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr() == ("", "")


@every
def test_progress_adds_up_to_the_steps_done_and_rewards_are_recorded(
    learner: Baseline, small: Any, library: Any
) -> None:
    done: list[int] = []
    curve: dict[int, Mapping[str, float]] = {}
    slots, agents = 640, small.num_agents
    policy = learner.fit(
        small,
        budget=Budget(steps=slots * agents),
        progress=done.append,
        record=lambda step, numbers: curve.update({step: numbers}),
    )
    assert sum(done) == policy.origin.training["steps"] == slots * agents == max(curve)
    for found in curve.values():
        assert found["train/reward"] < 0
        assert found["episode/cost"] == pytest.approx(-found["train/reward"] / agents)


@every
def test_training_ends_when_its_seconds_are_over(learner: Baseline, small: Any, library: Any) -> None:
    policy = learner.fit(small, budget=Budget(steps=10**9, seconds=0.2))
    assert 0 < policy.origin.training["steps"] < 10**9


def test_the_librarys_batch_is_ours(small: Any, library: Any) -> None:
    from offloadopt.learners.sb3.vec_env import BatchedEnvironment

    ours, theirs = AssignmentVectorEnv(small, 5), BatchedEnvironment(AssignmentVectorEnv(small, 5))
    theirs.seed(3)
    np.testing.assert_array_equal(theirs.reset(), ours.reset(seed=3)[0])
    np.testing.assert_array_equal(theirs.reset(), ours.reset()[0])
    score = np.random.default_rng(0).uniform(-1, 1, (5, 2, 6)).astype(np.float32)
    observation, reward, terminated, _, info = ours.step(score)
    given = theirs.step(score)
    np.testing.assert_array_equal(given[0], observation)
    np.testing.assert_array_equal(given[1], reward.astype(np.float32))
    np.testing.assert_array_equal(given[2], terminated)
    for row in range(5):
        np.testing.assert_array_equal(given[3][row]["terminal_observation"], info["final_obs"][row])
        assert given[3][row]["TimeLimit.truncated"] is False


def test_the_end_of_a_horizon_is_told_as_a_truncation_with_what_was_left(agents: Any, library: Any) -> None:
    """So that the library bootstraps from the last observation, not from the next episode's first."""
    from offloadopt.learners.sb3.vec_env import BatchedEnvironment

    view = AgentsView(agents)
    batch = BatchedEnvironment(ProblemVectorEnv(agents, 3, view=view))
    batch.reset()
    for slot in range(8):
        observation, _, done, infos = batch.step(np.zeros((3, 4), dtype=np.float32))
        assert done.tolist() == [slot == 7] * 3
    for row, info in enumerate(infos):
        assert info["TimeLimit.truncated"] is True
        left = info["terminal_observation"]
        assert left.shape == view.observation_space.shape
        assert left[2] > 0  # agent 0's SINR before: only a first slot has none
        assert observation[row, 2] == 0


# ---------------------------------------------------------------------------------------------------- what is refused


@every
def test_what_cannot_be_decided_is_refused_before_anything_begins(
    learner: Baseline, aiming: Any, agents: Any, small: Any
) -> None:
    problem = aiming()
    unlimited = type("Unlimited", (type(problem),), {"decision_fields": {"aim": ArrayField((2, 2), low=0.0)}})
    with pytest.raises(Unsupported, match=r"^aim of 'aiming' takes 0 to inf; this view needs decisions with limits$"):
        learner.require(unlimited(problem.scenario))
    with pytest.raises(UnknownName, match="no view 'papers' of carbon_mimo; did you mean 'paper'"):
        learner.replace(view="papers").require(agents)
    with pytest.raises(Unsupported, match=r"^view = 'full': the servers of 'multi_server' have one view"):
        learner.replace(view="full").require(small)


def untrained(problem: Problem[Any], layers: int = 2) -> ModeActor:
    sizes = [12, *[4] * (layers - 1), 12]
    rng = np.random.default_rng(0)
    made = [
        (rng.normal(size=(wide, narrow)).astype(np.float32), np.zeros(wide, dtype=np.float32))
        for narrow, wide in itertools.pairwise(sizes)
    ]
    return ModeActor(problem, ScoreView.of(problem), made, policies.Origin.of(A2C(), problem))  # type: ignore[arg-type]


@pytest.mark.parametrize(("field", "value"), [("users", 5), ("servers", 3)])
def test_a_policy_of_another_size_is_refused(small: Any, tmp_path: Path, field: str, value: int) -> None:
    untrained(small).save(tmp_path)
    other = registry.problem("multi_server", **{"users": 6, "servers": 2, field: value})
    with pytest.raises(InvalidInput, match=r"holds a policy with 12 inputs and 12 outputs; this multi_server has"):
        ModeActor.load(tmp_path, other)


def test_another_scenario_of_the_same_size_keeps_the_statistics_of_training(small: Any, tmp_path: Path) -> None:
    policy = untrained(small)
    policy.save(tmp_path)
    loaded = ModeActor.load(tmp_path, registry.problem("multi_server", users=6, servers=2, layout_seed=8))
    assert loaded.view.center.tobytes() == policy.view.center.tobytes()


@pytest.mark.parametrize("change", ["missing layer", "layer of another width", "no layers", "no statistics"])
def test_arrays_that_are_no_network_are_refused(small: Any, tmp_path: Path, change: str) -> None:
    policy = untrained(small, layers=3)
    arrays: dict[str, Any] = {"center": policy.view.center, "scale": policy.view.scale}
    for number, (matrix, biases) in enumerate(policy.layers):
        arrays |= {f"weights.{number}": matrix, f"biases.{number}": biases}
    if change == "missing layer":
        del arrays["weights.1"]
    elif change == "layer of another width":
        arrays["weights.1"] = arrays["weights.1"][:, :3]
    elif change == "no layers":
        arrays = {"center": policy.view.center, "scale": policy.view.scale}
    else:
        del arrays["center"]
    policies.save(tmp_path, policy.origin, arrays)
    with pytest.raises(DamagedFile, match="holds no network of an actor"):
        ModeActor.load(tmp_path, small)


@pytest.mark.parametrize(
    ("learner", "field", "value"),
    [
        (A2C, "num_envs", 0),
        (A2C, "learning_rate", 0.0),
        (DDPG, "noise", -1.0),
        (DDPG, "reward", "cost"),
        (PPO, "minibatch_size", 1),
        (PPO, "discount", 1.1),
    ],
)
def test_a_wrong_hyper_parameter_is_named(learner: Any, field: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=field):
        learner(**{field: value})
