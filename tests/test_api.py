"""The front door: one call for each thing that people do."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import offloadopt
from offloadopt import api, registry
from offloadopt.core import Interrupted, Method, Status
from offloadopt.errors import InvalidInput, UnknownName, Unsupported
from offloadopt.solvers.assignment.baselines import Local
from offloadopt.solvers.lyapunov import DriftPlusPenalty

from toys.tiny_papers import untuned

SMALL = {
    "multi_server": {"users": 4},
    "carbon_mimo": {"users": 2, "antennas": 4, "horizon": 3},
    "partial_mobile": {"users": 3, "horizon": 2},
    "battery_d2d": {"users": 2, "servers": 1, "horizon": 2},
    "twin_inference": {"users": 2, "servers": 2, "horizon": 2},
}
EVERY = pytest.mark.parametrize("name", registry.BUILT_IN["problems"])


def small(name: str) -> offloadopt.Problem:
    return offloadopt.problem(name, **SMALL[name])


def test_the_front_door_shows_what_it_has() -> None:
    shown = dir(offloadopt)
    assert {"available", "collect", "compare", "learner", "load_policy", "problem", "solve", "solver", "train"} <= {
        *shown
    }
    assert {"Budget", "Instances", "Decisions", "Problem", "Scenario", "Solutions", "Status", "Solver"} <= {*shown}
    assert all(getattr(offloadopt, name) is not None for name in shown)
    assert offloadopt.Report is importlib.import_module("offloadopt.evaluation").Report
    with pytest.raises(AttributeError, match="no attribute 'solves'"):
        offloadopt.solves  # noqa: B018


def test_rooms_show_what_is_in_them() -> None:
    assert {"assignment", "backlog", "inference", "shared_servers", "task_queues"} <= {*dir(offloadopt.solvers)}
    assert {"dirs", "ppo", "maddpg", "common"} <= {*dir(offloadopt.learners)}
    assert offloadopt.solvers.backlog.__name__ == "offloadopt.solvers.backlog"
    with pytest.raises(AttributeError, match=r"'offloadopt.learners' has no attribute 'exact'"):
        offloadopt.learners.exact  # noqa: B018


@EVERY
def test_every_problem_is_solved_collected_and_compared_without_naming_a_method(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DriftPlusPenalty, "tuned", untuned)
    problem = small(name)
    solutions = offloadopt.solve(problem, problem.sample(2, seed=0))
    assert {*solutions.status} <= {Status.OPTIMAL, Status.BOUNDED}
    demonstrations = offloadopt.collect(problem, count=2, folder=tmp_path / "demos")
    assert len(demonstrations.solutions.objective) == 2
    report = offloadopt.compare(problem, instances=2)
    assert report.methods[0].name == "exact"
    assert report.reference.proved
    assert {run.name for run in report.methods} == {
        method for method in api.COMPARED if method in offloadopt.available(problem)["solvers"]
    }


def test_ctrl_c_ends_solve_with_a_warning_and_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small("multi_server")
    found = Local().run(problem, problem.sample(1, seed=0))

    def interrupted(*_: object, **options: object) -> None:
        raise Interrupted(found)

    monkeypatch.setattr(Local, "run", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        assert offloadopt.solve(problem, problem.sample(1, seed=0), "local") is found


def test_own_arrays_are_checked() -> None:
    problem = small("multi_server")
    arrays = dict(problem.sample(2, seed=3))
    np.testing.assert_array_equal(
        offloadopt.solve(problem, arrays, "greedy").objective,
        offloadopt.solver("greedy", problem).run(problem, problem.sample(2, seed=3)).objective,
    )
    with pytest.raises(InvalidInput, match="gain"):
        offloadopt.solve(problem, {name: array for name, array in arrays.items() if name != "gain"})


def test_options_belong_to_names() -> None:
    problem = small("multi_server")
    instances = problem.sample(1, seed=0)
    assert offloadopt.solve(problem, instances, "exact", relative_gap=0.1).gap[0] <= 0.1
    with pytest.raises(InvalidInput, match="relative_gap is an option of a name"):
        offloadopt.solve(problem, instances, Local(), relative_gap=0.1)
    with pytest.raises(InvalidInput, match="allowed: a name from"):
        offloadopt.solve(problem, instances, instances)  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="'lyapunov' does not serve problem 'multi_server'"):
        offloadopt.solve(problem, instances, "lyapunov")


def test_training_takes_the_folder_of_demonstrations_and_a_policy_is_read_back(tmp_path: Path) -> None:
    problem = small("multi_server")
    offloadopt.collect(problem, "exhaustive", count=8, folder=tmp_path / "demos")
    policy = offloadopt.train(problem, "imitation", demonstrations=tmp_path / "demos", steps=100)
    policy.save(tmp_path / "policy")
    loaded = offloadopt.load_policy(tmp_path / "policy", problem)
    instances = problem.sample(5, seed=1)
    np.testing.assert_array_equal(loaded.run(problem, instances).objective, policy.run(problem, instances).objective)
    report = offloadopt.compare(problem, ["exact", tmp_path / "policy", Local()], 5)
    assert [run.name for run in report.methods] == ["exact", "policy", "local"]
    assert "policy" in str(report)


def test_a_learner_is_trained_as_it_is(tmp_path: Path) -> None:
    problem = small("multi_server")
    demonstrations = offloadopt.collect(problem, "exhaustive", count=8, folder=tmp_path / "demos")
    learner = registry.learner("imitation", problem)
    one, same = (
        offloadopt.train(problem, method, demonstrations=demonstrations, steps=100) for method in (learner, "imitation")
    )
    instances = problem.sample(5, seed=1)
    np.testing.assert_array_equal(one.run(problem, instances).objective, same.run(problem, instances).objective)
    with pytest.raises(InvalidInput, match="hidden is an option of a name"):
        offloadopt.train(problem, learner, demonstrations=demonstrations, hidden=(8,))
    with pytest.raises(Unsupported, match="'imitation' does not serve problem 'carbon_mimo'"):
        offloadopt.train(small("carbon_mimo"), learner)


@pytest.mark.parametrize(
    ("methods", "error", "message"),
    [
        ("exact", InvalidInput, "allowed: a list of methods"),
        (["exact", "exact"], InvalidInput, "is taken"),
        (["exat"], UnknownName, "'exact'"),
        ([3], InvalidInput, "methods holds 3"),
        ({"mine": 3}, InvalidInput, "method 3"),
    ],
)
def test_wrong_methods_are_one_line(methods: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        offloadopt.compare(small("multi_server"), methods, 2)  # type: ignore[arg-type]


def test_swapped_arguments_are_one_line() -> None:
    problem = small("multi_server")
    instances = problem.sample(2, seed=0)
    with pytest.raises(InvalidInput, match=r"allowed: compare\(problem, methods, instances\)"):
        offloadopt.compare(problem, instances, ["exact"])  # type: ignore[arg-type]


def test_a_problems_name_is_no_problem() -> None:
    problem = small("multi_server")
    for call in (
        offloadopt.compare,
        lambda name: offloadopt.solve(name, 3),
        lambda name: offloadopt.train(name, "ppo"),
    ):
        with pytest.raises(InvalidInput, match=r"problem = 'multi_server'; allowed: a Problem"):
            call("multi_server")  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="instances = 3; allowed: Instances"):
        offloadopt.solve(problem, 3)  # type: ignore[arg-type]


def test_a_method_that_does_not_serve_is_refused_with_those_that_do() -> None:
    problem = small("carbon_mimo")
    with pytest.raises(Unsupported, match=r"solvers that serve it: exact, .*lyapunov.*greedy-local") as error:
        offloadopt.solver("levy-classic", problem)
    assert not re.search("local-search|grid-milp|dynamic-programming", str(error.value))
    with pytest.raises(Unsupported, match=r"learners that serve it: .*ppo"):
        offloadopt.train(problem, "dirs")


def test_available_tells_what_serves_a_problem() -> None:
    everything = offloadopt.available()
    assert everything["problems"] == list(registry.names("problems"))
    serving = offloadopt.available(offloadopt.problem("carbon_mimo"))
    assert {"exact", "lyapunov", "greedy-local"} <= {*serving["solvers"]} <= {*everything["solvers"]}
    assert "levy-classic" not in serving["solvers"]
    assert "dirs" not in serving["learners"]


def test_progress_is_shown_if_wanted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offloadopt.progress.QUIET_S", 0.01)
    monkeypatch.setattr("offloadopt.progress.EVERY_S", 0.01)
    problem = small("multi_server")
    offloadopt.solve(problem, problem.sample(3, seed=0), "levy", display=True)
    assert "solving with levy: 0 of 3 after 0 s; mean of 3 searches: best " in capsys.readouterr().err
    offloadopt.solve(problem, problem.sample(3, seed=0), "levy")
    assert capsys.readouterr().err == ""


@EVERY
def test_problems_and_solutions_print_themselves(name: str) -> None:
    problem = small(name)
    assert repr(problem).startswith(f"<{type(problem).__name__}, preset paper with ")
    assert repr(offloadopt.problem(name)).startswith(f"<{type(problem).__name__}, preset paper: ")
    solutions = offloadopt.solve(problem, problem.sample(1, seed=0))
    assert repr(solutions) == f"<Solutions of {name}: 1 instances, 1 {solutions.status_names[0]}>"
    first, *rest = solutions.summary().splitlines()
    assert first.startswith(
        f"{solutions.status_names[0]}: cost {solutions.objective[0]:.8g}, no decision costs less than"
    )
    assert rest == problem.describe(solutions.decisions)
    assert str(solutions) == solutions.summary()
    assert solutions._repr_html_().startswith("<pre>")
    assert "..." in offloadopt.solve(problem, problem.sample(3, seed=0), "random").summary(rows=2)


def test_a_method_is_refused_where_a_class_is_given() -> None:
    assert not isinstance(Local, Method)
    with pytest.raises(InvalidInput, match="methods holds"):
        offloadopt.compare(small("multi_server"), [Local], 2)  # type: ignore[list-item]


def test_methods_are_compared_with_options_of_their_own() -> None:
    problem = small("multi_server")
    pairs = [("levy", {"generations": 2}), ("levy", {"generations": 2, "population": 3}), ("greedy", {})]
    report = offloadopt.compare(problem, pairs, 3)
    assert [run.name for run in report.methods] == ["levy:generations=2", "levy:generations=2,population=3", "greedy"]
    assert report.methods[1].settings["population"] == 3
    named = offloadopt.compare(problem, {"few": pairs[1]}, 3)
    np.testing.assert_array_equal(named.methods[0].cost, report.methods[1].cost)
    with pytest.raises(UnknownName, match="levy"):
        offloadopt.compare(problem, [("lvey", {})], 3)
    with pytest.raises(InvalidInput, match="a pair of name and options"):
        offloadopt.compare(problem, [("levy", 3)], 3)  # type: ignore[list-item]
