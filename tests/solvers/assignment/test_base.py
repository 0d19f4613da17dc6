"""What holds for every assignment solver: blocks, missing links, refusals, and no cost below the optimum."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offloadopt import registry
from offloadopt.core import Interrupted
from offloadopt.errors import Unsupported
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.assignment import base as assignment_module
from offloadopt.solvers.assignment.baselines import Local

ALL = ("exhaustive", "levy", "levy-classic", "local-search", "greedy", "random", "local")


def small(users: int = 4, servers: int = 2, **changes: object) -> MultiServer:
    problem = registry.problem("multi_server", "heterogeneous", users=users, servers=servers, **changes)
    assert isinstance(problem, MultiServer)
    return problem


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


def test_ctrl_c_leaves_out_the_blocks_that_were_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small()
    instances = problem.sample(5, 0)
    monkeypatch.setattr(Local, "block_size", lambda *_: 2)
    whole = Local().run(problem, instances)

    def press_ctrl_c(finished: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as stopped:
        Local().run(problem, instances, progress=press_ctrl_c)
    np.testing.assert_array_equal(stopped.value.solutions.objective, whole.objective[:2])
