"""A training's folder: begun, continued, finished, read; what belongs to nobody's training there is never removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offloadopt import folders, registry
from offloadopt.core import Budget, Demonstrations, Learner, Problem
from offloadopt.errors import DamagedFile, OutputExists
from offloadopt.learners import training_folder
from offloadopt.learners.common.saved_policy import TrainedPolicy
from offloadopt.learners.training_folder import train


class Killed(BaseException):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module")
def problem() -> Problem[Any]:
    return registry.problem("multi_server", users=3, servers=2)


@pytest.fixture(scope="module")
def experts(problem: Problem[Any]) -> Demonstrations:
    instances = problem.sample(16, 0)
    solutions = registry.solver("exact", problem).run(problem, instances)
    return Demonstrations(instances, problem.observe(instances, problem.reset(instances)), solutions)


@pytest.fixture
def options(experts: Demonstrations) -> dict[str, Any]:
    return {"demonstrations": experts, "budget": Budget(steps=200)}


def imitation(**changes: Any) -> Learner:
    return registry.learner("imitation", **{"batch_size": 16, "hidden": (4,), **changes})


def held(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kill(*_: Any, **__: Any) -> None:
    raise Killed


def kill_after_saving(policy: TrainedPolicy, folder: Path, save: Any = TrainedPolicy.save) -> None:
    save(policy, folder)
    raise Killed


@pytest.mark.parametrize(
    ("place", "name", "step"),
    [
        (TrainedPolicy, "save", kill),
        (TrainedPolicy, "save", kill_after_saving),
        (folders.FolderFormat, "remove", kill),
    ],
)
def test_a_training_killed_while_it_finishes_is_finished_by_the_same_call(
    problem: Problem[Any],
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    name: str,
    step: Any,
) -> None:
    train(imitation(), problem, tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        patch.setattr(place, name, step)
        with pytest.raises(Killed):
            train(imitation(), problem, tmp_path / "killed", **options)
    assert held(tmp_path / "killed") != held(tmp_path / "whole")
    train(imitation(), problem, tmp_path / "killed", **options)
    assert held(tmp_path / "killed") == held(tmp_path / "whole")
    assert sorted(held(tmp_path / "whole")) == ["policy.json", "training.json", "weights.safetensors"]


def test_a_finished_training_is_read_and_not_repeated(
    problem: Problem[Any], options: dict[str, Any], tmp_path: Path
) -> None:
    first = train(imitation(), problem, tmp_path, **options)
    again = train(imitation(), problem, tmp_path, progress=kill, record=kill, **options)
    assert again.origin == first.origin  # type: ignore[attr-defined]
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(DamagedFile, match="weights"):
        train(imitation(), problem, tmp_path, **options)


def test_another_training_is_refused_unless_it_is_to_be_overwritten(
    problem: Problem[Any], options: dict[str, Any], experts: Demonstrations, tmp_path: Path
) -> None:
    train(imitation(), problem, tmp_path, **options)
    before = held(tmp_path)
    rows = slice(0, 15)
    fewer = Demonstrations(experts.instances.take(rows), experts.observations.take(rows), experts.solutions.take(rows))
    for learner, changed, named in (
        (imitation(hidden=(5,)), {}, "settings.hidden"),
        (imitation(), {"seed": 1}, "seed is 0, not 1"),
        (imitation(), {"budget": Budget(steps=201)}, "budget.steps is 200, not 201"),
        (imitation(), {"demonstrations": fewer}, "demonstrations_sha256"),
    ):
        with pytest.raises(OutputExists, match=named):
            train(learner, problem, tmp_path, **{**options, **changed})
    assert held(tmp_path) == before
    train(imitation(), problem, tmp_path, overwrite=True, **{**options, "seed": 1})
    assert held(tmp_path).keys() == before.keys()
    assert held(tmp_path) != before


@pytest.mark.parametrize("name", ["thesis.txt", "checkpoint/thesis.txt", "checkpoint/state-2.safetensors"])
def test_what_somebody_else_keeps_in_the_folder_is_never_removed(
    problem: Problem[Any], options: dict[str, Any], tmp_path: Path, name: str
) -> None:
    train(imitation(), problem, tmp_path, **options)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("all of it")
    before = held(tmp_path)
    with pytest.raises(OutputExists, match="not ours"):
        train(imitation(), problem, tmp_path, overwrite=True, **options)
    train(imitation(), problem, tmp_path, **options)
    assert held(tmp_path) == before


def test_an_unfinished_training_with_something_of_others_in_its_checkpoint_is_refused(
    problem: Problem[Any], options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(imitation(), problem, tmp_path, progress=kill, **options)
    (tmp_path / "checkpoint" / "thesis.txt").write_text("all of it")
    with pytest.raises(OutputExists, match=r"thesis\.txt"):
        train(imitation(), problem, tmp_path, **options)
    assert (tmp_path / "checkpoint" / "thesis.txt").read_text() == "all of it"


def test_a_policy_saved_without_its_training_is_replaced_only_if_asked(
    problem: Problem[Any], options: dict[str, Any], tmp_path: Path
) -> None:
    imitation().fit(problem, **options).save(tmp_path)
    with pytest.raises(OutputExists, match="not empty"):
        train(imitation(), problem, tmp_path, **options)
    train(imitation(), problem, tmp_path, overwrite=True, **options)
    assert (tmp_path / training_folder.MARK).exists()
