"""Stable-Baselines3's DQN with agents as environments: the exported network chooses as the library does."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import ArrayField, Budget
from offloadopt.errors import InvalidInput, UnknownName, Unsupported
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.sb3.dqn import DQN, SharedMenuPolicy

from toys.sb3_training import trained

QUICK = DQN(num_envs=8, learning_starts=64)
"""With so few random decisions that a short training trains."""


@pytest.fixture(scope="module")
def devices() -> Any:
    """Three agents who choose one of 4 targets and one of 6 modes each."""
    return registry.problem("battery_d2d", horizon=5, users=3, servers=1)


@pytest.fixture(scope="module")
def moving() -> Any:
    """Three users of a centre: ratio, CPU and one of 5 servers each."""
    return registry.problem("partial_mobile", horizon=4, users=3)


@pytest.fixture(scope="module")
def library() -> Any:
    return pytest.importorskip("stable_baselines3")


def observed(problem: Any, count: int) -> Any:
    instances = problem.sample(count, 0)
    return problem.observe(instances, problem.reset(instances))


def weights(policy: SharedMenuPolicy) -> bytes:
    return b"".join(array.tobytes() for array in policy.actor.arrays().values())


# ------------------------------------------------------------------------------------------------- what is exported


@pytest.mark.parametrize("name", ["devices", "moving"])
def test_the_exported_network_takes_the_librarys_entries(
    name: str, library: Any, request: pytest.FixtureRequest
) -> None:
    problem = request.getfixturevalue(name)
    training = trained(QUICK, problem, 4000)
    policy = training.policy(policies.Origin.of(QUICK, problem, seed=1))
    observation = observed(problem, 200)
    view = policy.interface.observe(observation).view
    theirs, _ = training.model.predict(view.numpy().reshape(600, -1), deterministic=True)
    entries = policy.actor(view).argmax(dim=-1).numpy()
    assert len(np.unique(entries)) > 1
    assert (entries == theirs.reshape(200, 3)).mean() > 0.99  # but for ties within rounding


@pytest.mark.parametrize("name", ["devices", "moving"])
def test_a_saved_policy_decides_the_same_without_the_library(
    name: str, library: Any, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = request.getfixturevalue(name)
    learner = QUICK.replace(levels=3, view="full" if name == "devices" else None)
    policy = learner.fit(problem, budget=Budget(steps=480), seed=0)
    policy.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"policy.json", "weights.safetensors"}
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    loaded = policies.load_policy(tmp_path, problem)
    instances = problem.sample(50, 3)
    for array, decided in policy.run(problem, instances).decisions.items():
        assert decided.tobytes() == loaded.run(problem, instances).decisions[array].tobytes()


def test_one_network_serves_any_number_of_agents_with_the_same_menu(
    library: Any, tmp_path: Path, moving: Any, devices: Any
) -> None:
    QUICK.fit(moving, budget=Budget(steps=240)).save(tmp_path / "moving")
    more = registry.problem("partial_mobile", horizon=4, users=7)
    decided, _ = policies.load_policy(tmp_path / "moving", more).act(observed(more, 2))
    assert decided["server"].shape == (2, 7)
    QUICK.fit(devices, budget=Budget(steps=240)).save(tmp_path / "devices")
    other = registry.problem("battery_d2d", "fixed-frequency", horizon=5, users=3, servers=1)
    with pytest.raises(InvalidInput, match=r"holds a policy with weights\.2 \[1, 64, 24\]; .* needs \[1, 64, 4\]"):
        policies.load_policy(tmp_path / "devices", other)


# ---------------------------------------------------------------------------------------------------- what is learned


def test_the_best_entry_is_learned(aiming: Any, library: Any) -> None:
    """As in the test of our own DQN: the number nearest to a goal, and 1 or 2."""
    problem = aiming(agents=1, integer=True)
    learner = DQN(gamma=0.0, learning_starts=500, exploration=0.5, learning_rate=3e-3)
    policy = learner.fit(problem, budget=Budget(steps=16 * 500), seed=1)
    instances = problem.sample(200, 5)
    aim = policy.run(problem, instances).decisions["aim"]
    assert (aim[..., 0] == np.rint(2 * instances["x"])).mean() > 0.8
    assert np.isin(aim[..., 1], (1, 2)).mean() > 0.9


def test_it_learns_to_care_for_batteries(devices: Any, library: Any) -> None:
    instances = devices.sample(300, 9)
    by_chance = registry.solver("random", devices).run(devices, instances).objective.mean()
    learned = QUICK.fit(devices, budget=Budget(steps=9600), seed=0).run(devices, instances).objective.mean()
    assert learned < 0.6 * by_chance


# ---------------------------------------------------------------------------------------------- what it depends on


def test_the_same_seed_gives_the_same_weights(devices: Any, library: Any) -> None:
    first, again, other = (weights(QUICK.fit(devices, budget=Budget(steps=960), seed=seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


@pytest.mark.parametrize("scale_rewards", [False, True])
def test_progress_adds_up_and_what_is_recorded_is_what_was_paid(
    scale_rewards: bool, devices: Any, library: Any
) -> None:
    """Decisions by chance alone: then scaled rewards are recorded in the problem's units too."""
    done: list[int] = []
    curve: dict[int, float] = {}
    policy = QUICK.replace(scale_rewards=scale_rewards, learning_starts=10**6).fit(
        devices,
        budget=Budget(steps=24 * 100),
        progress=done.append,
        record=lambda step, numbers: curve.update({step: numbers["episode/cost"]}),
    )
    assert sum(done) == policy.origin.training["steps"] == 2400 == max(curve)
    rng, instances = np.random.default_rng(0), devices.sample(300, 1)
    any_option = {
        name: rng.integers(int(spec.high) + 1, size=(300, 5, 3)) for name, spec in devices.decision_fields.items()
    }
    expected = devices.evaluate(instances, any_option).cost.mean() / 5
    assert np.mean(list(curve.values())) == pytest.approx(expected / devices.num_agents, rel=0.1)


def test_training_leaves_nothing_in_the_systems_temporary_folder(
    devices: Any, library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    QUICK.fit(devices, budget=Budget(steps=240))
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------- what is refused


def test_what_it_cannot_serve_is_refused_in_one_line(aiming: Any, devices: Any, moving: Any) -> None:
    with pytest.raises(Unsupported, match="does not serve problem 'multi_server'; it needs the structure AgentProblem"):
        DQN().require(registry.problem("multi_server", users=3))
    with pytest.raises(Unsupported, match=r"^10000 combinations of an agent's decisions; allowed: at most 4096$"):
        DQN(levels=100).require(aiming())
    with pytest.raises(Unsupported, match=r"^9600 combinations of an agent's decisions; allowed: at most 4096$"):
        DQN(levels=40).require(moving)
    unlimited = type("Unlimited", (type(devices),), {"decision_fields": {"number": ArrayField((3,), low=0)}})
    with pytest.raises(Unsupported, match=r"^'number' has no finite limits"):
        DQN().require(unlimited(devices.scenario))
    with pytest.raises(UnknownName, match="no view 'fulll' of battery_d2d; did you mean 'full'"):
        DQN(view="fulll").require(devices)
    with pytest.raises(UnknownName, match="no controls 'request' of partial_mobile; did you mean 'requests'"):
        DQN(controls="request").require(moving)
