"""The command line: what it prints, what it refuses, and the status it ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt import registry
from offloadopt.cli import main
from offloadopt.core import Budget
from offloadopt.solvers.assignment.exact import Exact, ProvedAssignment

from toys.command_line import COMMAND, SMALL, Run, assert_one_line, stacked

# ------------------------------------------------------------------------------------------------------------ solve


def test_the_same_seed_solves_the_same_instances_alike(run: Run) -> None:
    def decisions(seed: int) -> list[Any]:
        ran = run("solve", *SMALL, "--solver", "levy", "--count", "2", "--seed", str(seed), "--json")
        return [(result["objective"], result["decision"]) for result in ran.json["results"]]

    assert decisions(1) == decisions(1) != decisions(2)


def test_what_solve_prints_can_be_solved_again(run: Run, tmp_path: Path) -> None:
    printed = run("solve", *SMALL, "--solver", "greedy", "--count", "2", "--json", "--with-instances")
    (tmp_path / "printed.json").write_text(printed.out, encoding="utf-8")
    again = run(
        "solve", *SMALL, "--solver", "greedy", "--input", tmp_path / "printed.json", "--json", "--with-instances"
    )
    assert stacked(again.json, "decision").keys() == stacked(printed.json, "decision").keys()
    for name, values in stacked(printed.json, "decision").items():
        np.testing.assert_array_equal(stacked(again.json, "decision")[name], values)


@pytest.mark.usefixtures("overloading")
def test_an_instance_without_a_feasible_solution_ends_with_3(run: Run) -> None:
    ran = run("solve", *SMALL, "--solver", "overloading", "--count", "3", "--json")
    statuses = [(result["status"], result["objective"] is None) for result in ran.json["results"]]
    assert statuses == [("FEASIBLE", False), ("LIMIT_NO_SOLUTION", True), ("FEASIBLE", False)]
    assert ran.status == 3
    shown = run("solve", *SMALL, "--solver", "overloading", "--count", "3")
    assert (shown.status, shown.err) == (3, "no feasible solution for 1 of 3 instances\n")


# -------------------------------------------------------------------------------------------------------- bad usage


def test_a_defect_is_one_line_unless_the_traceback_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(group: str, name: str) -> Any:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(registry, "get", broken)
    assert_one_line(run("solve", "multi_server"), 1, "RuntimeError", "first line second line", "OFFLOADOPT_TRACEBACK")
    monkeypatch.setenv("OFFLOADOPT_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="second line"):
        main(["solve", "multi_server"])


# ------------------------------------------------------------------------------------------ demos, train and compare


def test_ctrl_c_prints_what_was_found_and_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    prove = Exact.prove

    def press_ctrl_c(*instance: Any, **options: Any) -> ProvedAssignment:
        signal.raise_signal(signal.SIGINT)
        return prove(*instance, **options)

    small = ("--set", "users=4", "--set", "servers=2")
    assert run("solve", "multi_server", *small).status == 0  # compiles the kernels, which Ctrl-C would give up
    monkeypatch.setattr(Exact, "prove", press_ctrl_c)
    result = run("solve", "multi_server", *small, "--count", "2", "--against", "levy", "--json")
    assert result.status == 130
    assert "found until Ctrl-C" in result.err
    assert result.err.splitlines()[-1] == "error: interrupted"
    found = json.loads(result.out)
    assert "against" not in found
    assert found["results"][0]["bound"] > 0.0
    assert found["results"][1]["status"] == "FEASIBLE"


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
    others = ("decision_ms_median", "decision_ms_p99", "metrics")
    assert all(list(row) == [*columns.split(), *others] for row in found["methods"])

    problem = offloadopt.problem("multi_server", users=5)
    instances = problem.sample(10, seed=3)
    best = offloadopt.solver("exhaustive", problem).run(problem, instances).objective
    local = offloadopt.solver("local", problem).run(problem, instances).objective
    assert found["methods"][0]["mean_cost"] == pytest.approx(best.mean(), rel=1e-12)
    assert found["methods"][2]["gap_mean"] == pytest.approx(np.mean((local - best) / best), rel=1e-6)
    assert "my policy" in (report / "report.html").read_text(encoding="utf-8")

    again = run(*compare, "--out", report)
    assert (again.json, again.err) == (found, f"{report} holds this comparison, complete\n")
    assert_one_line(run(*compare, "--out", report, "--seed", "4"), 2, "report", "not empty", "instances_sha256")
    assert run(*compare, "--out", report, "--overwrite").status == 0
    held = sorted(path.stat().st_mtime_ns for path in policy.iterdir())
    assert run(*train[:-1], policy).status == 0  # the same training is finished: nothing to do
    assert sorted(path.stat().st_mtime_ns for path in policy.iterdir()) == held
    other = (*train[:-1], policy, "--seed", "1")
    assert_one_line(run(*other), 2, "my policy", "not empty", "seed is 0, not 1")
    assert run(*other, "--overwrite").status == 0
    assert "my policy" in run(*compare[:-1]).out


def test_demonstrations_are_refused_where_they_are_not_used_and_asked_for_where_needed(
    run: Run, experts: Path, toy: ModuleType, tmp_path: Path
) -> None:
    out = tmp_path / "policy"
    refused = run("train", "queues", "--learner", "threshold-search", "--demos", experts, "--out", out)
    assert_one_line(refused, 2, "learner 'threshold-search' does not use demonstrations; allowed: none")
    assert_one_line(
        run("train", "multi_server", "--learner", "imitation", "--out", out),
        2,
        "learns from demonstrations; none were given",
    )
    assert not out.exists()


def test_a_plugins_learner_is_trained_and_recorded(run: Run, toy: ModuleType, tmp_path: Path) -> None:
    curves = tmp_path / "curves"
    steps = 3 * 64 * 3 * 2  # thresholds, each tried in 64 instances of 3 slots and 2 queues
    train = ("train", "queues", "--learner", "threshold-search", "--steps", str(steps), "--out", tmp_path / "policy")
    ran = run(*train, *(("--tensorboard", curves) if find_spec("tensorboard") else ()))
    assert ran.status == 0, ran.err
    problem = offloadopt.problem("queues")
    by_hand = offloadopt.learner("threshold-search").fit(problem, budget=Budget(steps))
    assert toy.Threshold.load(tmp_path / "policy", problem).threshold == by_hand.threshold


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


def test_ctrl_c_ends_with_130_and_the_same_call_goes_on(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "demos"
    levy = ("--solver", "levy", "--option", "generations=40")
    demos = ("demos", *SMALL, *levy, "--count", "1024", "--out", str(folder))
    command = [*COMMAND, *demos, "--workers", "2"]
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

    again = run(*demos)
    assert again.status == 0, again.err
    assert "1024 demonstrations" in again.out
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


def test_a_solution_is_drawn(run: Run, tmp_path: Path) -> None:
    for name in ("s.png", "s.html"):
        ran = run("solve", *SMALL, "--solver", "greedy", "--plot", tmp_path / name, "--json")
        assert (ran.status, ran.err) == (0, f"picture of instance 0: {tmp_path / name}\n")
        assert ran.json["results"]
    assert "Who is served where" in (tmp_path / "s.html").read_text(encoding="utf-8")
    assert_one_line(run("solve", *SMALL, "--plot", tmp_path / "s.gif"), 2, ".gif", ".png, .html")
    both = run("solve", *SMALL, "--plot", tmp_path / "s.png", "--export", tmp_path / "m.lp")
    assert_one_line(both, 2, "--plot", "--export")


def test_any_instances_solution_is_drawn(run: Run, tmp_path: Path) -> None:
    solve = ("solve", *SMALL, "--solver", "greedy", "--count", "2", "--json")
    page = tmp_path / "s.html"
    costs = []
    for row in ("0", "1"):
        ran = run(*solve, "--plot", page, "--plot-row", row)
        assert ran.err == f"picture of instance {row}: {page}\n"
        costs.append(f"{ran.json['results'][int(row)]['objective']:.6g}")
        assert costs[-1] in page.read_text(encoding="utf-8")
    assert costs[0] != costs[1]
    assert costs[0] not in page.read_text(encoding="utf-8")
    assert_one_line(run(*solve, "--plot", page, "--plot-row", "2"), 2, "--plot-row = 2", "0 to 1")
    assert_one_line(run(*solve, "--plot-row", "1"), 2, "--plot-row = 1", "together with --plot")
