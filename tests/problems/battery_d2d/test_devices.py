"""Devices of `battery_d2d`: targets, reach, disconnections, speeds and the SINR threshold."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.problems.battery_d2d import BatteryD2D
from offloadopt.problems.battery_d2d.devices import NEVER


def make(preset: str = "paper", **changes: Any) -> BatteryD2D:
    problem = offloadopt.problem("battery_d2d", preset, **changes)
    assert isinstance(problem, BatteryD2D)
    return problem


def order_of_targets(problem: BatteryD2D, position: np.ndarray, user: int) -> list[int]:
    others = sorted((math.dist(position[user], position[o]), o) for o in range(problem.num_agents) if o != user)
    return [user, *(other for _, other in others), *range(problem.num_agents, problem.devices)]


def test_targets_are_the_device_itself_then_others_the_nearest_first_then_edge_devices() -> None:
    problem = make(users=6, horizon=3)
    instances = problem.sample(20, 1)
    targets = np.random.default_rng(0).integers(0, problem.devices, (20, 3, 6))
    devices = problem.device(instances, targets)
    assert (problem.device(instances, targets[:, 1]) == devices[:, 1]).all()
    for row, user in itertools.product(range(20), range(6)):
        order = order_of_targets(problem, instances["position_m"][row], user)
        assert devices[row, :, user].tolist() == [order[target] for target in targets[row, :, user]]


def test_distances_of_targets_are_those_of_the_room() -> None:
    problem = make(users=4, horizon=2)
    instances = problem.sample(5, 3)
    device, distance = problem.targets(instances)
    position = np.concatenate([instances["position_m"], np.full((5, 2, 2), 30.0)], axis=1)  # both edge devices
    for row, user, target in itertools.product(range(5), range(4), range(6)):
        apart = math.dist(position[row, user], position[row, device[row, user, target]])
        assert distance[row, user, target] == pytest.approx(apart, abs=1e-12)


def test_the_next_disconnection_is_the_first_from_a_slot_on() -> None:
    problem = make(users=2, servers=1, horizon=4)
    instances = problem.sample(1, 0)
    connected = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 0, 1]])
    found = problem.next_down(problem.check_instances({**instances, "connected": connected[None]}))[0]
    np.testing.assert_array_equal(found, [[2, 1, NEVER], [2, 1, NEVER], [2, 3, NEVER], [NEVER, 3, NEVER]])


def test_edge_devices_are_always_within_reach_and_mobile_ones_up_to_the_reach() -> None:
    problem = make(horizon=2, d2d_m=10.0)
    observation = problem.observe(instances := problem.sample(6, 1), problem.reset(instances))
    within = problem.within_reach(observation)
    assert within[..., 8:].all()
    np.testing.assert_array_equal(within[..., :8], observation["distance_m"][..., :8] <= 10.0)
    assert not within.all()


def test_a_lone_transmission_over_the_reach_succeeds_with_the_stated_probability() -> None:
    problem = make(edge_success=0.8, d2d_m=25.0)
    s = problem.scenario
    received_w = s.d2d_w * problem.gain(np.asarray(s.d2d_m))
    success = problem.band.success(received_w, np.asarray(s.bandwidth_hz), problem.sinr_threshold)
    assert float(success) == pytest.approx(0.8, rel=1e-12)


def test_modes_of_edge_devices_count_both_cores_and_full_power_is_the_rated_one() -> None:
    problem = make()
    speed_hz, power_w = problem.speeds(np.array([False, True, True]), np.array([0, 0, 5]))
    np.testing.assert_allclose(speed_hz, [1.8e9, 2 * 2.6e9, 2 * 1.0e9])
    np.testing.assert_allclose(power_w, [25.0, 95.0, 95.0 * (1.05**2 * 1.0) / (1.3**2 * 2.6)])
    assert (problem.modes, make("fixed-frequency").modes) == (6, 1)
    assert (problem.devices, problem.longest_deadline_s) == (10, 4.0)


def test_damage_counts_shares_of_the_capacity() -> None:
    held_j, used_j, seconds = np.array([400.0]), np.array([[10.0, 5.0]]), np.array([[1.0, 2.0]])
    problem = make()
    np.testing.assert_array_equal(
        problem.damage(held_j, used_j, seconds),
        problem.ageing.damage(held_j / 500.0, used_j / 500.0, seconds),
    )
