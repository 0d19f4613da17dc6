"""What is saved is what is loaded; what was changed on the way is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from offloadopt import files, registry
from offloadopt.core import Budget, Demonstrations, Problem
from offloadopt.errors import DamagedFile, InvalidInput, OffloadError, UnknownName
from offloadopt.formats.reading import sha256
from offloadopt.learners.common.saved_policy import Description, load_policy
from offloadopt.learners.dirs.ensemble import EnsemblePolicy


@pytest.fixture(scope="module")
def problem() -> Problem[Any]:
    return registry.problem("multi_server", users=5, servers=2)


@pytest.fixture(scope="module")
def policy(problem: Problem[Any]) -> EnsemblePolicy:
    instances = problem.sample(32, 0)
    solutions = registry.solver("exact", problem).run(problem, instances)
    experts = Demonstrations(instances, problem.observe(instances, problem.reset(instances)), solutions)
    learner = registry.learner("imitation", hidden=(7, 4))
    return learner.fit(problem, demonstrations=experts, budget=Budget(steps=30))


@pytest.fixture
def folder(policy: EnsemblePolicy, tmp_path: Path) -> Path:
    policy.save(tmp_path / "policy")
    return tmp_path / "policy"


def assert_one_line(error: OffloadError, *parts: str) -> None:
    message = str(error)
    assert "\n" not in message
    for part in parts:
        assert part in message


# ------------------------------------------------------------------------------------------------------- round trips


def test_a_loaded_policy_decides_as_the_saved_one(problem: Problem[Any], policy: EnsemblePolicy, folder: Path) -> None:
    instances = problem.sample(100, 1)
    first, second = policy.run(problem, instances), load_policy(folder, problem).run(problem, instances)
    assert (first.decisions["server"] > 0).any()
    for name in first.decisions:
        assert first.decisions[name].tobytes() == second.decisions[name].tobytes()


def test_a_loaded_policy_is_saved_as_the_same_bytes(problem: Problem[Any], folder: Path, tmp_path: Path) -> None:
    load_policy(folder, problem).save(tmp_path / "copy")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["policy.json", "weights.safetensors"]
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "copy" / name).read_bytes()


def test_the_description_says_who_made_the_policy_for_what(problem: Problem[Any], folder: Path) -> None:
    described = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    assert described["origin"]["learner"] == "imitation"
    assert described["origin"]["settings"]["hidden"] == [7, 4]
    assert described["origin"]["problem"] == "multi_server"
    assert described["origin"]["scenario"] == problem.scenario.model_dump(mode="json")
    training = described["origin"]["training"]
    assert 0.0 <= training.pop("expert_gap_mean") <= training.pop("expert_gap_worst") < 1e-12
    assert training == {"seed": 0, "steps": 256 * 5, "demonstrations": 32}
    assert described["shapes"]["network.hidden.0.weight"] == [2, 5, 7]
    assert described["weights_sha256"] == sha256(folder / "weights.safetensors")


def test_a_policy_decides_in_another_scenario_of_its_shape(folder: Path) -> None:
    elsewhere = registry.problem("multi_server", users=5, servers=2, layout_seed=None, cpu_server_hz=5e9)
    loaded = load_policy(folder, elsewhere)
    assert np.isfinite(loaded.run(elsewhere, elsewhere.sample(10, 0)).objective).all()
    assert loaded.origin.scenario["layout_seed"] == 1  # where it was trained, not where it is used


# ----------------------------------------------------------------------------------------------------------- refusals


def overwrite_json(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    described = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    change(described)
    (folder / "policy.json").write_text(json.dumps(described), encoding="utf-8")


def flip_a_bit(path: Path, where: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def forge(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Other weights under digests that fit them: what a careful forger, or another program, would write."""
    weights = load_file(folder / "weights.safetensors")
    change(weights)
    save_file(weights, folder / "weights.safetensors")
    description = Description.read(folder)
    shapes = {name: array.shape for name, array in weights.items()}
    weights_sha256 = sha256(folder / "weights.safetensors")
    files.write_sealed(folder / "policy.json", description.replace(shapes=shapes, weights_sha256=weights_sha256))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit of a weight": (lambda f: flip_a_bit(f / "weights.safetensors", 1.0), "weights.safetensors is damaged"),
    "a bit of the header": (lambda f: flip_a_bit(f / "weights.safetensors", 0.0), "weights.safetensors is damaged"),
    "half of the weights": (
        lambda f: (f / "weights.safetensors").write_bytes((f / "weights.safetensors").read_bytes()[:500]),
        "weights.safetensors is damaged",
    ),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "cannot read"),
    "a hyper-parameter": (lambda f: overwrite_json(f, lambda d: d["origin"]["settings"].update(l2=1.0)), "SHA-256"),
    "a field of the scenario": (
        lambda f: overwrite_json(f, lambda d: d["origin"]["scenario"].update(bandwidth_hz=2e6)),
        "SHA-256",
    ),
    "a shape": (lambda f: overwrite_json(f, lambda d: d["shapes"].update(center=[5, 2])), "SHA-256"),
    "a field too many": (lambda f: overwrite_json(f, lambda d: d.update(code="x")), "code"),
    "a field too few": (lambda f: overwrite_json(f, lambda d: d.pop("versions")), "versions"),
    "no digest": (lambda f: overwrite_json(f, lambda d: d.pop("sha256")), "sha256"),
    "no origin": (lambda f: overwrite_json(f, lambda d: d.update(origin=3)), "policy.json does not describe"),
    "another format": (
        lambda f: overwrite_json(f, lambda d: d.update(format_version=1)),
        "needs 3: train the policy again",
    ),
    "half of the JSON": (
        lambda f: (f / "policy.json").write_bytes((f / "policy.json").read_bytes()[:300]),
        "policy.json does not describe",
    ),
    "an empty file": (lambda f: (f / "policy.json").write_bytes(b""), "policy.json does not describe"),
    "a list": (lambda f: (f / "policy.json").write_text("[1]"), "policy.json does not describe"),
    "no text": (lambda f: (f / "policy.json").write_bytes(b"\xff\xfe\x00"), "policy.json does not describe"),
    "NaN": (lambda f: forge(f, lambda w: w["center"].fill(np.nan)), "NaN"),
    "an array too few": (lambda f: forge(f, lambda w: w.pop("network.hidden.1.bias")), "are not those of"),
    "an array too many": (lambda f: forge(f, lambda w: w.update(extra=np.zeros(3))), "are not those of"),
    "arrays of nobody": (
        lambda f: forge(f, lambda w: (w.clear(), w.update(a=np.zeros(3)))),
        "are not those of",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_or_foreign_policy_is_refused(damage: str, problem: Problem[Any], folder: Path) -> None:
    change, reason = DAMAGE[damage]
    change(folder)
    with pytest.raises(DamagedFile) as caught:
        load_policy(folder, problem)
    assert_one_line(caught.value, reason)


def test_weights_of_another_policy_are_refused(
    problem: Problem[Any], policy: EnsemblePolicy, folder: Path, tmp_path: Path
) -> None:
    other = EnsemblePolicy(policy.problem, type(policy.actor)(2, (5, 7, 4, 5)), policy.origin)
    other.save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "weights.safetensors", folder)
    with pytest.raises(DamagedFile, match="SHA-256"):
        load_policy(folder, problem)


def test_a_folder_without_a_policy_is_refused(problem: Problem[Any], tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InvalidInput) as caught:
            load_policy(place, problem)
        assert_one_line(caught.value, str(place), "no saved policy")


def test_a_policy_of_a_learner_that_is_not_installed_is_refused(problem: Problem[Any], folder: Path) -> None:
    description = Description.read(folder)
    origin = description.origin.replace(learner="imitatoin")
    files.write_sealed(folder / "policy.json", description.replace(origin=origin))
    with pytest.raises(UnknownName) as caught:
        load_policy(folder, problem)
    assert_one_line(caught.value, str(folder), "'imitatoin'", "'imitation'")


@pytest.mark.parametrize(("field", "value", "words"), [("users", 6, "6"), ("servers", 3, "3")])
def test_a_policy_for_another_number_of_users_or_servers_is_refused(
    folder: Path, field: str, value: int, words: str
) -> None:
    larger = registry.problem("multi_server", **{"users": 5, "servers": 2, field: value})
    with pytest.raises(InvalidInput) as caught:
        load_policy(folder, larger)
    assert_one_line(caught.value, str(folder), "center [2, 5]; this multi_server needs ", words)


def test_a_policy_refuses_instances_of_another_shape(policy: EnsemblePolicy) -> None:
    larger = registry.problem("multi_server", users=9)
    with pytest.raises(InvalidInput, match="load it for that problem"):
        policy.run(larger, larger.sample(1, 0))


def test_a_policy_for_another_problem_is_refused(folder: Path, toy: ModuleType) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_policy(folder, registry.problem("queues"))
    assert_one_line(caught.value, str(folder), "'multi_server'", "'queues'")
