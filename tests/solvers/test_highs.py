"""HiGHS: programmes, its answers, Ctrl-C, and bounds that two runs claim."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

from offloadopt.clock import Deadline, clock
from offloadopt.core import FloatArray
from offloadopt.solvers.highs import CutSearch, Programme

WEIGHTS = np.array([[5.0, 7.0, 4.0, 3.0]])
VALUES = np.array([8.0, 11.0, 6.0, 4.0])


def knapsack(values: FloatArray = VALUES, weights: FloatArray = WEIGHTS, room: float = 14.0) -> Programme:
    number = len(values)
    programme = Programme(-values, np.zeros(number), np.ones(number), np.arange(number))
    for row in weights:
        programme.add_row(np.arange(number), row, high=room)
    return programme


def hard_knapsack() -> Programme:
    rng = np.random.default_rng(2)
    weights = rng.integers(5, 100, (8, 60)).astype(float)
    return knapsack(weights.sum(axis=0) + 20.0 * rng.random(60), weights, 1400.0)


def test_a_milp_is_solved_and_rows_may_be_added() -> None:
    programme = knapsack()
    answer = programme.solve()
    assert (answer.status, answer.objective, answer.bound) == ("kOptimal", pytest.approx(-21.0), pytest.approx(-21.0))
    np.testing.assert_allclose(answer.values, [0.0, 1.0, 1.0, 1.0], atol=1e-6)
    programme.add_row([1, 2], 1.0, high=1.0)
    assert programme.solve().objective == pytest.approx(-19.0)


def test_a_linear_programme_has_prices() -> None:
    programme = Programme([-8.0, -11.0], [0.0, 0.0], [np.inf, np.inf])
    programme.add_row([0, 1], [5.0, 7.0], high=14.0)
    answer = programme.solve()
    assert answer.priced
    assert answer.row_dual == pytest.approx([-8.0 / 5.0])


def test_an_infeasible_programme_has_neither() -> None:
    programme = knapsack()
    programme.add_row([0, 1], 1.0, low=3.0)
    answer = programme.solve()
    assert answer.status == "kInfeasible"
    assert not answer.found
    assert not answer.priced


def test_it_stops_at_its_deadline() -> None:
    begin = clock()
    answer = hard_knapsack().solve(Deadline(0.2))
    assert answer.status == "kTimeLimit"
    assert clock() - begin < 2.0


def test_ctrl_c_stops_it_and_then_reaches_the_handler() -> None:
    def press() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.2, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        hard_knapsack().solve(Deadline(30.0))
    received: list[Any] = []
    before = signal.signal(signal.SIGINT, lambda *arguments: received.append(arguments))
    try:
        threading.Timer(0.2, press).start()
        assert hard_knapsack().solve(Deadline(30.0)).status == "kInterrupt"
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(received) == 1


class KnapsackSearch(CutSearch):
    """Search whose MILP is the problem itself, from the empty knapsack on."""

    def __init__(self) -> None:
        super().__init__(knapsack(), upper=0.0, allowance=1e-4)
        self.best = np.zeros(4)

    def refine(self, values: FloatArray) -> bool:
        """Keep the solution if it is better."""
        taken = np.rint(values)
        if -VALUES @ taken < self.upper:
            self.best, self.upper = taken, float(-VALUES @ taken)
        return False


def test_two_runs_prove_a_bound() -> None:
    search = KnapsackSearch()
    assert search.prove(-100.0, Deadline()) == pytest.approx(-21.0, abs=1e-3)
    assert search.best.tolist() == [0.0, 1.0, 1.0, 1.0]
    assert search.rounds == 2


def test_without_time_the_known_bound_remains() -> None:
    assert KnapsackSearch().prove(-100.0, Deadline(0.0)) == -100.0
