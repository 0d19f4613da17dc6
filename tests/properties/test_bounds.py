"""Proved bound <= optimum <= cost of any method, for every registered solver on random small cases."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offloadopt import registry
from offloadopt.core import Instances, Solutions, Status
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario

ROUNDING = 1e-9
KINDS = {
    name: kind
    for name in registry.BUILT_IN["solvers"]
    for kind in registry.implementations("solvers", name)
    if issubclass(MultiServer, kind.serves)
}
SERVING = list(KINDS)
PROVING = [name for name, kind in KINDS.items() if kind.proves]
# These prove every small case; the models stop at their solvers' own tolerances.
COMPLETE = {"exact", "exhaustive"}
# Cases for each solver: those that build a mathematical model take a tenth of a second or more.
CASES = {"milp": 8, "minlp": 8}
# What a search claims of its decisions does not depend on how long it searches.
OPTIONS = {name: {"generations": 10} for name in ("levy", "levy-classic", "levy-literal")}


def powers_of_ten(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


@st.composite
def cases(draw: st.DrawFn) -> tuple[MultiServer, Instances]:
    """A scenario from idle to overloaded servers, from dead to perfect links, and two instances of it."""
    scenario = MultiServerScenario(
        users=draw(st.integers(1, 5)),
        servers=draw(st.integers(1, 3)),
        area_m=draw(powers_of_ten(0, 3)),
        layout_seed=draw(st.none() | st.integers(0, 9)),
        noise_w_per_hz=draw(powers_of_ten(-20, -9)),
        cpu_server_hz=draw(powers_of_ten(8, 11)),
        task_spread=draw(st.sampled_from([0.0, 0.5, 0.99])),
        energy_weight=draw(st.just(0.0) | powers_of_ten(-2, 2)),
    )
    problem = MultiServer(scenario)
    arrays = dict(problem.sample(2, draw(st.integers(0, 1000))))
    dead = draw(st.sampled_from([0.0, 0.3, 1.0]))  # share of links that do not exist
    lost = np.random.default_rng(draw(st.integers(0, 9))).random(arrays["gain"].shape) < dead
    return problem, problem.check_instances({**arrays, "gain": np.where(lost, 0.0, arrays["gain"])})


def optimum(problem: MultiServer, instances: Instances) -> np.ndarray:
    """[count] the least that ``problem.evaluate`` charges for any assignment with its optimal allocation."""
    options = np.array(list(itertools.product(range(problem.servers + 1), repeat=problem.tasks)))
    repeated = instances.take(np.repeat(np.arange(instances.count), len(options)))
    decisions = problem.allocate(repeated, np.tile(options, (instances.count, 1)))
    charged: np.ndarray = problem.evaluate(repeated, decisions).cost.reshape(instances.count, -1).min(axis=1)
    return charged


def scaled(problem: MultiServer, instances: Instances, data: float, work: float) -> tuple[MultiServer, Instances]:
    """The same case with bits counted in units of ``1 / data`` and cycles in units of ``1 / work``."""
    s = problem.scenario
    changed = s.replace(
        bandwidth_hz=s.bandwidth_hz * data,
        noise_w_per_hz=s.noise_w_per_hz / data,  # the noise power stays
        cpu_local_hz=s.cpu_local_hz * work,
        cpu_server_hz=s.cpu_server_hz * work,
        kappa=s.kappa / work**s.cpu_exponent,  # the local power stays
    )
    arrays = {"task_bits": instances["task_bits"] * data, "task_cycles": instances["task_cycles"] * work}
    return MultiServer(changed), Instances({**instances, **arrays})


def must_stand_by_its_claims(name: str, solutions: Solutions, best: np.ndarray) -> None:
    assert (solutions.objective >= best * (1 - ROUNDING)).all()
    assert (solutions.bound <= best * (1 + ROUNDING)).all()
    optimal = solutions.status == Status.OPTIMAL
    assert optimal.all() or name not in COMPLETE
    np.testing.assert_allclose(solutions.objective[optimal], best[optimal], rtol=2 * ROUNDING)
    assert np.isfinite(solutions.objective).all()  # all local is always a decision


def few(name: str, default: int) -> Any:
    return settings(
        max_examples=CASES.get(name, default),
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )


@pytest.mark.parametrize("name", SERVING)
def test_no_bound_lies_above_the_optimum_and_no_cost_below(name: str) -> None:
    solver = KINDS[name](**OPTIONS.get(name, {}))

    @few(name, 50)
    @given(cases())
    def check(case: tuple[MultiServer, Instances]) -> None:
        must_stand_by_its_claims(name, solver.run(*case, seed=1), optimum(*case))

    check()


@pytest.mark.parametrize("name", PROVING)
def test_units_do_not_change_what_is_optimal(name: str) -> None:
    solver = KINDS[name](**OPTIONS.get(name, {}))

    @few(name, 20)
    @given(cases(), st.sampled_from([1e-6, 1.0, 1e6]), st.sampled_from([1e-6, 1.0, 1e6]))
    def check(case: tuple[MultiServer, Instances], data: float, work: float) -> None:
        best = optimum(*case)
        other = scaled(*case, data, work)
        np.testing.assert_allclose(optimum(*other), best, rtol=ROUNDING)
        must_stand_by_its_claims(name, solver.run(*other, seed=1), best)

    check()
