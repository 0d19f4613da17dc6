"""HiGHS: programmes, its answers, Ctrl-C, and bounds that two runs claim."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

from offloadopt.clock import Deadline, clock
from offloadopt.core import ROUNDING, FloatArray
from offloadopt.errors import BrokenProof
from offloadopt.solvers import highs
from offloadopt.solvers.highs import Answer, CutSearch, Programme

from toys.false_highs import (
    LIES,
    SEARCHES,
    FalseHighs,
    Lie,
    Search,
    false_prices,
    infeasible,
    inference_horizon,
    not_a_number,
)

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
    programme = hard_knapsack()
    for seconds in (1.0, 0.1):  # the second run's limit does not begin where the first run's ended
        begin = clock()
        assert programme.solve(Deadline(seconds)).status == "kTimeLimit"
        assert clock() - begin < seconds + 0.8


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
        super().__init__(knapsack(), bound=-100.0, upper=0.0, allowance=1e-4)
        self.best, self.changes = np.zeros(4), False

    def refine(self, values: FloatArray) -> bool:
        """Keep the solution if it is better."""
        taken = np.rint(values)
        if -VALUES @ taken < self.upper:
            self.best, self.upper = taken, float(-VALUES @ taken)
        return self.changes


def test_two_runs_prove_a_bound() -> None:
    search = KnapsackSearch()
    assert search.prove(Deadline()) == pytest.approx(-21.0, abs=1e-3)
    assert search.best.tolist() == [0.0, 1.0, 1.0, 1.0]
    assert search.rounds == 2


def test_without_time_the_known_bound_remains() -> None:
    assert KnapsackSearch().prove(Deadline(0.0)) == -100.0


SOLUTIONS = {0: np.zeros(4), -19: np.array([1.0, 1.0, 0.0, 0.0]), -21: np.array([0.0, 1.0, 1.0, 1.0])}
NOTHING = np.empty(0)


def claims(status: str, bound: float, objective: int | None = None) -> Answer:
    values = NOTHING if objective is None else SOLUTIONS[objective]
    return Answer(status, bound, np.nan if objective is None else objective, values, NOTHING)


@pytest.mark.parametrize(
    ("answers", "bound"),
    [
        ([claims("kTimeLimit", -30.0), claims("kTimeLimit", -25.0)], -30.0),
        ([claims("kTimeLimit", -25.0), claims("kTimeLimit", -30.0)], -30.0),
        ([claims("kTimeLimit", np.inf)] * 3, -100.0),
        ([claims("kTimeLimit", np.nan)] * 3, -100.0),
        ([claims("kSolveError", -30.0)] * 10, -100.0),
        ([claims("kSolveError", -30.0), claims("kTimeLimit", -30.0), claims("kTimeLimit", -25.0)], -30.0),
        ([claims("kOptimal", -21.0, -21), claims("kInfeasible", np.inf)], -21.0),
        ([claims("kInfeasible", np.inf), claims("kOptimal", -21.0, -21)], -21.0),
        # The cutoff does not explain these: HiGHS has a solution below it.
        ([claims("kOptimal", 5.0, -19), claims("kOptimal", -21.0, -21)], None),
        ([claims("kOptimal", -19.0, -21)], None),
        ([claims("kInfeasible", np.inf, -21)], None),
    ],
)
def test_the_lower_of_two_claims_counts(
    answers: list[Answer], bound: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(answers)
    monkeypatch.setattr(highs, "call_highs", lambda model, **_: next(left))
    if bound is None:
        with pytest.raises(BrokenProof, match=r"HiGHS claims the bound"):
            KnapsackSearch().prove(Deadline())
    else:
        assert KnapsackSearch().prove(Deadline()) == pytest.approx(bound, abs=2e-3)
        assert next(left, None) is None


def test_claims_above_a_decision_found_later_break_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    optimal = claims("kOptimal", -21.0, -21)
    left = iter([claims("kTimeLimit", -19.0, 0), claims("kOptimal", -19.0, 0), optimal, optimal])
    monkeypatch.setattr(highs, "call_highs", lambda model, **_: next(left))
    search = KnapsackSearch()
    search.changes = True
    with pytest.raises(BrokenProof, match="above the cost -21"):
        search.prove(Deadline())


@pytest.mark.parametrize("search", SEARCHES)
def test_an_honest_highs_proves_the_least_cost(search: Search) -> None:
    cost, bound, least = search()
    assert cost == pytest.approx(least, rel=1e-9)
    assert least * (1.0 - 1e-4) <= bound <= least * (1.0 + ROUNDING)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("lies", LIES)
def test_false_claims_are_caught_or_not_used(search: Search, lies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    false = FalseHighs(monkeypatch, LIES[lies])
    try:
        cost, bound, least = search()
        assert bound <= least * (1.0 + ROUNDING)
        assert cost >= least * (1.0 - ROUNDING)
    except BrokenProof:
        assert "infeasible" not in lies
    assert false.told > 0


@pytest.mark.parametrize("lie", [infeasible, not_a_number, false_prices])
def test_false_linear_programmes_leave_valid_bounds(lie: Lie, monkeypatch: pytest.MonkeyPatch) -> None:
    honest_cost, honest_bound = inference_horizon()
    false = FalseHighs(monkeypatch, {0: lie}, integer=False)
    cost, bound = inference_horizon()
    assert false.told > 0
    assert bound <= honest_cost * (1.0 + ROUNDING)
    assert cost >= honest_bound * (1.0 - ROUNDING)
