"""Lévy search of targets and modes against the optimum of small windows, its start, and the links that it prefers."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.core import Status
from offloadopt.solvers.task_queues.baselines import TaskQueuesGreedy
from offloadopt.solvers.task_queues.exhaustive import TaskQueuesExhaustive
from offloadopt.solvers.task_queues.levy import (
    START_FACTORS,
    SimulatedCosts,
    TaskQueuesLevy,
    best_rule,
    link_quality,
)
from offloadopt.solvers.task_queues.local_search import greedy_decision
from offloadopt.solvers.task_queues.lyapunov import TaskQueuesLyapunov
from offloadopt.testing import check_solver

from toys.small_task_queues import CASES, small_d2d


def test_it_finds_the_optimum_of_small_windows() -> None:
    problem = small_d2d()
    instances = problem.sample(4, seed=3)
    least = TaskQueuesExhaustive().run(problem, instances)
    found = TaskQueuesLevy(generations=100).run(problem, instances)
    np.testing.assert_allclose(found.objective, least.objective, rtol=1e-9)
    assert set(found.status_names) == {Status.FEASIBLE.name}


def test_after_the_deadline_a_rule_decides_no_more_slots() -> None:
    problem = small_d2d()
    instances = problem.sample(2, seed=3)
    for each in (*best_rule(problem, instances, Deadline(0.0)), *greedy_decision(problem, instances, Deadline(0.0))):
        assert each.shape == (2, problem.horizon, problem.num_agents)
    target, mode = best_rule(problem, instances, Deadline(0.0))
    device, fastest = greedy_decision(problem, instances, Deadline(0.0))
    np.testing.assert_array_equal(target, 0)
    np.testing.assert_array_equal(device, np.broadcast_to(np.arange(problem.num_agents), device.shape))
    assert (mode == 0).all()
    assert (fastest == 0).all()


def test_it_costs_no_more_than_the_rules_at_which_it_starts() -> None:
    problem = small_d2d(users=3, horizon=4, **CASES["batteries are depleted"])
    instances = problem.sample(4, seed=3)
    rule = TaskQueuesLyapunov()
    reference = rule.reference_v(problem, rule.tuning_sample(problem))
    rules = [TaskQueuesGreedy(), *(TaskQueuesLyapunov(v=reference * factor) for factor in START_FACTORS[:-1])]
    cheapest_rule = np.min([each.run(problem, instances).objective for each in rules], axis=0)
    start = problem.evaluate(instances, problem.choose(*best_rule(problem, instances, Deadline()))).cost
    np.testing.assert_allclose(start, cheapest_rule, rtol=1e-12)
    one, many = (TaskQueuesLevy(generations=n).run(problem, instances).objective for n in (1, 60))
    assert (many <= one).all()
    assert (one <= cheapest_rule * (1 + 1e-12)).all()
    assert (many < cheapest_rule * (1 - 1e-6)).any()


def test_quality_is_the_rate_relative_to_the_best_link_that_does_not_lose_the_task() -> None:
    problem = small_d2d(users=3, reference_gain_db=-55.0)
    instances = problem.sample(3, seed=1)
    data, quality = (
        problem.hindsight_data(instances),
        link_quality(problem, instances, problem.hindsight_data(instances)).reshape(3, 2, 3, 4),
    )
    assert quality.max(axis=-1).min() in (0.0, 1.0)
    assert (quality[..., 0] == 0).all()
    seen = 0
    for row, slot, agent, target in np.ndindex(quality.shape):
        chosen = np.zeros((3, 2, 3), dtype=np.int64)
        chosen[row, slot, agent] = target
        device = problem.device(instances, chosen)[row, slot, agent]
        works = data.linked[row, slot, agent, device] and data.received[row, slot, agent, device, 0]
        assert (quality[row, slot, agent, target] > 0) == works
        if works:
            times = data.send_s[row, slot, agent, :, 0][
                data.linked[row, slot, agent] & data.received[row, slot, agent, :, 0]
            ]
            assert np.isclose(quality[row, slot, agent, target], times.min() / data.send_s[row, slot, agent, device, 0])
            seen += 1
    assert seen > 10


def test_a_time_limit_ends_the_search() -> None:
    problem = small_d2d()
    found = TaskQueuesLevy(generations=10**9, time_limit_s=0.02).run(problem, problem.sample(2, 0))
    assert (found.seconds < 1.0).all()


def test_it_conforms() -> None:
    check_solver(TaskQueuesLevy(generations=3), small_d2d())


@pytest.mark.parametrize("case", ["paper", "batteries are depleted", "one subchannel"])
def test_candidates_cost_what_the_problem_charges_whether_kept_or_not(case: str) -> None:
    problem, rng = small_d2d(users=3, horizon=4, **CASES[case]), np.random.default_rng(4)
    instances = problem.sample(2, seed=3)
    costs, shape = SimulatedCosts(problem, instances, problem.hindsight_data(instances)), (2, 3, 12)
    for _ in range(8):
        target, mode = rng.integers(0, problem.devices, shape), rng.uniform(0, problem.modes, shape)
        found = costs.cost(target, mode)
        for member in range(3):
            chosen = (values[:, member].reshape(2, 4, 3) for values in (target, costs.modes(mode)))
            charged = problem.evaluate(instances, problem.choose(*chosen)).cost
            np.testing.assert_allclose(found[:, member], charged, rtol=1e-9)
