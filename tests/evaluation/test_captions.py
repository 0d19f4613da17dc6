"""Sentences of a comparison claim no more than the numbers show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offloadopt.evaluation import captions
from offloadopt.evaluation.reference import Reference, choose_reference
from offloadopt.evaluation.statistics import MethodRun, Statistics, summarise

INF = np.inf


def reference(cost: list[float], bound: list[float], name: str = "exact") -> Reference:
    return choose_reference({name: np.array(cost)}, {name: np.array(bound)})


def row(name: str, gaps: list[float], timed: int = 3) -> Statistics:
    costs = 10.0 * (1.0 + np.array(gaps))
    run = MethodRun(name, {}, costs, np.full(len(gaps), -INF), np.ones(len(gaps)), np.ones(timed), False)
    optimum = reference([10.0] * len(gaps), [10.0] * len(gaps))
    return summarise(run, optimum, opponent=None, resamples=10, seed=0)


def test_the_reference_is_named_in_plain_words() -> None:
    note = captions.reference_note
    assert note(reference([10.0], [10.0]), 1) == "Gaps are measured from the certified optimum, proved by exact."
    assert "lies 11 % above it on average, 11 % at worst" in note(reference([10.0], [9.0]), 1)
    assert "No method proved a bound" in note(reference([10.0], [-INF]), 1)
    assert "no method found a feasible decision" in note(reference([INF], [9.0]), 1)
    assert "on 1 instance with a bound and a feasible decision" in note(reference([10.0, 10.0], [10.0, -INF]), 1)
    two = Reference(np.array([10.0]), ("a", "b"), np.array([0.0]))
    assert "proved by a and b." in note(two, 1)


def test_a_proof_for_episodes_is_said_to_know_the_future() -> None:
    proved, unproved = reference([10.0], [10.0]), reference([10.0], [-INF])
    for found in (proved, unproved):
        assert "hindsight" not in captions.reference_note(found, 100)
        known = captions.reference_note(replace(found, hindsight=True), 100)
        assert "in hindsight: it knows all 100 slots" in known


def test_times_of_problems_with_a_horizon_are_said_to_be_of_whole_episodes() -> None:
    found = reference([10.0], [10.0])
    assert "a whole episode of 1,000 slots" in captions.time_caption(1000)
    assert "a decision made alone" in captions.time_caption(1)
    assert len(captions.summary_notes(found, 1)) == 2
    assert captions.summary_notes(found, 7)[-1] == "Times are those of a whole episode of 7 slots, not of one slot."
    assert dict(captions.facts("p", 2, found, 0, 7))["Instances"] == "1 episodes of 7 slots"


def test_the_tolerance_of_constraints_is_stated() -> None:
    found = reference([10.0], [10.0])
    assert "above 1e-09" in captions.feasibility_note()
    assert "1e-09" in dict(captions.terms(found, bootstrap=10, paired_with=None, horizon=1))["Feasible"]


def test_missing_gaps_and_slow_methods_are_named() -> None:
    found = reference([10.0, 10.0], [10.0, 10.0])
    complete, partial = row("complete", [0.0, 0.1]), row("partial", [0.0, INF], timed=2)
    slow = replace(complete, name="slow", alone_from_batch=True)
    assert (
        captions.results_note([complete], found)
        == "Click a heading to sort. Times alone are of 3 instances per method."
    )
    note = captions.results_note([complete, partial, slow], found)
    assert "Instances with a gap: partial 1; all others 2." in note
    assert "2 to 3 instances" in note
    assert note.endswith("times in the batch: slow.")


def test_only_a_proof_is_called_optimal() -> None:
    proved, unproved = reference([10.0], [10.0]), reference([10.0], [-INF])
    assert "proven optimality" in captions.gap_caption(proved)
    assert "proven optimality" not in captions.gap_caption(unproved)
    assert "Best found" in dict(captions.terms(unproved, bootstrap=10, paired_with=None, horizon=1))
    assert "Won / tied / lost" in dict(captions.terms(proved, bootstrap=10, paired_with="local", horizon=1))


def test_instances_proved_infeasible_are_counted() -> None:
    found = reference([10.0, INF], [10.0, INF])
    assert ("Proved infeasible", "1 instance") in captions.facts("p", 1, found, 0, 1)
