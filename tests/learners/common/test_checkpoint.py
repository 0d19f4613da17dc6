"""A training that was cut short ends as if it had not been; what was changed or is foreign is not continued."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations, Problem
from offloadopt.errors import DamagedFile, OutputExists
from offloadopt.learners.common import training as course
from offloadopt.learners.common.checkpoint import Checkpoint, Stateful

DIRS = {
    "demonstrations": 40,
    "pretraining": 30,
    "slots": 40,
    "interval": 5,
    "batch_size": 16,
    "replay_size": 4,
    "generations": 3,
    "hidden": (7, 5),
}
IMITATION = {"gradient_steps": 40, "batch_size": 16, "hidden": (7, 5)}


class Killed(BaseException):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module")
def problem() -> Problem[Any]:
    return registry.problem("multi_server", users=5, servers=2)


@pytest.fixture(scope="module")
def experts(problem: Problem[Any]) -> Demonstrations:
    instances = problem.sample(40, 0)
    solutions = registry.solver("exact", problem).run(problem, instances)
    return Demonstrations(instances, problem.observe(instances, problem.reset(instances)), solutions)


@pytest.fixture
def saved_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)


def weights(policy: Any) -> dict[str, bytes]:
    return {name: array.numpy().tobytes() for name, array in policy.actor.state_dict().items()}


def decisions(name: str, options: Mapping[str, Any], iterations: int) -> int:
    """Decisions of five agents after gradient steps on minibatches of 16 and, of `DIRS` that imitate 30, slots."""
    rehearsed = 40 if name == "imitation" else 30 * options.get("imitation", True)
    return 5 * (16 * min(iterations, rehearsed) + max(iterations - rehearsed, 0))


def killer(after: int) -> Any:
    """Progress that ends the training once so many decisions are done."""
    done = 0

    def progress(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= after:
            raise Killed

    return progress


@pytest.mark.usefixtures("saved_at_every_step")
@pytest.mark.parametrize(
    ("name", "options", "given", "kills"),
    [
        ("imitation", IMITATION, True, (10, 30)),
        ("dirs", DIRS, False, (10,)),
        ("dirs", DIRS, False, (30, 50)),
        ("dirs", DIRS, True, (50,)),
        ("dirs", {**DIRS, "imitation": False}, False, (20,)),
    ],
)
def test_a_training_that_was_killed_ends_with_the_same_policy(
    problem: Problem[Any],
    experts: Demonstrations,
    tmp_path: Path,
    name: str,
    options: dict[str, Any],
    given: bool,
    kills: tuple[int, ...],
) -> None:
    learner = registry.learner(name, **options)
    demonstrations = experts if given else None
    whole = learner.fit(problem, demonstrations=demonstrations, seed=3)
    for after in kills:
        with pytest.raises(Killed):
            learner.fit(
                problem,
                demonstrations=demonstrations,
                seed=3,
                progress=killer(decisions(name, options, after)),
                checkpoint=tmp_path / "state",
            )
    done: list[int] = []
    resumed = learner.fit(
        problem, demonstrations=demonstrations, seed=3, progress=done.append, checkpoint=tmp_path / "state"
    )
    assert weights(resumed) == weights(whole)
    assert resumed.origin == whole.origin  # type: ignore[attr-defined]
    assert sum(done) == learner.default_steps(problem)
    assert done[0] >= decisions(name, options, kills[-1] - 10)  # what was done is not done again
    for folder, policy in (("resumed", resumed), ("whole", whole)):
        policy.save(tmp_path / folder)
    for file in ("policy.json", "weights.safetensors"):
        assert (tmp_path / "resumed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_killed_process_loses_nothing_that_was_saved(
    problem: Problem[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = registry.learner("dirs", **DIRS)
    pid = os.fork()
    if pid == 0:  # dies below, and never gets back to pytest
        spent = 0

        def progress(steps: int) -> None:
            nonlocal spent
            spent += steps
            if spent >= decisions("dirs", DIRS, 50):
                os.kill(os.getpid(), signal.SIGKILL)

        with suppress(BaseException):
            monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
            learner.fit(problem, seed=3, progress=progress, checkpoint=tmp_path / "state")
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    done: list[int] = []
    resumed = learner.fit(problem, seed=3, progress=done.append, checkpoint=tmp_path / "state")
    assert done[0] >= decisions("dirs", DIRS, 40)
    assert weights(resumed) == weights(learner.fit(problem, seed=3))


def test_a_finished_training_is_read_not_repeated(
    problem: Problem[Any], experts: Demonstrations, tmp_path: Path
) -> None:
    learner = registry.learner("imitation", **IMITATION)
    whole = learner.fit(problem, demonstrations=experts, checkpoint=tmp_path)
    curve: list[int] = []
    again = learner.fit(problem, demonstrations=experts, checkpoint=tmp_path, record=lambda step, _: curve.append(step))
    assert weights(again) == weights(whole)
    assert curve == []


@pytest.fixture
def trained(problem: Problem[Any], experts: Demonstrations, tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    registry.learner("dirs", **DIRS).fit(problem, budget=Budget(steps=800), seed=3, checkpoint=folder)
    return folder


@pytest.mark.parametrize(
    ("options", "scenario", "steps", "seed", "named"),
    [
        ({}, {}, 800, 4, "seed is 3, not 4"),
        ({}, {}, 900, 3, "budget.steps is 800, not 900"),
        ({"l2": 0.0}, {}, 800, 3, "settings.l2 is 0.0005, not 0.0"),
        ({}, {"area_m": 51.0}, 800, 3, "scenario.area_m is 50.0, not 51.0"),
    ],
)
def test_another_training_is_not_continued(
    trained: Path, options: dict[str, Any], scenario: dict[str, Any], steps: int, seed: int, named: str
) -> None:
    problem = registry.problem("multi_server", users=5, servers=2, **scenario)
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    with pytest.raises(OutputExists, match=f"holds another training: its {named}; choose another folder"):
        registry.learner("dirs", **DIRS, **options).fit(
            problem, budget=Budget(steps=steps), seed=seed, checkpoint=trained
        )
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before


def test_other_demonstrations_are_another_training(
    problem: Problem[Any], experts: Demonstrations, tmp_path: Path
) -> None:
    learner = registry.learner("imitation", **IMITATION)
    learner.fit(problem, demonstrations=experts, checkpoint=tmp_path)
    rows = slice(0, 39)
    fewer = Demonstrations(experts.instances.take(rows), experts.observations.take(rows), experts.solutions.take(rows))
    with pytest.raises(OutputExists, match="its examples_sha256 is"):
        learner.fit(problem, demonstrations=fewer, checkpoint=tmp_path)


def test_a_folder_with_something_else_is_left_alone(
    problem: Problem[Any], experts: Demonstrations, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(OutputExists, match=r"thesis\.tex"):
        registry.learner("imitation", **IMITATION).fit(problem, demonstrations=experts, checkpoint=tmp_path)


def damage_index(folder: Path) -> None:
    path = folder / "checkpoint.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "step": index["step"] + 1}))


def cut_index_short(folder: Path) -> None:
    path = folder / "checkpoint.json"
    path.write_bytes(path.read_bytes()[:-40])


def other_format(folder: Path) -> None:
    path = folder / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))


def damage_state(folder: Path) -> None:
    (path,) = folder.glob("state-*.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def lose_state(folder: Path) -> None:
    for path in folder.glob("state-*.safetensors"):
        path.unlink()


def damage_demonstrations(folder: Path) -> None:
    path = folder / "kept-demonstrations.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (damage_index, "checkpoint.json is damaged"),
        (cut_index_short, "checkpoint.json does not describe a training"),
        (other_format, "format version 99"),
        (damage_state, "safetensors is damaged"),
        (lose_state, "cannot read"),
        (damage_demonstrations, "demonstrations.safetensors is damaged"),
    ],
)
def test_a_damaged_checkpoint_is_named_in_one_line(
    problem: Problem[Any], trained: Path, damage: Any, named: str
) -> None:
    damage(trained)
    with pytest.raises(DamagedFile, match=named) as caught:
        registry.learner("dirs", **DIRS).fit(problem, budget=Budget(steps=800), seed=3, checkpoint=trained)
    assert "\n" not in str(caught.value)


def test_a_state_is_replaced_only_by_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between writing the arrays and naming them, the folder still gives the state before."""
    store = Checkpoint.open(tmp_path, {"seed": 1})
    assert store.read() == {}
    store.write(5, 50, 1.5, {"a": np.arange(3.0)})
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "_write", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            store.write(6, 60, 2.0, {"a": np.arange(4.0)})
    again = Checkpoint.open(tmp_path, {"seed": 1})
    assert (again.iteration, again.step, again.seconds, again.read()["a"].tolist()) == (5, 50, 1.5, [0.0, 1.0, 2.0])
    again.write(7, 70, 3.0, {"a": np.arange(5.0)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.json", "state-1.safetensors"]


def test_what_never_changes_is_made_once(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(1)
        return {"x": np.array([len(made)])}

    for _ in range(2):
        found = Checkpoint.open(tmp_path, {"seed": 1}).once("examples", make)
        assert found["x"].tolist() == [1]


# ------------------------------------------------------------------------------------------------ states of objects


class Counted(Stateful):
    state_fields: ClassVar[tuple[str, ...]] = ("steps", "started", "moving")

    def __init__(self, steps: int) -> None:
        self.steps, self.started, self.moving = steps, steps > 0, np.full(2, float(steps))


class Nested(Counted):
    state_fields = ("network", "parts", "nothing", "scale")

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.network = torch.nn.Linear(2, 1)
        self.network.weight.data.fill_(float(steps))
        self.parts = {"one": Counted(steps + 1), "two": Counted(steps + 2)}
        self.nothing = None
        self.scale = torch.tensor([0.5 * steps])
        self.settings = f"made with {steps}"


def test_a_state_is_that_of_the_named_attributes_of_a_class_and_its_bases() -> None:
    old, new = Nested(3), Nested(0)
    network, part = new.network, new.parts["two"]
    arrays = old.arrays()
    assert {"steps", "network.weight", "parts.one.moving", "parts.two.started", "scale"} <= arrays.keys()
    new.restore({name: array.copy() for name, array in arrays.items()})
    assert (new.steps, new.started, new.parts["one"].steps, new.parts["two"].steps) == (3, True, 4, 5)
    assert (type(new.steps), type(new.started)) == (int, bool)
    assert new.network is network
    assert new.parts["two"] is part
    assert new.nothing is None
    assert new.settings == "made with 0"
    for name, array in new.arrays().items():
        np.testing.assert_array_equal(array, arrays[name])
    old.moving += 1.0
    old.network.weight.data.zero_()
    np.testing.assert_array_equal(new.moving, [3.0, 3.0])
    assert (new.network.weight == 3.0).all()
