"""Solutions as JSON, and as tables with shares, naive rules and prices."""

from __future__ import annotations

import re

import numpy as np
import pytest

import offloadopt
from offloadopt.cli.solutions import TABLES
from offloadopt.core import Decisions

from toys.command_line import SMALL, Run, stacked


def test_solve_json_has_the_promised_fields_and_the_problem_s_own_cost(run: Run) -> None:
    ran = run("solve", *SMALL, "--solver", "exhaustive", "--count", "3", "--seed", "4", "--json", "--with-instances")
    assert ran.status == 0, ran.err
    found = ran.json
    assert list(found) == ["problem", "scenario", "solver", "results"]
    assert (found["problem"], found["solver"], found["scenario"]["users"]) == ("multi_server", "exhaustive", 5)
    fields = ["index", "status", "objective", "bound", "gap", "seconds", "metrics", "decision", "instance"]
    assert [list(result) for result in found["results"]] == [fields] * 3

    problem = offloadopt.problem("multi_server", users=5)
    instances = problem.check_instances(stacked(found, "instance"))
    cost = problem.evaluate(instances, Decisions(stacked(found, "decision"))).cost
    np.testing.assert_array_equal([result["objective"] for result in found["results"]], cost)
    np.testing.assert_array_equal(instances["gain"], problem.sample(3, seed=4)["gain"])
    for result in found["results"]:
        assert result["status"] == "OPTIMAL"
        assert result["gap"] == (result["objective"] - result["bound"]) / result["bound"]


NAMES = ("local", "server 1", "server 2")


def test_an_absent_bound_is_null(run: Run) -> None:
    result = run("solve", *SMALL, "--solver", "local", "--json").json["results"][0]
    assert (result["status"], result["bound"], result["gap"]) == ("FEASIBLE", None, None)
    assert "instance" not in result


def test_people_see_the_shares_and_what_the_solution_saves_against_others(run: Run) -> None:
    command = ("solve", *SMALL, "--solver", "exhaustive", "--count", "4", "--preset", "heterogeneous")
    assert "mean cost" not in run(*command).out  # nothing else is solved unless asked for
    ran = run(*command, "--against", "local", "--against", "greedy")
    problem = offloadopt.problem("multi_server", "heterogeneous", users=5)
    instances = problem.sample(4, seed=0)
    best = offloadopt.solver("exhaustive", problem).run(problem, instances)
    local = offloadopt.solver("local", problem).run(problem, instances).objective.mean()
    assert f"local {np.mean(best.decisions['server'] == 0):.1%}" in ran.out
    assert f"server 2 {np.mean(best.decisions['server'] == 2):.1%}" in ran.out
    assert re.search(rf"local +{local:.6g} +\{local / best.objective.mean() - 1:+.2%}", ran.out)
    assert run(*command, "--against", "local", "--json").json["against"]["local"] == pytest.approx(
        offloadopt.solver("local", problem).run(problem, instances).objective
    )


def test_people_see_who_does_what_task_by_task(run: Run) -> None:
    out = run("solve", *SMALL, "--solver", "exhaustive", "--count", "5").out
    problem = offloadopt.problem("multi_server", users=5)
    solutions = offloadopt.solve(problem, problem.sample(5, 0), "exhaustive")
    for row in range(TABLES):
        names = [NAMES[server] for server in solutions.decisions["server"][row]]
        begin = out.index(f"who does what in instance {row}\n")
        lines = out[begin:].splitlines()[2:7]
        assert [re.split(" {2,}", line.strip())[:2] for line in lines] == [
            [str(n), name] for n, name in enumerate(names)
        ]
    assert "instance 3\n" not in out
    assert "all 5 instances together" in out


def test_many_tasks_are_counted(run: Run) -> None:
    out = run("solve", "multi_server", "--set", "users=40", "--solver", "local").out
    assert "who does what\n40 tasks: local 40 (100.0%)\n" in out


def test_metrics_stand_beside_those_of_others_and_in_json(run: Run) -> None:
    command = ("solve", *SMALL, "--solver", "exhaustive", "--count", "4", "--preset", "heterogeneous")
    problem = offloadopt.problem("multi_server", "heterogeneous", users=5)
    instances = problem.sample(4, seed=0)
    best, local = (offloadopt.solve(problem, instances, name) for name in ("exhaustive", "local"))
    energy = [problem.evaluate(instances, found.decisions).metrics["energy_j"] for found in (best, local)]
    out = run(*command, "--against", "local").out
    assert re.search(r"metric, mean +this solution +local", out)
    assert re.search(rf"energy_j +{energy[0].mean():.6g} +{energy[1].mean():.6g}", out)
    results = run(*command, "--json").json["results"]
    np.testing.assert_array_equal([result["metrics"]["energy_j"] for result in results], energy[0])


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
