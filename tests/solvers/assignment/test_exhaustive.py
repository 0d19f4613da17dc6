from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import FloatArray, Instances, IntArray, Status
from offloadopt.errors import Unsupported
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.assignment import exhaustive
from offloadopt.solvers.assignment.exhaustive import Exhaustive
from offloadopt.structures.assignment import AssignmentProblem, PricedAssignment


class Opaque:
    """Costs that can only be asked for, without any structure."""

    def __init__(self, costs: PricedAssignment) -> None:
        self.costs = costs

    def cost(self, assignment: IntArray) -> FloatArray:
        return self.costs.cost(assignment)


def small(users: int, servers: int, preset: str = "heterogeneous", **changes: object) -> MultiServer:
    problem = registry.problem("multi_server", preset, users=users, servers=servers, **changes)
    assert isinstance(problem, MultiServer)
    return problem


def every_cost(problem: AssignmentProblem, instance: Instances) -> list[float]:
    """What `evaluate` says about each assignment, one after the other."""
    assert instance.count == 1
    options = range(problem.servers + 1)
    return [
        float(problem.evaluate(instance, problem.allocate(instance, np.array([choice]))).cost[0])
        for choice in itertools.product(options, repeat=problem.tasks)
    ]


@pytest.mark.parametrize(("users", "servers", "load"), [(1, 2, 1.0), (4, 2, 0.4), (5, 1, 1.0), (3, 4, 3.0)])
def test_it_returns_the_cheapest_of_all_assignments(users: int, servers: int, load: float) -> None:
    problem = small(users, servers, load=load)
    instances = problem.sample(4, 11)

    solutions = Exhaustive().run(problem, instances)

    for row in range(instances.count):
        costs = every_cost(problem, instances.take([row]))
        assert solutions.objective[row] == pytest.approx(min(costs), rel=1e-12)
    assert (solutions.status == Status.OPTIMAL).all()
    assert (solutions.bound <= solutions.objective).all()
    assert solutions.gap.max() <= 1e-9


@pytest.mark.parametrize("chunk", [1, 7, 64, 2**18])
@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_structure_chunks_and_order_change_no_cost(monkeypatch: pytest.MonkeyPatch, chunk: int, tasks: int) -> None:
    monkeypatch.setattr(exhaustive, "CHUNK", chunk)
    problem = small(tasks, 2)
    instances = problem.sample(3, 2)
    costs = problem.costs(instances)

    by_halves = np.concatenate(list(exhaustive.enumerate_costs(costs, 3, 3, tasks)), axis=1)
    one_by_one = np.concatenate(list(exhaustive.enumerate_costs(Opaque(costs), 3, 3, tasks)), axis=1)  # type: ignore[arg-type]

    each = [every_cost(problem, instances.take([row])) for row in range(3)]
    assert by_halves == pytest.approx(np.array(each), rel=1e-12)
    assert one_by_one == pytest.approx(np.array(each), rel=1e-12)
    assert (Exhaustive().run(problem, instances).status == Status.OPTIMAL).all()


def test_a_missing_link_makes_its_assignments_infinitely_costly_and_no_others() -> None:
    problem = small(4, 2)
    arrays = dict(problem.sample(1, 0))
    gain = arrays["gain"].copy()
    gain[0, 3, 1] = 0.0
    costs = problem.costs(problem.check_instances({**arrays, "gain": gain}))
    (found,) = exhaustive.enumerate_costs(costs, 1, 3, 4)
    uses = np.array([choice[3] == 2 for choice in itertools.product(range(3), repeat=4)])
    assert np.array_equal(np.isinf(found[0]), uses)


def test_too_many_assignments_are_refused_with_their_number_and_the_limit() -> None:
    assert Exhaustive().run(small(13, 2), small(13, 2).sample(1, 0)).status[0] == Status.OPTIMAL  # 3^13 = 1,594,323
    with pytest.raises(Unsupported, match=re.escape("are 4782969 assignments; allowed: at most 2000000")):
        Exhaustive().run(small(14, 2), small(14, 2).sample(1, 0))
    with pytest.raises(Unsupported, match=re.escape("are 3^1000 assignments; allowed: at most 2000000")):
        Exhaustive().run(small(1000, 2), small(1000, 2).sample(1, 0))


def test_an_enumeration_cut_short_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhaustive, "CHUNK", 16)
    problem = small(6, 2)
    solutions = Exhaustive(time_limit_s=1e-9).run(problem, problem.sample(2, 0))
    assert (solutions.status == Status.FEASIBLE).all()
    assert (solutions.bound == -np.inf).all()
