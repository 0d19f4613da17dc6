"""Enumeration: numbers and combinations, limits, and costs in batches against one by one."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.clock import Deadline
from offloadopt.core import Decisions, IntArray
from offloadopt.errors import Unsupported
from offloadopt.solvers import enumeration
from offloadopt.solvers.enumeration import MAX_DECISIONS, digits, enumerate_decisions, few, require_few


def test_numbers_are_all_combinations_in_lexicographic_order() -> None:
    assert digits(np.arange(27), 3, 3).tolist() == [list(each) for each in itertools.product(range(3), repeat=3)]
    assert digits(np.arange(1), 5, 0).shape == (1, 0)


def test_few_is_the_power_itself_also_where_it_is_astronomic() -> None:
    assert few(10, 6, 10**6)
    assert not few(10, 6, 10**6 - 1)
    assert few(1, 10**9, 1)
    assert not few(2, 10**9, MAX_DECISIONS)
    assert not few(2, 0, 0)


def test_too_many_are_refused_with_their_number_in_one_line() -> None:
    require_few("exhaustive", 2, 20)
    expected = (
        f"solver 'exhaustive': 2 options for each of up to 21 tasks are {2**21} decisions; allowed: at most 2000000"
    )
    with pytest.raises(Unsupported, match=re.escape(expected)):
        require_few("exhaustive", 2, 21, each="each of up to")
    with pytest.raises(Unsupported, match=re.escape("are 60^800 decisions")):
        require_few("exhaustive", 60, 800)
    assert MAX_DECISIONS == 2_000_000


@pytest.mark.parametrize("entries", [1, 40, 2**20])
def test_batches_change_no_cost_and_the_bound_is_the_least(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enumeration, "ENTRIES_AT_ONCE", entries)
    problem = registry.problem("carbon_mimo", users=1, antennas=2, horizon=2)
    instance = problem.sample(1, 3)

    def decide(numbers: IntArray) -> Decisions:
        powers = digits(numbers, 3, 4).astype(np.float64)[:, :, None]
        return Decisions({"local_w": powers[:, :2], "offload_w": powers[:, 2:]})

    found = enumerate_decisions(problem, instance, 81, decide, Deadline())
    alone = [problem.evaluate(instance, decide(np.array([number]))).cost[0] for number in range(81)]
    np.testing.assert_allclose(found.cost, alone, rtol=1e-12)
    assert found.complete
    assert found.best == int(np.argmin(alone))
    assert min(alone) * (1 - 1e-9) <= found.bound <= min(alone)


def test_without_time_for_all_nothing_is_proved() -> None:
    problem = registry.problem("carbon_mimo", users=1, antennas=2, horizon=2)
    found = enumerate_decisions(problem, problem.sample(1, 0), 9, lambda _: Decisions({}), Deadline(0.0))
    assert (len(found.cost), found.best, found.bound) == (0, 0, -np.inf)
