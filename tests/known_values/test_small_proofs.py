"""Small instances whose proofs were once false, missing or errors, against independent computations."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Instances, Problem, Status
from offloadopt.physics.mimo import detected_sinr, zero_forcing_gain
from offloadopt.problems.multi_server import MultiServer

MULTI_SERVER: dict[str, tuple[int, dict[str, Any]]] = {
    "local computing costs 1e21": (
        27,
        {"users": 1, "servers": 3, "bandwidth_hz": 149e9, "power_max_w": 3.66e-4, "cpu_local_hz": 209e12,
         "cpu_server_hz": 304e3, "time_weight": 0.00915, "kappa": 2.97e-24},
    ),
    "a server's CPU of 647 THz": (
        721,
        {"users": 1, "servers": 3, "area_m": 1.03, "noise_w_per_hz": 9.66e-10, "cpu_local_hz": 1.49e12,
         "cpu_server_hz": 6.47e14, "time_weight": 2.37e-6, "kappa": 2.32e-25},
    ),
    "SCIP loses the objective": (
        191,
        {"users": 1, "servers": 1, "area_m": 858.0, "power_max_w": 0.86, "cpu_local_hz": 37.8e12, "task_cycles": 3.13e6,
         "energy_weight": 36800.0, "kappa": 7.77e-25},
    ),
    "a joule costs 1e9": (
        757,
        {"users": 4, "servers": 3, "area_m": 107.0, "task_spread": 0.9, "cpu_local_hz": 5.2e6, "cpu_server_hz": 3330.0,
         "time_weight": 1.04, "energy_weight": 1e9, "path_loss_exponent": 10.0},
    ),
    "congestion costs 1e9 times the links": (
        47,
        {"users": 4, "servers": 1, "area_m": 4.88, "task_spread": 0.9, "bandwidth_hz": 29.9e9, "power_max_w": 365e3,
         "cpu_local_hz": 56.2e12, "cpu_server_hz": 1.13e6, "task_bits": 2.97e9, "task_cycles": 114e12,
         "time_weight": 258e3, "energy_weight": 17.7, "kappa": 1.31e-28, "cpu_exponent": 2.0},
    ),
    "links cost next to nothing": (
        787,
        {"users": 4, "servers": 2, "area_m": 9.19, "task_spread": 0.9, "bandwidth_hz": 561e9,
         "noise_w_per_hz": 1.96e-16, "power_max_w": 75.1, "cpu_local_hz": 15.7e12, "task_cycles": 379e9,
         "time_weight": 9140.0},
    ),
    "SCIP takes a costly option": (
        200,
        {"users": 4, "servers": 3, "area_m": 2.17, "task_spread": 0.5, "noise_w_per_hz": 1.72e-19,
         "power_max_w": 1.29e6, "cpu_server_hz": 152e12, "task_bits": 3.98e9, "time_weight": 2.6e-4, "kappa": 5.86e-33,
         "energy_weight": 1e9},
    ),
}  # fmt: skip


def beyond_limits(name: str, **changes: Any) -> Problem[Any]:
    """Make a problem, also of values that its scenario refuses: provers do not rely on limits."""
    kind = type(offloadopt.problem(name))
    return kind(kind.scenario_type().model_copy(update=changes))


def cheapest_assignment(problem: MultiServer, instance: Instances) -> float:
    """The least cost of all assignments, in plain Python, with powers by golden-section search."""
    s = problem.scenario
    gain, bits, cycles = (instance[name][0].tolist() for name in ("gain", "task_bits", "task_cycles"))

    def link_cost(log_power: float, link_gain: float, size: float) -> float:
        power = math.exp(log_power)
        snr = power * link_gain / (s.noise_w_per_hz * s.bandwidth_hz)
        rate = s.bandwidth_hz * math.log1p(snr) / math.log(2.0)
        return (s.time_weight + s.energy_weight * power) * size / rate if rate > 0 else math.inf

    def cheapest_link(link_gain: float, size: float) -> float:
        low, high = math.log(s.power_max_w) - 90.0, math.log(s.power_max_w)
        for _ in range(120):
            first, second = high - 0.618 * (high - low), low + 0.618 * (high - low)
            if link_cost(first, link_gain, size) < link_cost(second, link_gain, size):
                high = second
            else:
                low = first
        return min(link_cost(at, link_gain, size) for at in (low, high, math.log(s.power_max_w)))

    local_w = s.kappa * s.cpu_local_hz**s.cpu_exponent
    options = [
        [(s.time_weight + s.energy_weight * local_w) * work / s.cpu_local_hz]
        + [cheapest_link(link, size) for link in links]
        for links, size, work in zip(gain, bits, cycles, strict=True)
    ]
    load = [math.sqrt(s.time_weight * work) for work in cycles]
    return min(
        math.fsum(own[option] for own, option in zip(options, chosen, strict=True))
        + math.fsum(
            math.fsum(size for size, option in zip(load, chosen, strict=True) if option == server) ** 2
            for server in range(1, s.servers + 1)
        )
        / s.cpu_server_hz
        for chosen in itertools.product(range(s.servers + 1), repeat=s.users)
    )


@pytest.mark.parametrize("case", MULTI_SERVER)
@pytest.mark.parametrize("method", ["exact", "exhaustive", "milp", "minlp"])
def test_multi_server(case: str, method: str) -> None:
    seed, changes = MULTI_SERVER[case]
    problem = beyond_limits("multi_server", layout_seed=seed, **changes)
    assert isinstance(problem, MultiServer)
    instance = problem.sample(1, seed)
    solved = offloadopt.solve(problem, instance, method)
    optimum = cheapest_assignment(problem, instance)
    assert solved.status_names == [Status.OPTIMAL.name]
    assert solved.objective[0] == pytest.approx(optimum, rel=1e-6)
    assert solved.bound[0] <= optimum * (1.0 + 1e-9)


def exact_sinr(channel: list[list[int]], power: list[Fraction], noise: Fraction) -> list[float]:
    """SINR after MMSE detection of two users at two antennas with real channels, in rational numbers."""
    sinr = []
    for user in (0, 1):
        (a, b), p = channel[1 - user], power[1 - user]
        # The other user's signal and noise: R = p g g' + noise I; the best SINR is power h' R^-1 h.
        x, y = channel[user]
        first, mixed, second = p * a * a + noise, p * a * b, p * b * b + noise
        inverse = (x * (second * x - mixed * y) + y * (first * y - mixed * x)) / (first * second - mixed * mixed)
        sinr.append(float(power[user] * inverse))
    return sinr


@pytest.mark.parametrize("exponent", [-40, -20, 0])
@pytest.mark.parametrize("channel", [[[1, 2], [3, -1]], [[10**6, 10**6], [10**6, 10**6 + 1]], [[1, 1], [10**5, -3]]])
def test_mmse_keeps_its_digits_where_noise_is_far_below_the_signals(channel: list[list[int]], exponent: int) -> None:
    power, noise = [Fraction(1), Fraction(1, 2**10)], Fraction(2) ** exponent
    known = np.array(channel, dtype=np.complex128)[None]
    sinr = detected_sinr("mmse", known, known, np.array([[float(p) for p in power]]), float(noise))
    assert sinr[0] == pytest.approx(exact_sinr(channel, power, noise), rel=1e-6)


def test_zero_forcing_keeps_its_digits_where_channels_are_nearly_dependent() -> None:
    channel = [[10**6, 10**6], [10**6, 10**6 + 1]]
    # 1 / [G^-1]_uu = det G / G_vv
    determinant = Fraction((channel[0][0] * channel[1][1] - channel[0][1] * channel[1][0]) ** 2)
    expected = [float(determinant / sum(x * x for x in channel[1 - user])) for user in (0, 1)]
    gain = zero_forcing_gain(np.array(channel, dtype=np.complex128)[None], 1.0)
    assert gain[0] == pytest.approx(expected, rel=1e-8)


TWIN_INFERENCE: dict[str, tuple[int, float, dict[str, Any]]] = {
    "no plan of one slot is within the batteries": (
        28,
        2.76798623,
        {
            "users": 3,
            "servers": 1,
            "horizon": 1,
            "layout_seed": 76,
            "tasks_max": 2,
            "kappa_server": 1e-27,
            "battery_j": 0.361374,
            "start_share": 0.14518,
            "server_drains": True,
            "limit_s": 2.06066,
            "time_weight": 0.57935,
            "energy_weight": 0.0,
            "failure_cost": 17.2244,
        },
    ),
    "a task needs more energy than the battery holds": (
        85,
        7.28993,
        {
            "users": 1,
            "servers": 2,
            "horizon": 1,
            "layout_seed": 46,
            "tasks_max": 1,
            "kappa_server": 1e-27,
            "battery_j": 2.29363,
            "start_share": 0.892234,
            "server_drains": True,
            "limit_s": 0.222297,
            "time_weight": 0.259987,
            "energy_weight": 1.0,
            "failure_cost": 7.28993,
        },
    ),
    "a task fails and a server drains batteries": (
        189,
        1.23375936,
        {
            "users": 2,
            "servers": 2,
            "horizon": 1,
            "layout_seed": 46,
            "tasks_max": 1,
            "kappa_server": 1e-27,
            "battery_j": 9.75169,
            "start_share": 0.226663,
            "server_drains": True,
            "limit_s": 0.193196,
            "time_weight": 0.321324,
            "energy_weight": 0.0,
            "failure_cost": 1.18516,
        },
    ),
    "prices end before they are exact": (
        47,
        1.01800659,
        {
            "users": 3,
            "servers": 2,
            "horizon": 1,
            "layout_seed": 46,
            "tasks_min": 0,
            "tasks_max": 2,
            "battery_j": 0.486077,
            "start_share": 0.970167,
            "limit_s": 0.199755,
            "time_weight": 0.561831,
            "energy_weight": 0.0,
            "failure_cost": 13.0343,
        },
    ),
    "two slots": (
        10,
        2.5153327,
        {
            "users": 3,
            "servers": 1,
            "horizon": 2,
            "layout_seed": 82,
            "tasks_max": 1,
            "battery_j": 0.587094,
            "start_share": 0.561524,
            "limit_s": 1.08033,
            "time_weight": 0.482958,
            "energy_weight": 0.0,
            "failure_cost": 12.4243,
        },
    ),
}


@pytest.mark.parametrize("case", TWIN_INFERENCE)
def test_small_slots_of_twin_inference_are_proved(case: str) -> None:
    seed, optimum, changes = TWIN_INFERENCE[case]  # of all options with convex programmes for the shares, by Clarabel
    problem = offloadopt.problem("twin_inference", **changes)
    solved = offloadopt.solve(problem, problem.sample(1, seed), "exact")
    assert solved.status_names == [Status.OPTIMAL.name]
    assert solved.objective[0] == pytest.approx(optimum, rel=2e-6)
    assert solved.bound[0] <= optimum * (1.0 + 1e-7)


PARTIAL_MOBILE: dict[str, tuple[int, float, dict[str, Any]]] = {
    "a server of 1e19 Hz": (
        5,
        0.534396991,
        {
            "users": 3,
            "speed_max_m_per_s": 2.22e-5,
            "bandwidth_hz": 3.19e6,
            "noise_w": 3.85e-19,
            "cpu_local_hz": 82.9e6,
            "task_bits_min": 1.24e6,
            "task_bits_max": 2.31e6,
            "cycles_per_bit": 2320.0,
            "time_weight": 0.881,
            "cpu_server_hz": 1.31e19,
            "sites_m": ((100.0, 379.0), (76.0, 72.0)),
        },
    ),
    "a server that is used at 1e-9 of its speed": (
        150,
        2.756098645,
        {
            "users": 3,
            "speed_max_m_per_s": 859.0,
            "path_loss_exponent": 0.0187,
            "power_w": 1.35,
            "kappa_server": 3.46e-25,
            "cpu_server_hz": 1.2e18,
            "sites_m": ((105.0, 345.0),),
        },
    ),
}


@pytest.mark.parametrize("case", PARTIAL_MOBILE)
@pytest.mark.parametrize("method", ["exact", "exhaustive", "expert"])
def test_tasks_find_their_share_of_a_server_of_any_speed(case: str, method: str) -> None:
    seed, optimum, changes = PARTIAL_MOBILE[case]  # of all servers and modes, with shares by golden-section search
    problem = beyond_limits("partial_mobile", horizon=1, **changes)
    solved = offloadopt.solve(problem, problem.sample(1, seed), method)
    assert solved.status_names == [Status.OPTIMAL.name]
    assert solved.objective[0] == pytest.approx(optimum, rel=1e-6)
    assert solved.bound[0] <= optimum * (1.0 + 1e-8)
