from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offloadopt import registry
from offloadopt.core import Instances
from offloadopt.errors import Unsupported
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.assignment import base as assignment_module
from offloadopt.solvers.assignment.baselines import Greedy, Local, admit
from offloadopt.solvers.random import Random

ALL = ("exhaustive", "levy", "levy-classic", "local-search", "greedy", "random", "local")


def small(users: int = 4, servers: int = 2, **changes: object) -> MultiServer:
    problem = registry.problem("multi_server", "heterogeneous", users=users, servers=servers, **changes)
    assert isinstance(problem, MultiServer)
    return problem


def admit_one_by_one(assignment: list[int], demand: list[float], capacity: list[float]) -> list[int]:
    """Evict the largest task of an overfull server until the rest fits, told as a person would."""
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


def test_random_draws_every_option_and_repeats_itself_only_for_the_same_seed() -> None:
    problem = small(users=12, servers=3, load=20.0)  # so much CPU that everything is admitted
    instances = problem.sample(400, 0)
    first, again, other = (Random().run(problem, instances, seed=seed).decisions["server"] for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    # 4,800 uniform draws of 4 options: five standard deviations are 0.031.
    assert np.bincount(first.ravel(), minlength=4) / first.size == pytest.approx(np.full(4, 0.25), abs=0.031)


def test_local_costs_what_local_computing_costs() -> None:
    problem = small()
    instances = problem.sample(5, 3)
    solutions = Local().run(problem, instances)
    # One second and one joule per 1e9 cycles, half a unit of cost each.
    assert solutions.objective == pytest.approx(instances["task_cycles"].sum(axis=1) / 1e9)
    assert set(solutions.status_names) == {"FEASIBLE"}


@pytest.mark.parametrize("name", ALL)
def test_links_without_gain_are_never_used(name: str) -> None:
    problem = small(users=6, servers=2)
    arrays = dict(problem.sample(20, 5))
    gain = arrays["gain"].copy()
    gain[:10, 0] = 0.0  # no link at all
    gain[:, 1, 0] = 0.0
    gain[:, 2, 1] = 0.0
    gain[10:, 0] = 5e-324  # there, but every bit takes for ever
    instances = problem.check_instances({**arrays, "gain": gain})

    solutions = registry.solver(name, problem).run(problem, instances, seed=7)

    server = solutions.decisions["server"]
    assert (server[:, 0] == 0).all()
    assert (server[:, 1] != 1).all()
    assert (server[:, 2] != 2).all()
    assert np.isfinite(solutions.objective).all()


@given(
    users=st.integers(1, 5),
    servers=st.integers(1, 3),
    load=st.floats(0.1, 5.0),
    spread=st.floats(0.0, 0.9),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_no_method_costs_less_than_the_proved_optimum(
    users: int, servers: int, load: float, spread: float, seed: int
) -> None:
    problem = small(users, servers, load=load, task_spread=spread, layout_seed=seed)
    instances = problem.sample(3, seed)
    optimum = registry.solver("exhaustive", problem).run(problem, instances)
    assert set(optimum.status_names) == {"OPTIMAL"}
    for name in ALL:
        options = {"generations": 30} if name.startswith("levy") else {}
        solutions = registry.solver(name, problem, **options).run(problem, instances, seed=seed)
        assert (solutions.objective >= optimum.bound).all(), name
        assert np.isfinite(solutions.objective).all(), name


@pytest.mark.parametrize("name", ALL)
def test_no_instances_are_no_solutions(name: str) -> None:
    problem = small()
    solutions = registry.solver(name, problem).run(problem, problem.sample(3, 0).take(slice(0, 0)))
    assert solutions.objective.shape == (0,)


@pytest.mark.parametrize("name", ALL)
def test_more_instances_extend_fewer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small()
    # Blocks of 3: the shorter batch ends in the middle of one.
    monkeypatch.setattr(type(registry.solver(name, problem)), "block_size", lambda self, problem: 3)
    options = {"generations": 20} if name.startswith("levy") else {}
    solver = registry.solver(name, problem, **options)
    reported: list[int] = []
    long = solver.run(problem, problem.sample(8, 1), seed=5, progress=reported.append)
    short = solver.run(problem, problem.sample(4, 1), seed=5)
    assert reported == [3, 3, 2]
    assert np.array_equal(long.decisions["server"][:4], short.decisions["server"])


def test_problems_with_several_slots_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small()
    monkeypatch.setattr(MultiServer, "horizon", 5)
    with pytest.raises(Unsupported, match="'local' decides one slot; 'multi_server' has horizon 5"):
        Local().run(problem, problem.sample(1, 0))


def test_an_assignment_whose_cost_overflows_becomes_all_local() -> None:
    problem = small(users=3, servers=2)
    arrays = dict(problem.sample(2, 0))
    gain = arrays["gain"].copy()
    gain[1, 2] = 5e-324
    instances = problem.check_instances({**arrays, "gain": gain})
    kept = assignment_module.without_missing_links(problem, instances, np.array([[1, 2, 1], [1, 2, 1]]))
    assert kept.tolist() == [[1, 2, 1], [0, 0, 0]]
