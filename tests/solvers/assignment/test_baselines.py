"""Admission control, greedy and local."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offloadopt import registry
from offloadopt.core import Instances
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.assignment.baselines import Greedy, Local, admit


def small(users: int = 4, servers: int = 2, **changes: object) -> MultiServer:
    problem = registry.problem("multi_server", "heterogeneous", users=users, servers=servers, **changes)
    assert isinstance(problem, MultiServer)
    return problem


def admit_one_by_one(assignment: list[int], demand: list[float], capacity: list[float]) -> list[int]:
    """Evict the largest task of an overfull server until the rest fits, step by step."""
    result = list(assignment)
    for server, most in enumerate(capacity, start=1):
        while sum(d for a, d in zip(result, demand, strict=True) if a == server) > most:
            worst = max((demand[i], i) for i in range(len(result)) if result[i] == server)[1]
            result[worst] = 0
    return result


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_admission_evicts_the_largest_until_the_rest_fits(data: st.DataObject) -> None:
    servers = data.draw(st.integers(1, 3))
    tasks = data.draw(st.integers(1, 7))
    # Whole numbers, many of them equal: sums are exact and ties are common.
    demand = data.draw(st.lists(st.lists(st.integers(1, 5), min_size=tasks, max_size=tasks), min_size=2, max_size=2))
    wanted = data.draw(
        st.lists(st.lists(st.integers(0, servers), min_size=tasks, max_size=tasks), min_size=2, max_size=2)
    )
    capacity = data.draw(st.lists(st.integers(0, 12), min_size=servers, max_size=servers))

    admitted = admit(np.array(wanted), np.array(demand, dtype=float), np.array(capacity, dtype=float))

    assert admitted.tolist() == [admit_one_by_one(*row, capacity) for row in zip(wanted, demand, strict=True)]


def test_greedy_sends_tasks_to_the_nearest_server_while_they_fit() -> None:
    problem = small(users=3, servers=2, load=None, cpu_server_hz=2e9)
    instances = Instances(
        {
            "gain": np.full((1, 3, 2), 1e-5),
            "task_bits": np.full((1, 3), 8e5),
            "task_cycles": np.array([[0.9e9, 1.5e9, 1.0e9]]),
            "distance_m": np.array([[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]]),
        }
    )

    solutions = Greedy().run(problem, instances)

    # Server 1 has 2e9 cycles a second: the largest task goes, 1.9e9 stay, and they share it by KKT.
    assert solutions.decisions["server"].tolist() == [[1, 0, 1]]
    root = np.sqrt([0.9, 1.0])
    assert solutions.decisions["cpu_hz"][0, [0, 2]] == pytest.approx(2e9 * root / root.sum())


def test_local_costs_what_local_computing_costs() -> None:
    problem = small()
    instances = problem.sample(5, 3)
    solutions = Local().run(problem, instances)
    # One second and one joule per 1e9 cycles, half a unit of cost each.
    assert solutions.objective == pytest.approx(instances["task_cycles"].sum(axis=1) / 1e9)
    assert set(solutions.status_names) == {"FEASIBLE"}
