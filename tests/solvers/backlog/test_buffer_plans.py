"""Plans of single buffers with given gains."""

from __future__ import annotations

import numpy as np

from offloadopt import registry
from offloadopt.clock import Deadline
from offloadopt.solvers.backlog.buffer_plans import BufferSearches


def test_buffers_with_given_gains_are_planned_as_if_each_had_them_for_itself() -> None:
    problem = registry.problem("carbon_mimo", users=2, antennas=4, horizon=10)
    instances = problem.sample(2, seed=1)
    known = problem.backlog(instances)
    weaker = problem.backlog(instances, 0.5 * known.service.gain_per_w)
    assert np.array_equal(weaker.service.gain_per_w, 0.5 * known.service.gain_per_w)
    plans = []
    for backlog in (known, weaker):
        searches = BufferSearches(problem, instances, backlog)
        for row in range(2):
            searches.search(row, Deadline())
        plans.append(searches.plan())
    assert (plans[0].bound < plans[1].bound).all()
    assert (plans[0].bound <= plans[0].cost).all()


def test_of_two_plans_each_buffer_keeps_the_cheaper_powers_and_the_higher_bound() -> None:
    problem = registry.problem("carbon_mimo", users=2, antennas=4, horizon=4)
    instances = problem.sample(1, seed=1)
    searches = BufferSearches(problem, instances, problem.backlog(instances))
    none = np.zeros((1, 4, 2))
    idle = searches.evaluated_plan(none, none, none, None)
    searches.search(0, Deadline())
    found = searches.plan()
    for merged in (idle.merged_with(found), found.merged_with(idle)):
        assert np.array_equal(merged.cost, np.minimum(idle.cost, found.cost))
        assert np.array_equal(merged.bound, np.maximum(idle.bound, found.bound))
    assert (found.cost < idle.cost).any()
