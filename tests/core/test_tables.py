"""Tables of one instance's decisions."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Problem, Table
from offloadopt.errors import InvalidInput

from toys.small_problems import SMALL


def test_a_short_table_prints_every_row() -> None:
    table = Table({"task": np.arange(2), "where": np.array(["local", "server 1"]), "cpu_hz": np.array([1e9, 2.5e8])})
    assert str(table).splitlines() == ["task     where   cpu_hz", "   0     local    1e+09", "   1  server 1  2.5e+08"]
    assert "<td>server 1</td>" in table.to_html()


def test_a_long_table_is_counted_by_its_column_or_spread() -> None:
    where = np.array(["local"] * 10 + ["<edge>"] * 30)
    assert str(Table({"where": where}, "where", "tasks")) == "40 tasks: <edge> 30 (75.0%), local 10 (25.0%)"
    assert "&lt;edge&gt; 30" in Table({"where": where}, "where").to_html()
    assert str(Table({"x": np.arange(40.0), "name": where})) == "x: 0 to 39, mean 19.5"
    many = np.array([f"device {k:03}" for k in range(90)])
    assert str(Table({"where": many}, "where")).endswith("device 029 1 (1.1%), and 60 more")


@pytest.mark.parametrize("name", registry.BUILT_IN["problems"])
def test_the_costs_of_a_table_are_those_of_the_problem(name: str) -> None:
    problem = registry.problem(name, **SMALL[name])
    instances = problem.sample(2, seed=1)
    solutions = registry.solver("random", problem).run(problem, instances)
    for row in range(2):
        table = solutions.table(row)
        assert len(table) > 0
        if "cost" in table.columns:
            cost = problem.evaluate(instances, solutions.decisions).agent_cost[row].sum()
            assert table.columns["cost"].sum() == pytest.approx(cost)
    assert set(problem.main_metrics) <= set(solutions.metrics)


def test_a_problem_that_says_nothing_has_rows_for_the_entries_of_its_decisions() -> None:
    problem = registry.problem("multi_server", users=3)
    instances = problem.sample(1, seed=0)
    decisions = registry.solver("greedy", problem).run(problem, instances).decisions
    table = Problem.table(problem, instances, decisions)
    assert list(table.columns) == ["entry", "server", "cpu_hz", "power_w", "cost"]
    np.testing.assert_array_equal(table.columns["server"], decisions["server"][0])


def test_rows_that_do_not_exist_and_solutions_without_a_problem_are_refused() -> None:
    problem = registry.problem("multi_server", users=3)
    solutions = registry.solver("greedy", problem).run(problem, problem.sample(2, seed=0))
    with pytest.raises(InvalidInput, match="row = 2; allowed: 0 to 1"):
        solutions.table(2)
    assert str(solutions.take([1]).table()) == str(solutions.table(1))
    alone = type(solutions)(*(getattr(solutions, n) for n in ("decisions", "objective", "bound", "status", "seconds")))
    with pytest.raises(InvalidInput, match="without their problem"):
        alone.table()
