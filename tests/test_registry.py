"""Names lead to classes: the built-in ones and those of anybody's package."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from offloadopt import registry
from offloadopt.core import Learner, Problem, Solver
from offloadopt.errors import InvalidInput, OffloadError, UnknownName, Unsupported
from offloadopt.problems.multi_server import MultiServer

KINDS = {"problems": Problem, "solvers": Solver, "learners": Learner}


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in KINDS for name in registry.BUILT_IN[group]])
def test_every_built_in_name_is_its_class_own_name(group: str, name: str) -> None:
    for kind in registry.implementations(group, name):
        assert issubclass(kind, KINDS[group])
        assert kind.name == name


def test_every_model_is_named_after_its_problem() -> None:
    assert set(registry.names("models")) <= set(registry.names("problems"))
    for name in registry.BUILT_IN["models"]:
        registry.get("models", name)


@pytest.mark.parametrize(
    ("group", "name", "message"),
    [
        ("problems", "multi_sever", "no problem 'multi_sever'; did you mean 'multi_server'?"),
        ("solvers", "exect", "no solver 'exect'; did you mean 'exact'?"),
        ("learners", "zzz", f"no learner 'zzz'; known: {', '.join(sorted(registry.BUILT_IN['learners']))}"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(group: str, name: str, message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        registry.get(group, name)
    assert str(caught.value) == message
    assert caught.value.exit_status == 2


def test_a_problem_is_made_from_preset_and_changes() -> None:
    problem = registry.problem("multi_server", "heterogeneous", users=7)
    assert isinstance(problem, MultiServer)
    assert (problem.scenario.users, problem.scenario.task_spread) == (7, 0.5)


def test_solvers_and_learners_are_made_with_their_options() -> None:
    assert registry.solver("random", relative_gap=0.5).relative_gap == 0.5
    with pytest.raises(InvalidInput, match="unknown field 'relative_gab'"):
        registry.solver("random", relative_gab=0.5)


def test_an_installed_plugin_is_found_by_its_entry_points(toy: ModuleType) -> None:
    assert registry.names("problems")["queues"] == ("toy_plugin:Queues",)
    assert registry.get("problems", "queues") is toy.Queues
    assert isinstance(registry.solver("foresight"), toy.Foresight)
    assert isinstance(registry.learner("threshold-search"), toy.ThresholdSearch)
    assert list(registry.names("problems"))[: len(registry.BUILT_IN["problems"])] == list(registry.BUILT_IN["problems"])


def test_without_the_plugin_its_names_are_unknown() -> None:
    with pytest.raises(UnknownName, match="no problem 'queues'"):
        registry.get("problems", "queues")


def test_a_plugin_does_not_replace_what_is_built_in(toy: ModuleType) -> None:
    places = registry.names("solvers")["exact"]
    assert places == (*registry.BUILT_IN["solvers"]["exact"], "toy_plugin:Foresight")
    assert not isinstance(registry.solver("exact", registry.problem("multi_server")), toy.Foresight)


def test_a_plugin_adds_its_implementation_to_a_name_that_exists(toy: ModuleType) -> None:
    assert isinstance(registry.solver("exact", registry.problem("queues")), toy.Foresight)


def test_each_problem_gets_its_own_exact_solver() -> None:
    chosen = [type(registry.solver("exact", registry.problem(name))) for name in registry.BUILT_IN["problems"]]
    assert len(set(chosen)) == len(chosen) == 5
    with pytest.raises(InvalidInput, match=r"solver 'exact' has 5 implementations; give the problem"):
        registry.solver("exact")
    with pytest.raises(Unsupported, match="'round-robin' does not serve problem 'carbon_mimo'"):
        registry.solver("round-robin", registry.problem("carbon_mimo"))


def test_packages_are_scanned_once_and_not_at_all_for_built_in_names(
    toy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned: list[str] = []
    scan = registry.entry_points
    monkeypatch.setattr(registry, "entry_points", lambda group: (scanned.append(group), scan(group=group))[1])
    for _ in range(3):
        registry.get("solvers", "exact")
    assert scanned == []
    for _ in range(3):
        assert registry.get("solvers", "foresight") is toy.Foresight
    assert scanned == ["offloadopt.solvers"]


def test_a_package_put_on_the_path_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = registry.names("solvers")
    metadata = tmp_path / "late-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[offloadopt.solvers]\nlatecomer = late:Latecomer\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.names("solvers") == {**before, "latecomer": ("late:Latecomer",)}


def test_a_plugin_that_cannot_be_loaded_is_named_and_the_others_work(toy: ModuleType) -> None:
    with pytest.raises(OffloadError, match=r"solver 'missing' \(toy_plugin:NoSuchClass\) cannot be loaded") as caught:
        registry.get("solvers", "missing")
    assert "\n" not in str(caught.value)
    assert registry.get("solvers", "foresight") is toy.Foresight
