"""A folder knows its report again, and takes no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import offloadopt
from offloadopt import registry
from offloadopt.core import Budget
from offloadopt.errors import DamagedFile, OutputExists
from offloadopt.evaluation import Report
from offloadopt.evaluation.report_folder import FILES, comparison_inputs, report_folder, write

INPUTS = {"seed": 1, "methods": {"greedy": {}}}
GIVEN: dict[str, Any] = {"seed": 1, "reference": None, "paired_with": None}


REPORT = {"problem": "demo", "scenario": {"users": 3}, "inputs": INPUTS, "summary": "greedy 1.5", "undecided": 0}


def saved(path: Path, report: dict[str, Any] = REPORT) -> Path:
    write(path, report, dict.fromkeys(FILES, b"picture"))
    return path


def test_what_was_killed_while_writing_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(
            "offloadopt.evaluation.report_folder.write_atomic", lambda path, data: path.write_bytes(data) and kill()
        )
        with pytest.raises(Killed), report_folder(tmp_path, INPUTS):
            saved(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    with report_folder(tmp_path, INPUTS) as found:
        assert found is None


def test_a_finished_report_is_known_again_and_nothing_is_written(report: Report, tmp_path: Path) -> None:
    assert report.save(tmp_path, INPUTS)["summary"] == report.summary()
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with report_folder(tmp_path, INPUTS) as found:
        assert found is not None
    assert found["summary"] == report.summary()
    assert found["methods"] == json.loads(report.to_json())["methods"]
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({**INPUTS, "seed": 2}, "its seed is 1, not 2"),
        ({**INPUTS, "methods": {"local": {}}}, "its methods.greedy is {}, not None"),
    ],
)
def test_another_comparison_is_refused_with_what_differs(tmp_path: Path, inputs: dict[str, Any], says: str) -> None:
    saved(tmp_path)
    with pytest.raises(OutputExists) as refused, report_folder(tmp_path, inputs):
        pass
    assert says in str(refused.value)
    with report_folder(tmp_path, inputs, overwrite=True) as found:
        assert found is None
        assert list(tmp_path.iterdir()) == []


def test_a_report_that_does_not_say_what_was_compared_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, {name: value for name, value in REPORT.items() if name != "inputs"})
    with pytest.raises(OutputExists, match="holds a report"), report_folder(tmp_path, INPUTS):
        pass


def test_others_files_stay(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "thesis.png").write_text("mine")
    with pytest.raises(OutputExists, match=r"thesis\.png"), report_folder(tmp_path, INPUTS, overwrite=True):
        pass
    assert (tmp_path / "report.json").exists()


def edited(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_report_that_was_edited_or_lost_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    saved(tmp_path)
    mark = tmp_path / "report.json"
    whole = mark.read_bytes()
    for spoil, says in [
        (lambda: edited(mark, summary="all is well"), "SHA-256"),
        (lambda: mark.write_bytes(whole[:-9]), "no JSON"),
        (lambda: edited(mark, inputs=[1]), "another report"),
        (lambda: (tmp_path / "gap.png").unlink(), r"no gap\.png any more"),
    ]:
        spoil()
        with pytest.raises((DamagedFile, OutputExists), match=says), report_folder(tmp_path, INPUTS):
            pass
        mark.write_bytes(whole)


def test_all_that_determines_a_comparison_is_named() -> None:
    problem = offloadopt.problem("multi_server", users=3)
    local, levy = offloadopt.solver("local", problem), offloadopt.solver("levy", problem)
    instances = problem.sample(2, 0)

    def inputs(methods: dict[str, Any], instances: Any = instances, problem: Any = problem, **changes: Any) -> str:
        return json.dumps(comparison_inputs(problem, methods, instances, **{**GIVEN, **changes}))

    known = inputs({"a": local, "b": levy})
    assert known == inputs({"a": local, "b": levy}, problem.sample(2, 0))
    others = [
        inputs({"b": levy, "a": local}),
        inputs({"a": local, "b": levy.replace(time_limit_s=3.0)}),
        inputs({"a": local, "b": levy}, problem.sample(2, 1)),
        inputs({"a": local, "b": levy}, seed=2),
        inputs({"a": local, "b": levy}, reference="b"),
        inputs({"a": local, "b": levy}, paired_with="b"),
        inputs({"a": local, "b": levy}, problem=offloadopt.problem("multi_server", users=3, bandwidth_hz=2e6)),
    ]
    assert len({known, *others}) == 1 + len(others)


def test_policies_are_known_by_their_weights(tmp_path: Path) -> None:
    problem = offloadopt.problem("multi_server", users=3)
    learner = registry.learner("dirs", hidden=(4,), generations=1, demonstrations=4, pretraining=1)
    once, other = (learner.fit(problem, budget=Budget(1), seed=seed) for seed in (0, 1))
    once.save(tmp_path)
    policies = (once, offloadopt.load_policy(tmp_path, problem), other)
    first, again, last = (
        comparison_inputs(problem, {"mine": policy}, problem.sample(1, 0), **GIVEN) for policy in policies
    )
    assert first == again != last
