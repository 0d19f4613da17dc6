"""Options reach problems, solvers and instances; wrong ones are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import offloadopt
from offloadopt import files, registry
from offloadopt.core import Problem

from toys.command_line import SMALL, Run, assert_one_line

FEDERATED = ["train", "twin_inference", "--learner", "federated", "--steps", "200"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["Missing command"]),
        (["slove"], ["solve"]),
        (["solve"], ["PROBLEM"]),
        (["solve", "multi_sever"], ["multi_sever", "'multi_server'"]),
        (["solve", "multi_server", "--solver", "exhaustve"], ["exhaustve", "'exhaustive'"]),
        (["solve", "multi_server", "--preset", "hetero"], ["hetero", "'heterogeneous'"]),
        (["solve", "multi_server", "--set", "user=3"], ["user", "'users'"]),
        (["solve", "multi_server", "--set", "self=3"], ["self"]),
        (["solve", "multi_server", "--set", "users"], ["users", "KEY=VALUE"]),
        (["solve", "multi_server", "--set", "=3"], ["KEY=VALUE"]),
        (["solve", "multi_server", "--set", "users=0"], ["users", "0", "1"]),
        (["solve", "multi_server", "--set", "servers=0"], ["servers", "0", "1"]),
        (["solve", "multi_server", "--set", "servers=-2"], ["servers", "-2", "1"]),
        (["solve", "multi_server", "--set", "users=2.5"], ["users", "2.5", "integer"]),
        (["solve", "multi_server", "--set", "bandwidth_hz=0"], ["bandwidth_hz", "greater than"]),
        (["solve", "multi_server", "--set", "bandwidth_hz=nan"], ["bandwidth_hz", "nan", "finite"]),
        (["solve", "multi_server", "--set", "bandwidth_hz=inf"], ["bandwidth_hz", "inf", "finite"]),
        (["solve", "multi_server", "--set", "bandwidth_hz=none"], ["bandwidth_hz", "None"]),
        (["solve", "multi_server", "--set", "task_bits=much"], ["task_bits", "much"]),
        (["solve", "multi_server", "--count", "0"], ["--count"]),
        (["solve", "multi_server", "--seed", "-1"], ["--seed"]),
        (["solve", "multi_server", "--solver", "levy", "--relative-gap", "-1"], ["relative_gap", "-1"]),
        (["solve", "multi_server", "--solver", "levy", "--time-limit", "nan"], ["time_limit_s", "nan"]),
        (["solve", "multi_server", "--solver", "levy", "--option", "generation=3"], ["'generations'"]),
        (["solve", "multi_server", "--solver", "exhaustive"], ["205891132094649", "2000000"]),
        (["solve", "multi_server", "--with-instances"], ["--json"]),
        (["solve", "multi_server", "--jsn"], ["--jsn"]),
        (["demos", "multi_server"], ["--out"]),
        (["demos", "multi_server", "--out", "OUT", "--backend", "slurm"], ["slurm"]),
        (["demos", "multi_server", "--out", "OUT", "--workers", "0"], ["--workers"]),
        (["train", "multi_server", "--learner", "imitaton", "--out", "OUT"], ["imitaton", "'imitation'"]),
        (["train", "multi_server", "--learner", "imitation", "--out", "OUT", "--seconds", "0"], ["--seconds"]),
        ([*FEDERATED, "--out", "OUT", "--option", "rule=mean"], ["rule", "mean", "average"]),
        ([*FEDERATED, "--out", "OUT", "--option", 'options={"view":'], ["options", "no JSON"]),
        ([*FEDERATED, "--out", "OUT", "--option", 'options={"veiw": "full"}'], ["veiw", "'view'"]),
        (["compare", "carbon_mimo", "--method", "levy-classic"], ["'levy-classic'", "AssignmentProblem"]),
        (["compare", "multi_server", "--method", "loca"], ["loca", "'local'"]),
        (["compare", "multi_server", "--method", "local", "--method", "local"], ["local", "taken"]),
        (["compare", "multi_server", "--method", "local", "--reference", "exact"], ["exact", "local"]),
        (["compare", "multi_server", "--method", "local", "--paired-with", "levy"], ["levy", "local"]),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(run(*arguments), 2, *words)
    assert not (tmp_path / "OUT").exists()


def test_options_may_be_lists_and_objects(run: Run, tmp_path: Path) -> None:
    options = ("--option", 'options={"view": "full", "hidden": [4]}', "--set", "users=2", "--set", "horizon=4")
    assert run(*FEDERATED, *options, "--out", str(tmp_path / "policy")).status == 0
    settings = json.loads((tmp_path / "policy" / "policy.json").read_text())["origin"]["settings"]
    assert (settings["view"], settings["hidden"]) == ("full", [4])


def test_limits_and_options_reach_the_solver(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}

    def serving(group: str, name: str, problem: Problem[Any]) -> Any:
        kind = original(group, name, problem)
        return type(kind.__name__, (kind,), {"model_post_init": lambda self, context: made.update(self.model_dump())})

    original = registry.serving
    monkeypatch.setattr(registry, "serving", serving)
    options = ("--relative-gap", "0.25", "--time-limit", "9", "--option", "generations=3")
    assert run("solve", *SMALL, "--solver", "levy", *options, "--json").status == 0
    assert (made["relative_gap"], made["time_limit_s"], made["generations"]) == (0.25, 9.0, 3)


@pytest.mark.parametrize("suffix", [".json", ".npz", ".parquet"])
def test_solve_takes_the_user_s_own_instances(run: Run, tmp_path: Path, suffix: str) -> None:
    problem = offloadopt.problem("multi_server", users=5)
    instances = problem.sample(3, seed=7)
    files.save_batch(instances, tmp_path / f"mine{suffix}")
    arguments = ("solve", *SMALL, "--solver", "exhaustive", "--input", tmp_path / f"mine{suffix}", "--json")
    expected = offloadopt.solver("exhaustive", problem).run(problem, instances).objective
    assert [result["objective"] for result in run(*arguments).json["results"]] == expected.tolist()
    assert [result["objective"] for result in run(*arguments, "--count", "2").json["results"]] == expected[:2].tolist()
    assert_one_line(run(*arguments, "--count", "4"), 2, "--count 4", "at most 3")


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (None, 1, ["No such file"]),
        (b"", 1, ["empty"]),
        (b"[1, 2", 1, ["mine.json"]),
        (b'{"results": [{"index": 0}]}', 1, ["--with-instances"]),
        (b'{"gain": [[[1.0, 1.0]]], "task_bits": [[1.0]], "task_cycle": [[1.0]]}', 2, ["task_cycle", "'task_cycles'"]),
        (b'{"gain": [[[1.0, 1.0]]], "task_bits": [[1.0]]}', 2, ["task_cycles", "missing"]),
        (
            b'{"gain": [[1.0, 1.0]], "task_bits": [[1.0]], "task_cycles": [[1.0]]}',
            2,
            ["gain", "shape", "[count, 1, 2]"],
        ),
        (b'{"gain": [[[1.0, 1.0]]], "task_bits": [[-1.0]], "task_cycles": [[1.0]]}', 2, ["task_bits", "-1"]),
    ],
)
def test_instances_that_cannot_be_used_are_one_line(
    run: Run, tmp_path: Path, content: bytes | None, status: int, words: list[str]
) -> None:
    if content is not None:
        (tmp_path / "mine.json").write_bytes(content)
    ran = run("solve", "multi_server", "--set", "users=1", "--solver", "local", "--input", tmp_path / "mine.json")
    assert_one_line(ran, status, *words)


def test_a_truncated_file_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    files.save_batch(offloadopt.problem("multi_server", users=5).sample(3, seed=7), path)
    path.write_bytes(path.read_bytes()[:-100])
    assert_one_line(run("solve", *SMALL, "--solver", "local", "--input", path), 1, "mine.npz")


def test_the_command_line_warns_in_one_line_and_solves(run: Run, tmp_path: Path) -> None:
    problem = offloadopt.problem("multi_server", users=5)
    instances = problem.sample(2, seed=0)
    files.save_batch({**instances, "task_bits": instances["task_bits"] / 1e6}, tmp_path / "mine.json")
    for command in (("solve", *SMALL, "--solver", "local"), ("compare", *SMALL, "--method", "local")):
        ran = run(*command, "--input", tmp_path / "mine.json")
        assert ran.status == 0
        assert ran.err.splitlines() == [
            "warning: task_bits is one 1e+06th of what the scenario samples: median 0.8 [bit]; check its unit"
        ]
    assert run("solve", *SMALL, "--set", "bandwidth_hz=1", "--solver", "local").err.count("warning: bandwidth_hz") == 1


def test_each_compared_method_has_options_of_its_own(run: Run, tmp_path: Path) -> None:
    small = "levy:population=2,generations=3"
    command = ("compare", *SMALL, "--count", "3", "--method", small, "--method", "levy:generations=4", "--json")
    assert [method["name"] for method in run(*command).json["methods"]] == [small, "levy:generations=4"]
    run(*command, "--out", tmp_path / "report")
    methods = json.loads((tmp_path / "report" / "report.json").read_text())["methods"]
    assert (methods[0]["settings"]["population"], methods[0]["settings"]["generations"]) == (2, 3)
    assert (methods[1]["settings"]["population"], methods[1]["settings"]["generations"]) == (5, 4)
    assert run(*command, "--workers", "2").json["methods"][0]["metrics"].keys() >= {"time_s", "energy_j"}


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("levy:populaton=2", ["populaton", "'population'"]),
        ("lvy:population=2", ["lvy", "'levy'"]),
        ("levy:population", ["population", "KEY=VALUE"]),
        ("levy:population=0", ["population", "0"]),
        ("exact:initial_prices=[[1,2],[3,4]]", ["initial_prices", "[2, 2]"]),
    ],
)
def test_wrong_options_of_a_compared_method_are_one_line(run: Run, method: str, words: list[str]) -> None:
    assert_one_line(run("compare", *SMALL, "--count", "3", "--method", method), 2, *words)
