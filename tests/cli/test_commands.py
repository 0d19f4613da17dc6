"""The command line: what it prints, what it refuses, and the status it ends with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt import files, registry
from offloadopt.cli import main, terminal
from offloadopt.core import Decisions, Instances, Problem, Progress, Solutions, Solver

SMALL = ("multi_server", "--set", "users=5")
COMMAND = (sys.executable, "-c", "import sys; from offloadopt.cli import main; sys.exit(main())")


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str | Path) -> Ran:
        status = main([str(argument) for argument in arguments])
        return Ran(status, *capsys.readouterr())

    return call


def assert_one_line(ran: Ran, status: int, *words: str) -> None:
    """Nothing on stdout, one line on stderr that names the fault."""
    assert (ran.status, ran.out) == (status, "")
    assert re.fullmatch(r"error: [^\n]+\n", ran.err)
    for word in words:
        assert word in ran.err


# ------------------------------------------------------------------------------------------------------------- list


def test_list_names_everything_registered(run: Run) -> None:
    found = run("list", "--json").json
    for group, entries in found.items():
        assert [entry["name"] for entry in entries] == list(registry.names(group))
        assert all(entry["summary"] for entry in entries)
    solvers = {entry["name"]: entry for entry in found["solvers"]}
    assert (solvers["exhaustive"]["proves"], solvers["levy"]["proves"]) == (True, False)
    assert solvers["levy"]["serves"] == ["multi_server", "partial_mobile"]


def test_list_shows_plugins_and_survives_a_broken_one(run: Run, toy: ModuleType) -> None:
    ran = run("list", "--json")
    assert "queues" in [entry["name"] for entry in ran.json["problems"]]
    solvers = {entry["name"]: entry for entry in ran.json["solvers"]}
    assert solvers["foresight"]["summary"] == toy.HindsightData.__doc__.partition("\n")[0]
    assert "missing" not in solvers
    assert "solver 'missing'" in ran.err


def test_list_shows_presets_to_people(run: Run) -> None:
    assert "task_spread=0.5, load=1.0" in run("list").out


def test_version_is_the_package_s(run: Run) -> None:
    assert run("--version").out == f"offloadopt {offloadopt.__version__}\n"


# ------------------------------------------------------------------------------------------------------------ solve


def test_solve_json_has_the_promised_fields_and_the_problem_s_own_cost(run: Run) -> None:
    ran = run("solve", *SMALL, "--solver", "exhaustive", "--count", "3", "--seed", "4", "--json", "--with-instances")
    assert ran.status == 0, ran.err
    found = ran.json
    assert list(found) == ["problem", "scenario", "solver", "results"]
    assert (found["problem"], found["solver"], found["scenario"]["users"]) == ("multi_server", "exhaustive", 5)
    fields = ["index", "status", "objective", "bound", "gap", "seconds", "decision", "instance"]
    assert [list(result) for result in found["results"]] == [fields] * 3

    problem = offloadopt.problem("multi_server", users=5)
    instances = problem.check_instances(stacked(found, "instance"))
    cost = problem.evaluate(instances, Decisions(stacked(found, "decision"))).cost
    np.testing.assert_array_equal([result["objective"] for result in found["results"]], cost)
    np.testing.assert_array_equal(instances["gain"], problem.sample(3, seed=4)["gain"])
    for result in found["results"]:
        assert result["status"] == "OPTIMAL"
        assert result["gap"] == (result["objective"] - result["bound"]) / result["bound"]


def stacked(found: Any, what: str) -> dict[str, np.ndarray]:
    rows = [result[what] for result in found["results"]]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def test_an_absent_bound_is_null(run: Run) -> None:
    result = run("solve", *SMALL, "--solver", "local", "--json").json["results"][0]
    assert (result["status"], result["bound"], result["gap"]) == ("FEASIBLE", None, None)
    assert "instance" not in result


def test_the_same_seed_solves_the_same_instances_alike(run: Run) -> None:
    def decisions(seed: int) -> list[Any]:
        ran = run("solve", *SMALL, "--solver", "levy", "--count", "2", "--seed", str(seed), "--json")
        return [(result["objective"], result["decision"]) for result in ran.json["results"]]

    assert decisions(1) == decisions(1) != decisions(2)


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


def test_what_solve_prints_can_be_solved_again(run: Run, tmp_path: Path) -> None:
    printed = run("solve", *SMALL, "--solver", "greedy", "--count", "2", "--json", "--with-instances")
    (tmp_path / "printed.json").write_text(printed.out, encoding="utf-8")
    again = run(
        "solve", *SMALL, "--solver", "greedy", "--input", tmp_path / "printed.json", "--json", "--with-instances"
    )
    assert stacked(again.json, "decision").keys() == stacked(printed.json, "decision").keys()
    for name, values in stacked(printed.json, "decision").items():
        np.testing.assert_array_equal(stacked(again.json, "decision")[name], values)


def test_people_see_the_shares_and_what_naive_rules_cost(run: Run) -> None:
    ran = run("solve", *SMALL, "--solver", "exhaustive", "--count", "4", "--preset", "heterogeneous")
    problem = offloadopt.problem("multi_server", "heterogeneous", users=5)
    instances = problem.sample(4, seed=0)
    best = offloadopt.solver("exhaustive", problem).run(problem, instances)
    local = offloadopt.solver("local", problem).run(problem, instances).objective.mean()
    assert f"local {np.mean(best.decisions['server'] == 0):.1%}" in ran.out
    assert f"server 2 {np.mean(best.decisions['server'] == 2):.1%}" in ran.out
    assert re.search(rf"local +{local:.6g} +\{local / best.objective.mean() - 1:+.2%}", ran.out)


def test_people_see_what_more_capacity_is_worth(run: Run) -> None:
    scenario = ("multi_server", "--preset", "heterogeneous", "--set", "load=none", "--count", "20")
    line = run("solve", *scenario, "--set", "cpu_server_hz=15e9").out.splitlines()[-1]
    priced = sum(float(saving) for saving in re.findall(r"server \d (\S+?)(?:,|$)", line))

    def mean_cost(server_hz: float) -> float:
        problem = offloadopt.problem("multi_server", "heterogeneous", load=None, cpu_server_hz=server_hz)
        cost = offloadopt.solver("exact", problem).run(problem, problem.sample(20, seed=0)).objective
        return float(cost.mean())

    assert priced == pytest.approx(mean_cost(15e9) - mean_cost(15.15e9), rel=0.05)


def test_a_long_table_is_cut_and_says_so(run: Run) -> None:
    ran = run("solve", *SMALL, "--solver", "local", "--count", "50")
    assert "and 30 more" in ran.out
    assert " 19 " in ran.out
    assert " 20 " not in ran.out


def test_limits_and_options_reach_the_solver(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}

    def get(group: str, name: str) -> Any:
        kind = original(group, name)
        if group == "solvers":
            return type(
                kind.__name__, (kind,), {"model_post_init": lambda self, context: made.update(self.model_dump())}
            )
        return kind

    original = registry.get
    monkeypatch.setattr(registry, "get", get)
    options = ("--relative-gap", "0.25", "--time-limit", "9", "--option", "generations=3")
    assert run("solve", *SMALL, "--solver", "levy", *options, "--json").status == 0
    assert (made["relative_gap"], made["time_limit_s"], made["generations"]) == (0.25, 9.0, 3)


class Overloading(Solver):
    """Sends every task of every second instance to server 1 with more CPU than it has."""

    name = "overloading"
    serves = Problem

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        decisions = {name: array.copy() for name, array in self._local(problem, instances).items()}
        decisions["server"][1::2] = 1
        decisions["cpu_hz"][1::2] = problem.scenario.cpu_server_hz
        return Solutions.scored(problem, instances, Decisions(decisions), seconds=0.0)

    def _local(self, problem: Any, instances: Instances) -> Decisions:
        decisions: Decisions = problem.allocate(instances, np.zeros((instances.count, problem.tasks), dtype=np.int64))
        return decisions


@pytest.fixture
def overloading(monkeypatch: pytest.MonkeyPatch) -> None:
    original = registry.get
    monkeypatch.setattr(
        registry, "get", lambda group, name: Overloading if name == "overloading" else original(group, name)
    )
    known = registry.names
    monkeypatch.setattr(registry, "names", lambda group: {**known(group), "overloading": "here"})


@pytest.mark.usefixtures("overloading")
def test_an_instance_without_a_feasible_solution_ends_with_3(run: Run) -> None:
    ran = run("solve", *SMALL, "--solver", "overloading", "--count", "3", "--json")
    statuses = [(result["status"], result["objective"] is None) for result in ran.json["results"]]
    assert statuses == [("FEASIBLE", False), ("LIMIT_NO_SOLUTION", True), ("FEASIBLE", False)]
    assert ran.status == 3
    shown = run("solve", *SMALL, "--solver", "overloading", "--count", "3")
    assert (shown.status, shown.err) == (3, "no feasible solution for 1 of 3 instances\n")


# -------------------------------------------------------------------------------------------------------- bad usage

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
        (["solve", "multi_server", "--set", "bandwidth_hz=0"], ["bandwidth_hz", "greater than 0"]),
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
        (["compare", "multi_server"], ["--method"]),
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


def test_a_defect_is_one_line_unless_the_traceback_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(group: str, name: str) -> Any:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(registry, "get", broken)
    assert_one_line(run("solve", "multi_server"), 1, "RuntimeError", "first line second line", "OFFLOADOPT_TRACEBACK")
    monkeypatch.setenv("OFFLOADOPT_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="second line"):
        main(["solve", "multi_server"])


# ------------------------------------------------------------------------------------------ demos, train and compare


@pytest.fixture
def experts(run: Run, tmp_path: Path) -> Path:
    """Demonstrations of a small problem."""
    folder = tmp_path / "demos"
    ran = run("demos", *SMALL, "--solver", "exhaustive", "--count", "40", "--out", folder)
    assert ran.status == 0, ran.err
    assert "40 demonstrations (40 OPTIMAL)" in ran.out
    return folder


def test_from_demonstrations_to_a_report(run: Run, experts: Path, tmp_path: Path) -> None:
    train = ("train", "multi_server", "--learner", "imitation", "--demos", experts, "--steps", "20", "--out", tmp_path)
    policy, report = tmp_path / "my policy", tmp_path / "report"
    ran = run(*train[:-1], policy)  # users = 5 comes from the demonstrations
    assert ran.status == 0, ran.err

    methods = ("--method", "exhaustive", "--method", policy, "--method", "local")
    compare = ("compare", *SMALL, *methods, "--count", "10", "--seed", "3", "--json")
    found = run(*compare, "--out", report).json
    assert list(found) == ["problem", "scenario", "reference", "methods"]
    assert found["reference"] == "certified optimum"
    assert [row["name"] for row in found["methods"]] == ["exhaustive", "my policy", "local"]
    columns = "name mean_cost gap_mean gap_low gap_high gap_median gap_worst optimal_share feasible_share"
    assert all(list(row) == [*columns.split(), "decision_ms_median", "decision_ms_p99"] for row in found["methods"])

    problem = offloadopt.problem("multi_server", users=5)
    instances = problem.sample(10, seed=3)
    best = offloadopt.solver("exhaustive", problem).run(problem, instances).objective
    local = offloadopt.solver("local", problem).run(problem, instances).objective
    assert found["methods"][0]["mean_cost"] == pytest.approx(best.mean(), rel=1e-12)
    assert found["methods"][2]["gap_mean"] == pytest.approx(np.mean((local - best) / best), rel=1e-6)
    assert "my policy" in (report / "report.html").read_text(encoding="utf-8")

    assert_one_line(run(*compare, "--out", report), 2, "report", "not empty")
    assert run(*compare, "--out", report, "--overwrite").status == 0
    assert_one_line(run(*train[:-1], policy), 2, "my policy", "not empty")
    assert run(*train[:-1], policy, "--overwrite").status == 0
    assert "my policy" in run(*compare[:-1]).out


def test_the_same_seed_trains_the_same_policy(run: Run, experts: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        arguments = ("--demos", experts, "--steps", "5", "--seed", seed, "--out", tmp_path / name)
        assert run("train", "multi_server", "--learner", "imitation", *arguments).status == 0
    weights = {
        name: b"".join(p.read_bytes() for p in sorted((tmp_path / name).glob("*.safetensors"))) for name in "abc"
    }
    assert weights["a"] == weights["b"] != weights["c"]


def test_demonstrations_of_another_scenario_are_refused(run: Run, experts: Path, tmp_path: Path) -> None:
    train = ("train", "multi_server", "--learner", "imitation", "--demos", experts, "--out", tmp_path / "policy")
    assert_one_line(run(*train, "--set", "users=6"), 2, "another scenario", "users = 5, not 6")
    assert_one_line(run(*train, "--preset", "paper"), 2, "another scenario")


def test_a_policy_of_another_scenario_is_refused(run: Run, experts: Path, tmp_path: Path) -> None:
    arguments = ("--demos", experts, "--steps", "5", "--out", tmp_path / "policy")
    assert run("train", "multi_server", "--learner", "imitation", *arguments).status == 0
    assert_one_line(run("compare", "multi_server", "--method", tmp_path / "policy"), 2, "policy")


def test_a_damaged_shard_is_named(run: Run, experts: Path, tmp_path: Path) -> None:
    shard = next(experts.glob("*.parquet"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    arguments = ("--demos", experts, "--out", tmp_path / "policy")
    assert_one_line(run("train", "multi_server", "--learner", "imitation", *arguments), 1, shard.name, "damaged")


def test_other_work_in_the_output_folder_is_kept_unless_overwritten(run: Run, experts: Path) -> None:
    again = ("demos", *SMALL, "--solver", "exhaustive", "--count", "40", "--out", experts)
    assert run(*again).status == 0  # the same work is finished: nothing to do
    assert_one_line(run(*again, "--seed", "9"), 2, "seed = 0, not 9")
    assert run(*again, "--seed", "9", "--overwrite").status == 0


@pytest.mark.usefixtures("overloading")
def test_a_comparison_in_which_nobody_solves_an_instance_ends_with_3(run: Run) -> None:
    compare = ("compare", *SMALL, "--count", "4", "--method", "overloading", "--json")
    assert run(*compare).status == 3
    assert run(*compare, "--method", "local").status == 0


# ------------------------------------------------------------------------------------------------ progress, real runs


def test_progress_is_a_plain_line_now_and_then_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 3.0, 4.0, 14.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with terminal.progress("solving", 40) as advance:
        for _ in range(4):
            advance(10)
    assert capsys.readouterr() == ("", "solving: 20 of 40 after 3 s\nsolving: 40 of 40 after 14 s\n")


def test_ctrl_c_ends_with_130_and_the_same_call_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "demos"
    levy = ("--solver", "levy", "--option", "generations=40")
    command = [*COMMAND, "demos", *SMALL, *levy, "--count", "1024", "--workers", "2", "--out", str(folder)]
    # A terminal sends Ctrl-C to all processes of the group.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    process = subprocess.Popen(command, **pipes)
    try:
        wait_until(lambda: recorded(folder) or process.poll() is not None)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in err
    kept = recorded(folder)
    assert 0 < len(kept) < 4

    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "1024 demonstrations" in again.stdout
    assert kept.items() <= recorded(folder).items()


def recorded(folder: Path) -> dict[str, int]:
    """When each shard that the manifest names was written."""
    manifest = folder / "manifest.json"
    names = json.loads(manifest.read_bytes())["shards"] if manifest.exists() else ()
    return {name: (folder / name).stat().st_mtime_ns for name in names}


def wait_until(happened: Callable[[], bool], limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def test_a_reader_that_goes_away_causes_no_traceback() -> None:
    solve = [*COMMAND, "solve", *SMALL, "--solver", "local", "--count", "2000", "--json"]
    process = subprocess.Popen(solve, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ})
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 1
