"""Expected costs and hindsight data of `battery_d2d`, compared with what evaluation charges."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Decisions, Instances
from offloadopt.problems.battery_d2d import BatteryD2D


def make(preset: str = "paper", **changes: Any) -> BatteryD2D:
    problem = offloadopt.problem("battery_d2d", preset, **changes)
    assert isinstance(problem, BatteryD2D)
    return problem


def everywhere(problem: BatteryD2D, count: int, target: int, mode: int = 0) -> Decisions:
    shape = (count, problem.horizon, problem.num_agents)
    return Decisions({"target": np.full(shape, target), "mode": np.full(shape, mode)})


def changed(problem: BatteryD2D, instances: Instances, **arrays: Any) -> Instances:
    """The instances with some arrays filled with other numbers."""
    filled = {name: np.broadcast_to(values, instances[name].shape) for name, values in arrays.items()}
    return problem.check_instances({**instances, **filled})


def test_without_chance_the_expected_cost_of_a_lone_task_is_the_cost_charged() -> None:
    """One task alone, nobody disconnected, a fading that surely succeeds: expectation and evaluation agree."""
    problem = make(users=2, servers=1, horizon=8, disconnect_chance=0.0, edge_success=1 - 1e-12, room_m=20.0)
    instances = problem.sample(6, 1)
    arrives = np.zeros((6, 8, 2), dtype=np.int64)
    arrives[:, 0, 0] = 1
    instances = changed(problem, instances, arrives=arrives, link_draw=0.0)
    expected = problem.expected_costs(problem.observe(instances, problem.reset(instances))).cost
    for target, mode in itertools.product(range(problem.devices), range(problem.modes)):
        charged = problem.evaluate(instances, everywhere(problem, 6, target, mode)).cost
        np.testing.assert_allclose(expected[:, 0, target, mode], charged, rtol=1e-9)


def test_targets_out_of_reach_have_no_expected_cost() -> None:
    problem = make(horizon=2, d2d_m=10.0)
    instances = problem.sample(5, 2)
    observation = problem.observe(instances, problem.reset(instances))
    costs = problem.expected_costs(observation)
    reach = np.broadcast_to(problem.within_reach(observation)[..., None], costs.cost.shape)
    np.testing.assert_array_equal(np.isfinite(costs.cost), reach)
    held = observation["battery_j"] / problem.scenario.battery_j
    np.testing.assert_allclose(costs.used_share, 1.0 - held, rtol=1e-12)


def test_more_frequent_disconnections_raise_the_expected_cost_of_other_devices_alone() -> None:
    rare, often = (make(horizon=3, disconnect_chance=chance, task_chance=1.0) for chance in (0.0, 0.3))
    instances = changed(rare, rare.sample(5, 4), connected=1)
    observation = rare.observe(instances, rare.reset(instances))
    first, second = rare.expected_costs(observation).cost, often.expected_costs(observation).cost
    np.testing.assert_array_equal(first[:, :, 0], second[:, :, 0])
    finite = np.isfinite(first)
    assert (second[finite] >= first[finite]).all()
    assert (second[finite] > first[finite]).any()


def test_hindsight_lists_links_success_and_the_time_until_a_disconnection() -> None:
    problem = make(users=3, servers=1, horizon=5, disconnect_chance=0.2)
    s, instances = problem.scenario, problem.sample(4, 5)
    data = problem.hindsight_data(instances)
    position = instances["position_m"]
    for row, slot, user, device in itertools.product(range(4), range(5), range(3), range(4)):
        up = instances["connected"][row, :, [user, device]] == 1
        edge = device >= 3
        distance = math.dist(position[row, user], (30.0, 30.0) if edge else position[row, device])
        near = edge or distance <= s.d2d_m
        assert data.linked[row, slot, user, device] == (user != device and near and up[:, slot].all())
        down = [later for later in range(slot, 5) if not up[:, later].all()]
        assert data.until_s[row, slot, user, device] == (down[0] * s.slot_s if down else math.inf)
        snr = (s.cellular_w if edge else s.d2d_w) * problem.gain(np.asarray(distance)) / problem.band.noise_w_per_hz
        alone = s.bandwidth_hz * math.log2(1 + snr / s.bandwidth_hz)
        assert data.send_s[row, slot, user, device, 0] == pytest.approx(instances["bits"][row, slot, user] / alone)
    np.testing.assert_array_equal(data.deadline_s, np.arange(5)[:, None] + instances["deadline_s"])
    assert (data.failure_cost, data.drop_cost, data.capacity_j) == (8.0, 1.0, 500.0)
