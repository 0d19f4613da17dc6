"""partial_mobile against the model evaluated slot by slot and user by user, its paths."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt import solver
from offloadopt.core import Decisions, Instances, Observation, rollout
from offloadopt.errors import InvalidInput
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.testing import check_problem


def make(**changes: Any) -> PartialMobile:
    problem = offloadopt.problem("partial_mobile", changes.pop("preset", "paper"), **changes)
    assert isinstance(problem, PartialMobile)
    return problem


def random_decisions(problem: PartialMobile, count: int, seed: int, *, most_hz: float) -> Decisions:
    """Anything: also CPU without a server, servers without a ratio, and exact zeros and ones."""
    rng, shape = np.random.default_rng(seed), (count, problem.horizon, problem.tasks)
    if problem.horizon == 1:
        shape = (count, problem.tasks)
    ratio = np.clip(rng.uniform(-0.3, 1.3, shape), 0.0, 1.0)
    cpu_hz = np.maximum(rng.uniform(-0.2, 1.0, shape), 0.0) * most_hz
    return Decisions({"server": rng.integers(0, problem.sites + 1, shape), "ratio": ratio, "cpu_hz": cpu_hz})


# ------------------------------------------------------------------------------------------------- evaluated again


def by_hand(problem: PartialMobile, instances: Instances, decisions: Decisions, row: int) -> dict[str, float]:
    """Sums over users and slots, from the model's equations, with one loop after the other."""
    s = problem.scenario
    sums = dict.fromkeys(("cost", "time_s", "energy_j", "utility", "overload", "offloaded"), 0.0)
    for t in range(s.horizon):
        position, bits = instances["position_m"][row, t], instances["task_bits"][row, t]
        server, ratio, cpu = (decisions[name][row, t] for name in ("server", "ratio", "cpu_hz"))
        users: dict[int, list[int]] = {}
        for i in range(s.users):
            if server[i] > 0 and ratio[i] > 0 and cpu[i] > 0:
                users.setdefault(int(server[i]), []).append(i)
        for i in range(s.users):
            local_s = bits[i] * s.cycles_per_bit / s.cpu_local_hz
            local_j = s.kappa_local * s.cpu_local_hz**3 * local_s
            here = next((j for j, members in users.items() if i in members), 0)
            share, penalty, time_s, energy_j = 0.0, 0.0, local_s, local_j
            if here:
                share = float(ratio[i])
                asked = sum(float(cpu[k]) for k in users[here])
                hz = float(cpu[i])
                if asked > s.cpu_server_hz:
                    hz *= s.cpu_server_hz / asked
                    penalty = s.overload_penalty / len(users[here])
                east, north = problem.sites_m[here - 1]
                distance_km = max(math.hypot(position[i, 0] - east, position[i, 1] - north), 1.0) / 1000
                loss_db = 140.7 + 36.7 * math.log10(distance_km)
                snr = s.power_w * 10 ** (-loss_db / 10) / s.noise_w
                rate = s.bandwidth_hz / len(users[here]) * math.log2(1 + snr)
                upload_s = share * bits[i] / rate
                edge_s = share * bits[i] * s.cycles_per_bit / hz
                time_s = max((1 - share) * local_s, upload_s + edge_s)
                energy_j = (1 - share) * local_j + s.power_w * upload_s + s.kappa_server * hz**3 * edge_s
            gain = s.time_weight * (local_s - time_s) / local_s + (1 - s.time_weight) * (local_j - energy_j) / local_j
            sums["cost"] += 1 - gain + penalty
            sums["time_s"] += time_s
            sums["energy_j"] += energy_j
            sums["utility"] += gain / s.users / s.horizon
            sums["offloaded"] += share / s.users / s.horizon
        over = [j for j, members in users.items() if sum(cpu[k] for k in members) > s.cpu_server_hz]
        sums["overload"] += len(over) / problem.sites / s.horizon
    return sums


@pytest.mark.parametrize("most_hz", [1e9, 1e10])
@pytest.mark.parametrize("time_weight", [0.1, 0.9])
def test_an_episode_costs_what_the_model_says(time_weight: float, most_hz: float) -> None:
    problem = make(users=7, horizon=4, time_weight=time_weight, overload_penalty=0.7)
    instances = problem.sample(3, seed=1)
    decisions = random_decisions(problem, 3, seed=2, most_hz=most_hz)
    outcome = problem.evaluate(instances, decisions)
    for row in range(3):
        expected = by_hand(problem, instances, decisions, row)
        assert outcome.cost[row] == pytest.approx(expected.pop("cost"), rel=1e-9)
        for name, value in expected.items():
            assert outcome.metrics[name][row] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    np.testing.assert_allclose(outcome.agent_cost.sum(axis=1), outcome.cost, rtol=1e-12)
    assert (outcome.metrics["overload"].max() > 0) == (most_hz == 1e10)


def one_server(**changes: Any) -> tuple[PartialMobile, Instances]:
    problem = make(users=3, horizon=1, sites_m=((0.0, 0.0),), **changes)
    return problem, Instances({"position_m": np.full((1, 3, 2), 50.0), "task_bits": np.full((1, 3), 1.6e6)})


def asking(*cpu_hz: float) -> Decisions:
    return Decisions({"server": np.ones((1, 3), int), "ratio": np.ones((1, 3)), "cpu_hz": np.array([cpu_hz])})


def test_an_overloaded_server_shares_its_cpu_pro_rata_and_its_users_the_penalty() -> None:
    problem, instances = one_server(overload_penalty=0.9)
    over = problem.evaluate(instances, asking(10e9, 10e9, 5e9))
    fitting = problem.evaluate(instances, asking(4e9, 4e9, 2e9))
    np.testing.assert_allclose(over.agent_cost, fitting.agent_cost + 0.3, rtol=1e-12)
    assert over.metrics["overload"][0] == 1
    assert fitting.metrics["overload"][0] == 0


def test_the_penalty_is_no_part_of_the_utility() -> None:
    problem, instances = one_server()
    over, fitting = (problem.evaluate(instances, asking(*cpu)) for cpu in ((10e9, 10e9, 5e9), (4e9, 4e9, 2e9)))
    np.testing.assert_allclose(over.metrics["utility"], fitting.metrics["utility"], rtol=1e-12)


def test_who_lacks_a_server_a_ratio_or_cpu_computes_locally_and_takes_nothing_from_others() -> None:
    problem, instances = one_server()
    alone = Decisions(
        {"server": np.array([[1, 0, 0]]), "ratio": np.array([[1.0, 0, 0]]), "cpu_hz": np.full((1, 3), 5e9)}
    )
    expected = problem.evaluate(instances, alone)
    assert expected.agent_cost[0, 0] < 1
    np.testing.assert_array_equal(expected.agent_cost[0, 1:], 1.0)
    for name, value in (("ratio", 0.0), ("cpu_hz", 0.0)):
        idle = {"server": np.ones((1, 3), int), "ratio": np.ones((1, 3)), "cpu_hz": np.full((1, 3), 5e9)}
        idle[name] = np.array([[idle[name][0, 0], value, value]])
        np.testing.assert_array_equal(problem.evaluate(instances, Decisions(idle)).agent_cost, expected.agent_cost)


def test_the_last_slots_requests_are_observed_and_change_no_cost() -> None:
    problem = make(users=4, horizon=2)
    instances = problem.sample(1, seed=3)
    seen: list[Observation] = []

    def greedy(observation: Observation) -> Decisions:
        seen.append(observation)
        return Decisions({"server": np.array([[1, 1, 2, 0]]), "ratio": np.ones((1, 4)), "cpu_hz": np.full((1, 4), 8e9)})

    taken = rollout(problem, instances, greedy)
    np.testing.assert_array_equal(seen[0]["workload_hz"], np.zeros((1, 4, 5)))
    np.testing.assert_array_equal(seen[1]["workload_hz"], [[[16e9, 8e9, 0.0, 0.0, 0.0]] * 4])
    single = problem.one_slot
    parts = [single.evaluate(instances.at_slot(t), taken.at_slot(t)).cost[0] for t in range(2)]
    assert problem.evaluate(instances, taken).cost[0] == pytest.approx(sum(parts), rel=1e-13)


# ---------------------------------------------------------------------------------------------------------- agents


def test_algorithm_1_scales_the_state_and_counts_the_servers_once() -> None:
    problem = make(users=3, horizon=2)
    instances = problem.sample(2, seed=3)
    everything = {"server": np.full((2, 3), 2), "ratio": np.ones((2, 3)), "cpu_hz": np.full((2, 3), 1e9)}
    state, _ = problem.step(instances, problem.reset(instances), Decisions(everything))
    observation = problem.observe(instances, state)
    place, task = observation["position_m"] / 400.0, observation["task_bits"] / 2e6
    load = np.tile([0.0, 0.3, 0.0, 0.0, 0.0], (2, 1))
    own = np.concatenate([place, task[..., None], np.repeat(load[:, None], 3, axis=1)], axis=-1)
    np.testing.assert_allclose(problem.view(observation, "paper"), own)
    together = np.concatenate([place.reshape(2, -1), task, load], axis=-1)
    np.testing.assert_allclose(problem.global_view(observation, "paper"), together)
    raw = [observation["position_m"].reshape(2, -1), observation["task_bits"], 1e10 * load]
    np.testing.assert_allclose(problem.global_view(observation, "unscaled"), np.concatenate(raw, axis=-1))


def test_requests_without_ratio_or_cpu_are_local_and_point_to_the_best_link() -> None:
    problem = make(users=4, horizon=1, area_m=400.0)
    controls = problem.controls["requests"]
    observation = Observation(
        {
            "position_m": np.array([[[90.0, 90.0], [310.0, 90.0], [200.0, 210.0], [90.0, 310.0]]]),
            "task_bits": np.full((1, 4), 1e6),
            "workload_hz": np.zeros((1, 4, 5)),
        }
    )
    ratio, cpu = np.array([[0.5, 0.0, 1.0, 0.25]]), np.array([[0.25, 0.5, 0.0, 1.0]])
    decision = controls.decode(observation, {"ratio": ratio, "cpu": cpu, "server": np.array([[5, 4, 4, 1]])})
    assert decision["server"].tolist() == [[5, 0, 0, 1]]
    assert decision["ratio"].tolist() == [[0.5, 0.0, 0.0, 0.25]]
    assert decision["cpu_hz"].tolist() == [[2.5e9, 0.0, 0.0, 10e9]]
    requests = controls.encode(observation, decision)
    assert requests["server"].tolist() == [[5, 2, 3, 1]]
    assert requests["cpu"].tolist() == [[0.25, 0.0, 0.0, 1.0]]


# ---------------------------------------------------------------------------------------------------------- nature


def test_users_walk_no_faster_than_they_can_and_stay_in_the_area() -> None:
    problem = make(users=20, horizon=40)
    instances = problem.sample(30, seed=4)
    position, bits = instances["position_m"], instances["task_bits"]
    stride = np.linalg.norm(np.diff(position, axis=1), axis=-1)
    assert stride.max() <= 5.0
    inside = ((position > 0) & (position < 400)).all(axis=-1)
    free = stride[inside[:, 1:] & inside[:, :-1]]
    # Speeds are uniform in [0, 5]: mean 2.5, standard deviation 5/sqrt(12); 5 standard errors
    assert free.mean() == pytest.approx(2.5, abs=5 * 1.45 / math.sqrt(free.size))
    assert position.min() >= 0
    assert position.max() <= 400
    moves = np.diff(position, axis=1)[inside[:, 1:] & inside[:, :-1]]
    assert np.abs(moves.mean(axis=0)).max() < 5 * moves.std() / math.sqrt(len(moves))
    assert position[:, 0].mean() == pytest.approx(200, abs=5 * 116 / math.sqrt(position[:, 0].size))
    assert 1.5e6 <= bits.min() < 1.51e6
    assert 1.99e6 < bits.max() <= 2e6


def test_the_same_seed_gives_the_same_paths_and_more_draws_extend_fewer() -> None:
    problem = make(users=3, horizon=5)
    few, many = problem.sample(2, seed=5), problem.sample(4, seed=5)
    for name, array in few.items():
        np.testing.assert_array_equal(array, many[name][:2])
        assert not np.array_equal(array, problem.sample(2, seed=6)[name])


def test_melbournes_users_walk_among_its_own_sites(real_places: tuple[Path, Path]) -> None:
    users, sites = real_places
    problem = make(preset="melbourne", users_file=users, sites_file=sites, users=8, horizon=6)
    assert problem.sites_m.shape == (5, 2)
    assert len(np.unique(problem.sites_m, axis=0)) == 5
    instances = problem.sample(4, seed=7)
    assert np.linalg.norm(np.diff(instances["position_m"], axis=1), axis=-1).max() <= 1.5
    check_problem(problem)
    solved = solver("exact", problem).run(problem, instances)
    assert (solved.gap <= 1e-6).all()
    assert (solved.objective < 0.9 * 8 * 6).all()


# -------------------------------------------------------------------------------------------------------- refusals


def test_too_many_servers_for_the_file_are_refused(real_places: tuple[Path, Path]) -> None:
    users, sites = real_places
    problem = make(preset="melbourne", users_file=users, sites_file=sites, servers_drawn=1000)
    with pytest.raises(InvalidInput, match="servers_drawn = 1000"):
        problem.sample(1, seed=0)


@pytest.mark.parametrize(
    ("name", "value"), [("server", 6), ("server", -1), ("ratio", 1.5), ("ratio", math.nan), ("cpu_hz", -1.0)]
)
def test_decisions_out_of_range_are_refused(name: str, value: float) -> None:
    problem = make(users=2, horizon=1)
    arrays: dict[str, Any] = {"server": np.ones((1, 2)), "ratio": np.ones((1, 2)), "cpu_hz": np.ones((1, 2))}
    arrays[name] = np.array([[1.0, value]])
    with pytest.raises(InvalidInput, match=name):
        problem.evaluate(problem.sample(1, seed=0), Decisions(arrays))


# ------------------------------------------------------------------------------------------------------- structure


def test_an_allocation_beats_every_other_cpu_with_its_balanced_ratio() -> None:
    problem = make(users=4, horizon=1, time_weight=0.9, cpu_server_hz=3e9)
    instance = problem.sample(1, seed=8)
    rng = np.random.default_rng(9)
    for _ in range(10):
        assignment = rng.integers(0, 2 * problem.sites + 1, (1, 4)) % 5  # mostly a few servers
        decided = problem.allocate(instance, assignment)
        least = problem.evaluate(instance, decided).cost[0]
        count = 2000
        cpu = rng.dirichlet(np.ones(4), count) * 3e9
        server = np.repeat(decided["server"], count, axis=0)
        one = problem.splitting(instance).take(0)
        sharing = (decided["server"][0][:, None] == decided["server"][0]).sum(axis=1)
        tasks = one.take((np.arange(4), np.maximum(decided["server"][0] - 1, 0), sharing - 1))
        ratio = np.where(assignment > problem.sites, 1.0, tasks.balanced_ratio(cpu))
        tried = problem.evaluate(
            instance.take(np.zeros(count, int)), Decisions({"server": server, "ratio": ratio, "cpu_hz": cpu})
        )
        assert (tried.cost >= least * (1 - 1e-12)).all()


def test_no_decision_that_was_drawn_beats_the_proved_optimum() -> None:
    problem = make(users=3, horizon=1, time_weight=0.9)
    instance = problem.sample(1, seed=10)
    bound = solver("exact", problem).run(problem, instance).bound[0]
    many = instance.take(np.zeros(50_000, int))
    assert problem.evaluate(many, random_decisions(problem, 50_000, seed=11, most_hz=1e10)).cost.min() >= bound


# --------------------------------------------------------------------------------------------------- how easy it is


def constant_policies(problem: PartialMobile, instances: Instances) -> dict[str, float]:
    """Mean cost of policies that need not look at anything but distances."""
    nearest, costs = problem.nearest(instances), problem.costs(Observation(instances))
    turns = np.broadcast_to(np.arange(problem.tasks) % problem.sites + 1 + problem.sites, nearest.shape)
    found = {
        "nearest, everything": costs.cost(nearest).mean(),
        "nearest, balanced": costs.cost(nearest - problem.sites).mean(),
        "in turn": costs.cost(turns).mean(),
        "local": float(problem.tasks),
    }
    for ghz in (0.5, 1.0, 1.25, 2.5, 5.0, 10.0):
        for ratio in (0.25, 0.5, 0.75, 1.0):
            fixed = Decisions(
                {
                    "server": nearest - problem.sites,
                    "ratio": np.full(nearest.shape, ratio),
                    "cpu_hz": np.full(nearest.shape, ghz * 1e9),
                }
            )
            found[f"nearest, {ratio} at {ghz} GHz"] = problem.evaluate(instances, fixed).cost.mean()
    return found


@pytest.mark.parametrize(("users", "time_weight"), [(10, 0.9), (40, 0.5)])
def test_no_constant_policy_comes_within_five_percent_where_there_is_something_to_learn(
    users: int, time_weight: float
) -> None:
    problem = make(users=users, horizon=1, time_weight=time_weight)
    instances = problem.sample(3 if users == 40 else 40, seed=12)
    best = solver("exact", problem, relative_gap=1e-3).run(problem, instances).objective.mean()
    assert min(constant_policies(problem, instances).values()) > 1.05 * best


def test_few_users_who_weigh_energy_do_well_at_the_nearest_server_if_the_cpu_is_shared_well() -> None:
    problem = make(users=10, horizon=1, time_weight=0.5)
    instances = problem.sample(12, seed=13)
    best = solver("exact", problem).run(problem, instances).objective.mean()
    found = constant_policies(problem, instances)
    assert found.pop("nearest, everything") < 1.02 * best
    assert found.pop("in turn") < 1.1 * best
    assert min(found.values()) > 1.05 * best
