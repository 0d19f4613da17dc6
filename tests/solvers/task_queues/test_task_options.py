"""Send options, execution bounds and depletion of batteries against simulations of single tasks."""

from __future__ import annotations

import itertools

import numpy as np

from offloadopt.core import Decisions
from offloadopt.solvers.task_queues.task_options import (
    SendOutcome,
    ageing_cost,
    ageing_is_concave,
    ageing_lower_bound,
    build_tasks,
    depleted_senders,
    largest_uses_j,
)

from toys.small_task_queues import CASES, NEARLY_EMPTY, small_d2d


def test_only_senders_that_can_run_out_of_energy_have_the_outcome_depleted() -> None:
    problem = small_d2d(**NEARLY_EMPTY)
    tasks = build_tasks(problem.hindsight_data(problem.sample(1, 11)), 0)
    outcomes = {option.outcome for task in tasks for option in task.options}
    assert SendOutcome.DEPLETED in outcomes
    rich = small_d2d()
    assert all(
        option.outcome is not SendOutcome.DEPLETED
        for task in build_tasks(rich.hindsight_data(rich.sample(1, 11)), 0)
        for option in task.options
    )


def test_options_name_each_reachable_device_once_for_each_number_of_senders() -> None:
    problem = small_d2d()
    data = problem.hindsight_data(problem.sample(3, 11))
    for row in range(3):
        for task in build_tasks(data, row):
            named = [(option.device, option.senders) for option in task.options if option.senders > 0]
            assert len(named) == len(set(named))
            assert {device for device, _ in named} == set(np.flatnonzero(data.linked[row, task.slot, task.agent]))
            assert task.options[0].device == task.agent
            assert task.options[0].outcome is SendOutcome.DELIVERED


def test_a_slower_mode_takes_longer_and_the_fastest_mode_takes_over_at_the_deadline() -> None:
    problem = small_d2d(**CASES["tight deadlines"])
    data = problem.hindsight_data(problem.sample(4, 5))
    for row in range(4):
        for task in build_tasks(data, row):
            for device, mode in itertools.product(task.bounds, range(data.modes)):
                chosen_s, full_s = task.seconds(data, device, mode, task.begin_s)
                speed = data.speed_hz[device]
                assert np.isclose(chosen_s * speed[mode] + full_s * speed[0], task.cycles)
                assert full_s == 0.0 or np.isclose(task.begin_s + chosen_s, task.deadline_s)
                joules = chosen_s * data.power_w[device, mode] + full_s * data.power_w[device, 0]
                assert np.isclose(task.energy_j(data, device, mode, task.begin_s), joules)
                assert joules <= task.largest_energy_j(data, device) * (1 + 1e-12)


def test_no_decision_takes_more_energy_than_the_largest_uses() -> None:
    problem = small_d2d()
    instance = problem.sample(1, 11)
    data = problem.hindsight_data(instance)
    most = sum(largest_uses_j(data, build_tasks(data, 0), device).sum() for device in range(data.devices))
    rng, shape = np.random.default_rng(0), (200, problem.horizon, problem.num_agents)
    decisions = Decisions(
        {"target": rng.integers(0, problem.devices, shape), "mode": rng.integers(0, problem.modes, shape)}
    )
    used = problem.evaluate(instance.take(np.zeros(200, dtype=np.int64)), decisions).metrics["energy_j"]
    assert used.max() > 0
    assert (used <= most).all()


def test_the_ageing_bound_lies_below_the_ageing_of_each_part_and_grows_concavely() -> None:
    problem = small_d2d(**CASES["ageing counts most"])
    data = problem.hindsight_data(problem.sample(1, 5))
    joules = np.linspace(0.5, 4.0, 8)
    assert ageing_is_concave(data, 5.0)
    bounds = np.array([ageing_lower_bound(data, 0.8, (0.1, 0.2), used) for used in joules])
    assert (np.diff(bounds) > 0).all()
    assert (np.diff(bounds, 2) < 0).all()
    for used, bound in zip(joules, bounds, strict=True):
        assert bound <= ageing_cost(data, used + 0.2, 0.8)


def test_a_sender_is_depleted_exactly_when_its_battery_holds_less_than_sending_takes() -> None:
    problem = small_d2d(**NEARLY_EMPTY)
    data = problem.hindsight_data(problem.sample(3, 11))
    compared = 0
    for row in range(3):
        tasks = build_tasks(data, row)
        for n, task in enumerate(tasks):
            for number, option in enumerate(task.options):
                if not option.uses_energy or option.outcome is SendOutcome.DEPLETED:
                    continue
                for share, depleted in ((0.5, True), (1.5, False)):
                    start_j = np.full(data.devices, share * option.send_j)
                    assert depleted_senders(data, start_j, [tasks[n]], [(number, 0)]) == [depleted]
                    compared += 1
    assert compared > 0
