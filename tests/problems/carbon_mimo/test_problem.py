"""carbon_mimo against the model evaluated slot by slot and user by user."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Decisions, Instances, Observation, rollout
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.problems.carbon_mimo import CarbonMimo
from offloadopt.solvers.backlog.lyapunov import BacklogLyapunov


def make(preset: str = "paper", **changes: Any) -> CarbonMimo:
    problem = offloadopt.problem("carbon_mimo", preset, **changes)
    assert isinstance(problem, CarbonMimo)
    return problem


def small(**changes: Any) -> CarbonMimo:
    return make(**{"users": 3, "antennas": 4, "horizon": 6, **changes})


def random_decisions(problem: CarbonMimo, count: int, seed: int = 0) -> Decisions:
    """Powers from nothing to the limits."""
    rng, s = np.random.default_rng(seed), problem.scenario
    size = (count, s.horizon, s.users)
    return problem.serve(rng.uniform(0, s.local_max_w, size), rng.uniform(0, s.offload_max_w, size))


# ------------------------------------------------------------------------------------------------- evaluated again


def sinr_of(problem: CarbonMimo, known: np.ndarray, true: np.ndarray, power: np.ndarray, user: int) -> float:
    """SINR after linear detection with the detector's weights."""
    s = problem.scenario
    users = range(s.users)
    if s.detector == "zero-forcing":
        weights = np.linalg.pinv(known.T)[user].conj()
    elif s.detector == "mrc":
        weights = known[user]
    else:
        received = sum(power[j] * np.outer(known[j], known[j].conj()) for j in users)
        weights = np.linalg.inv(received + s.noise_w * np.eye(s.antennas)) @ known[user]
    heard = [power[j] * abs(np.vdot(weights, true[j])) ** 2 for j in users]
    return float(heard[user] / (sum(heard) - heard[user] + s.noise_w * np.vdot(weights, weights).real))


def by_hand(
    problem: CarbonMimo, instances: Instances, decisions: Decisions, row: int
) -> tuple[list[float], dict[str, float]]:
    """Each user's cost, and the sums over users and slots, from the papers' equations one by one."""
    s = problem.scenario
    quantum = s.bandwidth_hz * s.slot_s
    cost = [0.0] * s.users
    buffer = [float(b) for b in instances["start_bits"][row]]
    battery = [0.0] * s.users
    names = ("arrived", "served", "overflow", "buffer", "energy", "grid", "wasted", "carbon")
    sums = dict.fromkeys(names, 0.0)
    for t, u in itertools.product(range(s.horizon), range(s.users)):
        parts = instances["channel"][row, t]
        true = known = parts[..., 0] + 1j * parts[..., 1]
        if s.csi_error > 0:
            error = instances["channel_error"][row, t]
            known = true + error[..., 0] + 1j * error[..., 1]
        local, power = float(decisions["local_w"][row, t, u]), decisions["offload_w"][row, t]
        intensity = float(instances["carbon_g_per_kwh"][row, t])
        sinr = sinr_of(problem, known, true, power, u)
        carried = s.slot_s * s.bandwidth_hz * math.log2(1 + sinr)
        computed = s.slot_s * (local / s.kappa) ** (1 / 3) / s.cycles_per_bit
        served = min(buffer[u], carried + computed)
        arrived = float(instances["arrival_bits"][row, t, u])
        rest = max(buffer[u] - carried - computed, 0.0) + arrived
        lost = 0.0 if s.buffer_bits is None else max(0.0, rest - s.buffer_bits)
        buffer[u] = rest - lost
        energy = s.slot_s * (local + float(power[u]))
        green = float(instances["harvest_j"][row, t, u]) + battery[u]
        grid = max(0.0, energy - green)
        battery[u] = min(max(green - energy, 0.0), s.battery_j)
        wasted = max(0.0, green - energy - s.battery_j)
        grams = intensity * grid / 3.6e6
        full_grams = s.carbon_g_per_kwh * (s.local_max_w + s.offload_max_w) * s.slot_s / 3.6e6
        held = 0.0 if s.buffer_bits is None else buffer[u] / s.buffer_bits
        if s.charge == "ancestor":
            cost[u] += 10 * s.power_weight * grid / s.slot_s + (1 - s.power_weight) * buffer[u] / quantum
        elif s.charge == "literal":
            cost[u] += s.buffer_weight * held + s.carbon_weight * grams + s.loss_weight * (lost + wasted)
        else:
            loss = lost / (s.overflow_unit * quantum) + wasted / (s.harvest_max_w * s.slot_s)
            cost[u] += s.buffer_weight * held + s.carbon_weight * grams / full_grams + s.loss_weight * loss
            if t == s.horizon - 1:
                per_slot = s.slot_s * (s.local_max_w / s.kappa) ** (1 / 3) / s.cycles_per_bit
                settled = s.carbon_g_per_kwh * s.local_max_w * s.slot_s * buffer[u] / per_slot / 3.6e6
                cost[u] += s.final_weight * s.carbon_weight * settled / full_grams
        amounts = (arrived, served, lost, buffer[u] / s.horizon, energy, grid, wasted, grams)
        for name, amount in zip(names, amounts, strict=True):
            sums[name] += amount
    return cost, sums


OPTIONS: dict[str, dict[str, Any]] = {
    "paper": {},
    "battery": {"battery_j": 7e-4, "harvest_w": 2.5},
    "profile": {"carbon_by_hour": tuple(float(100 + 40 * hour) for hour in range(24))},
    "overflow": {"buffer_bits": 5e3, "start_bits": 5e3, "arrival_quanta": (0.5, 3.0, 9.0)},
    "unlimited": {"buffer_bits": None, "arrival_quanta": 9.0},
    "literal": {"charge": "literal", "buffer_bits": 5e3, "start_bits": 4e3, "arrival_quanta": 6.0},
    "ancestor": {"charge": "ancestor", "buffer_bits": None, "harvest_w": 0.0, "power_weight": 0.8, "start_bits": 9e3},
    "weights": {
        "buffer_weight": 0.7,
        "carbon_weight": 0.2,
        "loss_weight": 0.1,
        "final_weight": 0.0,
        "overflow_unit": 3.0,
    },
    "bits": {"slot_s": 1.0, "bandwidth_hz": 1.0, "cycles_per_bit": 5e8, "buffer_bits": 12.0, "arrival_quanta": 8.0},
    "mmse": {"detector": "mmse", "users": 5},
    "mrc": {"detector": "mrc", "users": 5},
    "error": {"csi_error": 0.1},
    "mmse with error": {"detector": "mmse", "csi_error": 0.2},
    "mixed loads": {"arrival_quanta": 1.0, "arrival_quanta_to": 10.0, "distance_m": (20.0, 60.0, 100.0)},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_episode_is_what_the_model_tells(option: str) -> None:
    problem = small(**OPTIONS[option])
    count = 4
    instances, decisions = problem.sample(count, seed=5), random_decisions(problem, count)
    outcome = problem.evaluate(instances, decisions)
    units = {"arrived": "bits", "served": "bits", "overflow": "bits", "buffer": "bits"}
    units |= {"energy": "j", "grid": "j", "wasted": "j", "carbon": "g"}
    for row in range(count):
        cost, sums = by_hand(problem, instances, decisions, row)
        np.testing.assert_allclose(outcome.agent_cost[row], cost, rtol=1e-9)
        assert outcome.cost[row] == pytest.approx(sum(cost), rel=1e-9)
        for name, unit in units.items():
            assert outcome.metrics[f"{name}_{unit}"][row] == pytest.approx(sums[name], rel=1e-9, abs=1e-15), name
    if option == "overflow":
        assert outcome.metrics["overflow_bits"].min() > 0
    if option == "battery":
        assert outcome.metrics["wasted_j"].min() > 0


@pytest.mark.parametrize(
    "option", [name for name, changes in OPTIONS.items() if not {"detector", "csi_error"} & {*changes}]
)
def test_the_backlog_costs_what_the_episode_costs(option: str) -> None:
    """The structure that solvers see, replayed by its own definition."""
    problem = small(**OPTIONS[option])
    instances, decisions = problem.sample(4, seed=5), random_decisions(problem, 4)
    backlog = problem.backlog(instances)
    powers = decisions["local_w"], decisions["offload_w"]
    bits, energy = backlog.service.bits(*powers), backlog.service.energy_j(*powers)
    cost, buffer, battery = backlog.fixed_cost.copy(), backlog.start_bits.copy(), np.zeros((4, 3))
    for slot in range(problem.horizon):
        green = backlog.service.green_j[:, slot] + battery
        now = backlog.service.take((slice(None), slot))
        if backlog.battery_j > 0:
            left = np.maximum(green - energy[:, slot], 0.0)
            battery = np.minimum(left, backlog.battery_j)
            cost += backlog.waste_price * (left - battery) + now.grid_price * np.maximum(energy[:, slot] - green, 0.0)
        else:
            cost += now.energy_cost(energy[:, slot])
        waiting = np.maximum(buffer - bits[:, slot], 0.0) + backlog.arrival_bits[:, slot]
        buffer = np.minimum(waiting, backlog.capacity_bits)
        cost += backlog.holding_price * buffer + backlog.overflow_price * (waiting - buffer)
    cost += backlog.final_price * buffer
    np.testing.assert_allclose(problem.evaluate(instances, decisions).agent_cost, cost, rtol=1e-9)


def test_an_observation_tells_the_slot_s_and_the_last_slot_s_numbers() -> None:
    problem = small(battery_j=1e-3)
    instances, decisions = problem.sample(5, seed=6), random_decisions(problem, 5)
    state = problem.reset(instances)
    before = problem.observe(instances, state)
    np.testing.assert_array_equal(before["sinr_before"], 0.0)
    np.testing.assert_array_equal(before["gain_before_per_w"], 0.0)
    state, _ = problem.step(instances, state, decisions.at_slot(0))
    seen = problem.observe(instances, state)
    np.testing.assert_array_equal(seen["gain_before_per_w"], before["gain_per_w"])
    np.testing.assert_allclose(seen["sinr_before"], before["gain_per_w"] * decisions["offload_w"][:, 0], rtol=1e-12)
    spent = 1e-3 * (decisions["local_w"] + decisions["offload_w"])[:, 0]
    kept = np.clip(instances["harvest_j"][:, 0] - spent, 0.0, 1e-3)
    np.testing.assert_allclose(seen["green_j"], instances["harvest_j"][:, 1] + kept, rtol=1e-12)
    power = np.sum(instances["channel"][:, 1] ** 2, axis=(-1, -2)) / problem.scenario.noise_w
    np.testing.assert_allclose(seen["channel_power_per_w"], power, rtol=1e-12)
    assert (seen["gain_per_w"] <= power * (1 + 1e-9)).all()  # zero forcing gives up what others' directions take


# -------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("detector", ["mmse", "mrc"])
def test_other_detectors_take_more_users_than_antennas(detector: str) -> None:
    problem = small(users=6, antennas=2, detector=detector)
    assert np.isfinite(problem.evaluate(problem.sample(2, 0), random_decisions(problem, 2)).cost).all()


@pytest.mark.parametrize(
    ("array", "change", "why"),
    [
        ("local_w", lambda a: a + 3.0, r"local_w holds .*; allowed: 0 to 2 \[W\]"),
        ("offload_w", lambda a: -a, "offload_w holds -"),
        ("offload_w", lambda a: a * np.nan, "offload_w holds NaN"),
        ("local_w", lambda a: a[:, :, :2], r"local_w has shape \[4, 6, 2\]; allowed: \[count, 6, 3\]"),
        ("local_w", lambda a: a[:, :5], r"local_w has shape \[4, 5, 3\]"),
    ],
)
def test_wrong_decisions_are_refused(array: str, change: Callable[[np.ndarray], np.ndarray], why: str) -> None:
    problem = small()
    decisions = dict(random_decisions(problem, 4))
    with pytest.raises(InvalidInput, match=why):
        problem.evaluate(problem.sample(4, 0), Decisions({**decisions, array: change(decisions[array])}))


# ----------------------------------------------------------------------------------------- who touches whose buffer


@pytest.mark.parametrize(
    ("changes", "touch"),
    [({}, False), ({"detector": "mmse"}, True), ({"detector": "mrc"}, True), ({"csi_error": 0.1}, True)],
)
def test_users_leave_each_other_alone_only_under_zero_forcing_with_perfect_knowledge(
    changes: dict[str, Any], touch: bool
) -> None:
    problem = small(start_bits=2e4, **changes)
    instances, decisions = problem.sample(6, seed=7), dict(random_decisions(problem, 6))
    other = {name: array.copy() for name, array in decisions.items()}
    other["offload_w"][..., 0] = 2.0 - other["offload_w"][..., 0]
    one, two = (problem.evaluate(instances, Decisions(arrays)).agent_cost for arrays in (decisions, other))
    assert (one[:, 0] != two[:, 0]).all()
    assert np.array_equal(one[:, 1:], two[:, 1:]) != touch
    if touch:
        why = "csi_error = 0.1" if "csi_error" in changes else f"detector {changes['detector']}"
        with pytest.raises(Unsupported, match=f"{why}: one user's power disturbs the others"):
            problem.backlog(instances)
    else:
        assert problem.backlog(instances).start_bits.shape == (6, 3)


# ----------------------------------------------------------------------------------------- scenarios worth solving


def per_slot(problem: CarbonMimo, cost: np.ndarray) -> float:
    return float(cost.mean() / (problem.horizon * problem.num_agents))


def preset(name: str, **changes: Any) -> CarbonMimo:
    if name == "solar":
        pytest.importorskip("pvlib")
    return make(name, **changes)


def cost_of_giving_up(problem: CarbonMimo, instances: Instances) -> float:
    """The cheaper of doing nothing and of running on nothing but green energy."""

    def green_alone(seen: Observation) -> Decisions:
        return problem.serve(*problem.service(seen).best(np.zeros_like(problem.buffer_bits(seen))))

    idle = np.zeros((instances.count, problem.horizon, problem.num_agents))
    ways = problem.serve(idle, idle), rollout(problem, instances, green_alone)
    return min(per_slot(problem, problem.evaluate(instances, way).cost) for way in ways)


@pytest.mark.parametrize("name", ["paper", "paper-normalised", "solar"])
def test_a_lost_bit_costs_more_than_serving_it(name: str) -> None:
    """At the extreme load full power beats giving up; with losses divided by the buffer's size it would not."""
    problem = preset(name, arrival_quanta=10.0)
    assert problem.scenario.charge == "normalised"
    instances = problem.sample(20, seed=8)
    full = offloadopt.solver("full-power", problem).run(problem, instances)
    assert per_slot(problem, full.objective) < 0.7 * cost_of_giving_up(problem, instances)

    natural = preset(name, arrival_quanta=10.0, overflow_unit=100.0)
    assert natural.overflow_price == pytest.approx(natural.scenario.loss_weight / natural.capacity_bits)
    whole = per_slot(natural, natural.evaluate(instances, full.decisions).cost)
    assert whole > 1.2 * cost_of_giving_up(natural, instances)


class ShortlyTuned(BacklogLyapunov):
    """Tuned on few instances."""

    tuning_decisions = 1000


@pytest.mark.parametrize("name", ["paper", "paper-normalised", "ancestor", "solar", "interference"])
def test_no_constant_power_comes_near_the_best_known_rule(name: str) -> None:
    problem = preset(name)
    instances = problem.sample(10, seed=9)
    ones = np.ones((10, problem.horizon, problem.num_agents))
    pairs = list(itertools.product(np.linspace(0.0, 2.0, 6), repeat=2))
    costs = [problem.evaluate(instances, problem.serve(a * ones, b * ones)).cost.mean() for a, b in pairs]
    rule = ShortlyTuned().run(problem, instances).objective.mean()
    assert min(costs) > 1.05 * rule
