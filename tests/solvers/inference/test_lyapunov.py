"""`lyapunov`: the slots' local optimum with full batteries, cheaper than unpriced joules with scarce ones."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt import solver
from offloadopt.clock import Deadline
from offloadopt.core import Instances
from offloadopt.errors import InvalidInput
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.problems.twin_inference import TwinInference
from offloadopt.solvers.inference.local_search import local_search
from offloadopt.solvers.inference.lyapunov import InferenceLyapunov
from offloadopt.solvers.inference.resource_allocation import local_set_costs, slot_tasks


def make(**changes: Any) -> TwinInference:
    problem = offloadopt.problem("twin_inference", **changes)
    assert isinstance(problem, TwinInference)
    return problem


def test_with_full_batteries_it_costs_what_the_slots_searches_do() -> None:
    problem = make(users=4, servers=3, horizon=3, battery_j=1e6)
    instances = problem.sample(3, seed=2)
    found = solver("lyapunov", problem, v=1e15).run(problem, instances)
    work = problem.all_tasks(instances)
    for row in range(3):
        total = 0.0
        for t in range(3):
            parts = {f.name: getattr(work, f.name) for f in fields(InferenceTasks)}
            tasks = InferenceTasks(**{k: v[row, t if v.shape[1] > 1 else 0] for k, v in parts.items()})
            slot = slot_tasks(tasks, problem.cost_weights, np.zeros(4), 0.0)
            own = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 16)
            total += local_search(slot, own, np.arange(slot.tasks) % 3 + 1, Deadline())[1]
        assert found.objective[row] == pytest.approx(total, rel=1e-9)
    proved = solver("exact", problem).run(problem, instances)
    assert (found.objective >= proved.bound).all()
    assert found.objective.mean() <= 1.02 * proved.objective.mean()


class ShortlyTuned(InferenceLyapunov):
    """Tuned on few instances."""

    tuning_decisions = 60


def test_scarce_batteries_are_spared_and_that_pays() -> None:
    problem = make(users=3, servers=2, horizon=6, battery_j=2.0, start_share=0.6)
    instances = problem.sample(6, seed=5)
    unpriced, spared = (ShortlyTuned(v=v).run(problem, instances) for v in (1e9, None))
    fails = [problem.evaluate(instances, these.decisions).metrics["failures"].mean() for these in (unpriced, spared)]
    assert fails[0] > fails[1]
    assert spared.objective.mean() < 0.98 * unpriced.objective.mean()
    np.testing.assert_array_equal(spared.details["v"], ShortlyTuned().tuned(problem)[0])


def test_it_does_not_know_the_future() -> None:
    problem = make(users=3, servers=2, horizon=4, battery_j=2.0)
    instances, others = problem.sample(3, seed=1), problem.sample(3, seed=2)
    later = {name: np.array(values) for name, values in instances.items()}
    for name in ("present", "bits", "cycles", "gain"):
        later[name][:, 2:] = others[name][:, 2:]
    rule = InferenceLyapunov(v=2.0)
    first, second = (rule.run(problem, these).decisions["server"] for these in (instances, Instances(later)))
    np.testing.assert_array_equal(first[:, :2], second[:, :2])
    assert (first[:, 2:] != second[:, 2:]).any()


def test_joules_without_a_price_can_still_be_scarce() -> None:
    problem = make(users=1, servers=1, horizon=3, battery_j=0.4, energy_weight=0.0)
    instances = problem.sample(3, seed=1)
    found = ShortlyTuned().run(problem, instances)
    drained = problem.evaluate(instances, found.decisions).metrics["drained_j"]
    assert (drained <= instances["start_j"].sum(axis=1) * (1 + 1e-9)).all()
    assert (found.objective < solver("local", problem).run(problem, instances).objective).all()


def test_bad_input_is_refused() -> None:
    with pytest.raises(InvalidInput, match="v = 0"):
        InferenceLyapunov(v=0)
