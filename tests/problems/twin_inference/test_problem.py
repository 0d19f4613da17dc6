"""twin_inference against the paper's formulas evaluated task by task, its limits, and its twin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt import solver
from offloadopt.core import Decisions, Instances
from offloadopt.problems.twin_inference import TwinInference
from offloadopt.problems.twin_inference.scenario import MEDMNIST
from offloadopt.testing import check_problem


def make(**changes: Any) -> TwinInference:
    problem = offloadopt.problem("twin_inference", changes.pop("preset", "paper"), **changes)
    assert isinstance(problem, TwinInference)
    return problem


def random_decisions(problem: TwinInference, count: int, seed: int, scale: float) -> Decisions:
    """Anything: shares that add up to more than 1, and zeros."""
    rng = np.random.default_rng(seed)
    shape = (count, problem.horizon, problem.num_agents, problem.places)
    shares = [np.clip(rng.uniform(-0.05, scale, shape), 0.0, 1.0) for _ in range(2)]
    return problem.choose(rng.integers(0, problem.servers + 1, shape), *shares)


# ----------------------------------------------------------------------------------------------------- evaluated again


def by_hand(problem: TwinInference, now: Instances, decisions: Decisions, row: int) -> dict[str, float]:
    """Sums over slots and tasks, from equations (1) to (3), (8) and the limits, one task after the other."""
    s = problem.scenario
    hz = sum(s.user_hz) / 2
    flop = sum(flops for flops, _ in MEDMNIST.values()) / len(MEDMNIST) * (s.images_min + s.images_max) / 2
    sums = dict.fromkeys(("cost", "tasks", "offloaded", "failures", "late", "time_s", "energy_j", "drained_j"), 0.0)
    left = [float(value) for value in now["start_j"][row]]
    for t in range(s.horizon):
        there = now["present"][row, t] == 1
        server, cpu, band = (decisions[name][row, t] for name in ("server", "cpu_share", "bandwidth_share"))
        asked: dict[Any, float] = {}
        for i in range(s.users):
            for j in range(problem.places):
                if there[i, j]:
                    k = int(server[i, j])
                    asked[("cpu", k, i if k == 0 else -1)] = asked.get(("cpu", k, i if k == 0 else -1), 0) + cpu[i, j]
                    asked[("band", k)] = asked.get(("band", k), 0) + band[i, j]
        for i in range(s.users):
            first_j = left[i]
            for j in range(problem.places):
                if not there[i, j]:
                    continue
                k, cycles, bits = int(server[i, j]), now["cycles"][row, t, i, j], now["bits"][row, t, i, j]
                sums["tasks"] += 1
                share = cpu[i, j] / max(asked[("cpu", k, i if k == 0 else -1)], 1.0)
                f = share * (now["user_hz"][row, i] if k == 0 else now["server_hz"][row, k - 1])
                time_s = cycles / f if f > 0 else math.inf
                energy_j = (s.kappa_user if k == 0 else s.kappa_server) * f**2 * cycles
                drain_j = energy_j if k == 0 or s.server_drains else 0.0
                if k > 0:
                    b = band[i, j] / max(asked[("band", k)], 1.0) * now["bandwidth_hz"][row, k - 1]
                    power, gain = now["power_w"][row, i], now["gain"][row, t, i, k - 1]
                    received = gain * power * now["distance_m"][row, i, k - 1] ** -s.path_loss_exponent
                    rate = b * math.log2(1 + received / (b * s.noise_w_per_hz)) if b > 0 else 0.0
                    sending = bits / rate if rate > 0 else math.inf
                    time_s += sending
                    energy_j += power * sending
                    drain_j += power * sending
                late = time_s > s.limit_s
                fails = late or drain_j > left[i] + 1e-9 * first_j
                sums["late"] += late
                sums["failures"] += fails
                sums["time_s"] += s.limit_s if fails else time_s
                if fails:
                    sums["cost"] += s.failure_cost
                    continue
                left[i] -= drain_j
                sums["offloaded"] += k > 0
                sums["energy_j"] += energy_j
                sums["drained_j"] += drain_j
                normal = s.time_weight * time_s / (flop / hz) + s.energy_weight * energy_j / (
                    s.kappa_user * hz**2 * flop
                )
                sums["cost"] += normal
    return sums


@pytest.mark.parametrize("scale", [0.4, 1.5])
@pytest.mark.parametrize("changes", [{}, {"server_drains": True}, {"path_loss_exponent": 0.3, "battery_j": 2.0}])
def test_an_episode_costs_what_the_model_says(changes: dict[str, Any], scale: float) -> None:
    problem = make(users=4, servers=2, horizon=3, **changes)
    instances = problem.sample(3, seed=1)
    decisions = random_decisions(problem, 3, seed=2, scale=scale)
    outcome = problem.evaluate(instances, decisions)
    for row in range(3):
        expected = by_hand(problem, instances, decisions, row)
        assert outcome.cost[row] == pytest.approx(expected.pop("cost"), rel=1e-9)
        for name, value in expected.items():
            assert outcome.metrics[name][row] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    np.testing.assert_allclose(outcome.agent_cost.sum(axis=1), outcome.cost, rtol=1e-12)
    assert outcome.feasible.all()


def test_shares_beyond_one_are_cut_pro_rata() -> None:
    problem = make(users=2, servers=1, horizon=1, battery_j=1e6, limit_s=10.0)
    instances = problem.sample(2, seed=1)
    server = np.ones((2, 2, 4), dtype=np.int64)
    ones = {"server": server, "cpu_share": np.ones(server.shape), "bandwidth_share": np.ones(server.shape)}
    number = instances["present"].sum(axis=(1, 2))[:, None, None]
    even = {"server": server, **{name: np.ones(server.shape) / number for name in ("cpu_share", "bandwidth_share")}}
    costs = [problem.evaluate(instances, Decisions(asked)).cost for asked in (ones, even)]
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-12)


def test_what_stands_and_is_decided_in_places_without_a_task_counts_for_nothing() -> None:
    problem = make(users=3, servers=2, horizon=2)
    instances = problem.sample(2, seed=1)
    decisions = random_decisions(problem, 2, seed=2, scale=0.5)
    absent = instances["present"] == 0
    assert absent.any()
    other = random_decisions(problem, 2, seed=3, scale=1.0)
    mixed = Decisions({name: np.where(absent, other[name], decisions[name]) for name in decisions})
    moved = {name: np.where(absent, 7.0 * instances[name], instances[name]) for name in ("bits", "cycles")}
    first = problem.evaluate(instances, decisions)
    second = problem.evaluate(Instances({**instances, **moved}), mixed)
    assert first.cost.tobytes() == second.cost.tobytes()
    seen = problem.observe(instances, problem.reset(instances))
    assert (seen["cycles"][absent[:, 0]] == 0).all()
    assert not problem.allowed(seen)["server"][absent[:, 0]][:, 1:].any()


def test_a_battery_serves_a_users_tasks_in_order_and_is_carried_over() -> None:
    problem = make(users=1, servers=1, horizon=2, tasks_min=2, tasks_max=2, limit_s=100.0, task_mix=("OCTMNIST",))
    instances = problem.sample(1, seed=0)
    needed = problem.all_tasks(instances).local_j[0, :, 0] * 0.25  # at half the CPU
    half = problem.choose(np.zeros((1, 2, 1, 2), np.int64), np.full((1, 2, 1, 2), 0.5), np.zeros((1, 2, 1, 2)))
    for held, failures in ((needed.sum(), 0), (needed.sum() * 0.999999, 1), (needed[0].sum(), 2), (0.0, 4)):
        outcome = problem.evaluate(Instances({**instances, "start_j": np.array([[held]])}), half)
        assert outcome.metrics["failures"][0] == failures


def test_a_task_in_time_costs_less_than_a_failure() -> None:
    problem = make(horizon=1, battery_j=1e6)
    p, work = problem.cost_weights, problem.all_tasks(problem.sample(500, seed=0))
    assert p.per_second * p.limit_s + p.per_joule * work.local_j.max() < p.failure


# ---------------------------------------------------------------------------------------------------- digital twin


def test_a_plan_is_paid_in_reality() -> None:
    problem = make(horizon=2, users=3, servers=2)
    instances = problem.sample(2, seed=1)
    decisions = random_decisions(problem, 2, seed=1, scale=0.3)
    real, thought = (
        problem.evaluate(instances, decisions),
        problem.evaluate(problem.twin_instances(instances), decisions),
    )
    assert (real.cost != thought.cost).all()


# ---------------------------------------------------------------------------------------------- scenarios, how easy


def test_no_constant_policy_comes_near_the_optimum() -> None:
    problem = make(horizon=1, battery_j=1e6)
    instances = problem.sample(4, seed=1)
    best = solver("exact", problem).run(problem, instances).objective.mean()
    shape = (4, problem.num_agents, problem.places)
    user, place = np.indices((problem.num_agents, problem.places))
    constants = {
        "local": np.zeros(shape[1:], dtype=np.int64),
        "in turn": (user * problem.places + place) % problem.servers + 1,
        "by user": user % problem.servers + 1,
        "one at home, others in turn": np.where(place == 0, 0, (user + place) % problem.servers + 1),
    }
    for server in constants.values():
        everything = np.ones(shape)
        decisions = {"server": np.broadcast_to(server, shape), "cpu_share": everything, "bandwidth_share": everything}
        assert problem.evaluate(instances, Decisions(decisions)).cost.mean() > 1.05 * best


def test_literally_all_tasks_stay_at_home() -> None:
    problem = make(preset="paper-literal", users=4, servers=2, horizon=1, battery_j=1e6)
    instances = problem.sample(4, seed=1)
    solved = solver("exact", problem).run(problem, instances)
    assert (problem.evaluate(instances, solved.decisions).metrics["offloaded"] == 0).all()


@pytest.mark.parametrize("view", ["paper", "full"])
def test_what_agents_see_is_of_order_one(view: str) -> None:
    problem = make(users=3, horizon=2)
    instances = problem.sample(20, seed=1)
    seen = problem.view(problem.observe(instances, problem.reset(instances)), view)
    assert seen.shape == (20, 3, problem.view_size(view))
    assert np.abs(seen).max() < 20


@pytest.mark.parametrize("changes", [{"horizon": 1}, {"layout_seed": None, "horizon": 3, "tasks_min": 0}])
def test_it_conforms(changes: dict[str, Any]) -> None:
    check_problem(make(users=3, servers=2, **changes))
