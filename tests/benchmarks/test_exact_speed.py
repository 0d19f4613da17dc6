"""Exact beside the general solvers on the same instances, one thread each: read the ratios, not the seconds.

Run with ``make bench``. Every group is one size; pytest-benchmark prints each solver's time relative to the fastest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Status

GENERAL = ["minlp", "milp"]
SIZES = [("paper", 30, 2), ("heterogeneous", 30, 2), ("heterogeneous", 100, 5)]


@pytest.mark.parametrize(("preset", "users", "servers"), SIZES)
@pytest.mark.parametrize("solver", ["exact", *GENERAL])
def test_one_instance(benchmark: Any, preset: str, users: int, servers: int, solver: str) -> None:
    problem = offloadopt.problem("multi_server", preset, users=users, servers=servers)
    instances = problem.sample(3, seed=0)
    made = offloadopt.solver(solver, problem, relative_gap=1e-6)
    made.run(problem, instances.take(slice(0, 1)))  # compile and import outside the measurement
    benchmark.group = f"{preset} {users} x {servers}, 3 instances to 1e-6"
    solutions = benchmark.pedantic(made.run, (problem, instances), rounds=3, iterations=1)
    assert (solutions.status == Status.OPTIMAL).all()
    if solver in GENERAL:
        exact = offloadopt.solver("exact", problem, relative_gap=1e-6).run(problem, instances)
        np.testing.assert_allclose(solutions.objective, exact.objective, rtol=3e-6)


@pytest.mark.parametrize(
    ("preset", "users", "servers", "count"),
    [("paper", 30, 2, 2000), ("heterogeneous", 30, 2, 1000), ("heterogeneous", 100, 10, 10)],
)
def test_exact_alone(benchmark: Any, preset: str, users: int, servers: int, count: int) -> None:
    problem = offloadopt.problem("multi_server", preset, users=users, servers=servers)
    instances = problem.sample(count, seed=1)
    exact = offloadopt.solver("exact", problem)
    exact.run(problem, instances.take(slice(0, 1)))
    benchmark.group = "exact alone"
    solutions = benchmark.pedantic(exact.run, (problem, instances), rounds=1, iterations=1)
    benchmark.extra_info["instances_per_second"] = count / solutions.seconds.sum()
    benchmark.extra_info["median_seconds"] = float(np.median(solutions.seconds))
    assert (solutions.status == Status.OPTIMAL).all()


@pytest.mark.parametrize("count", [1_000, 4_000, 16_000])
@pytest.mark.parametrize("what", ["sample", "evaluate", "levy"])
def test_time_grows_linearly_with_instances(benchmark: Any, what: str, count: int) -> None:
    problem = offloadopt.problem("multi_server")
    if what == "levy":
        count //= 20
    instances = problem.sample(count, seed=0)
    decisions = offloadopt.solver("local", problem).run(problem, instances).decisions
    levy = offloadopt.solver("levy", problem, generations=100)
    calls = {
        "sample": lambda: problem.sample(count, seed=0),
        "evaluate": lambda: problem.evaluate(instances, decisions),
        "levy": lambda: levy.run(problem, instances),
    }
    benchmark.group = f"{what}: linear in instances"
    benchmark.pedantic(calls[what], rounds=3, iterations=1)
