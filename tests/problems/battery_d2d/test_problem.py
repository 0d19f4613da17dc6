"""The rescue's devices against a simulation of one event at a time, in plain Python."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import offloadopt
from offloadopt.core import Decisions, Instances, Problem, State
from offloadopt.errors import InvalidInput
from offloadopt.problems.battery_d2d import BatteryD2D, BatteryD2DScenario
from offloadopt.testing import check_problem


def make(preset: str = "paper", **changes: Any) -> BatteryD2D:
    problem = offloadopt.problem("battery_d2d", preset, **changes)
    assert isinstance(problem, BatteryD2D)
    return problem


def random_decisions(problem: BatteryD2D, count: int, seed: int = 0) -> Decisions:
    rng, shape = np.random.default_rng(seed), (count, problem.horizon, problem.num_agents)
    return Decisions({"target": rng.integers(0, problem.devices, shape), "mode": rng.integers(0, problem.modes, shape)})


def everywhere(problem: BatteryD2D, count: int, target: int, mode: int = 0) -> Decisions:
    shape = (count, problem.horizon, problem.num_agents)
    return Decisions({"target": np.full(shape, target), "mode": np.full(shape, mode)})


def changed(problem: BatteryD2D, instances: Instances, **arrays: Any) -> Instances:
    """The instances with some arrays filled with other numbers."""
    filled = {name: np.broadcast_to(values, instances[name].shape) for name, values in arrays.items()}
    return problem.check_instances({**instances, **filled})


# ------------------------------------------------------------------------------------------- one event at a time


@dataclass
class Stretch:
    """A time of constant power."""

    seconds: float
    watt: float
    level_before: float  # J

    @property
    def joule(self) -> float:
        return self.seconds * self.watt


@dataclass
class Device:
    battery: float
    hertz: list[float]
    watt: list[float]
    free: float = 0.0
    uses: list[float] = field(default_factory=list)

    def use(self, seconds: float, watt: float) -> tuple[Stretch, bool]:
        """Work for so long, or until the battery is empty: the second entry tells whether it was."""
        short = seconds * watt > self.battery
        stretch = Stretch(self.battery / watt if short else seconds, watt, self.battery)
        self.battery = 0.0 if short else self.battery - stretch.joule
        self.uses.append(stretch.joule)
        return stretch, short


@dataclass
class SendOutcome:
    """What becomes of a task."""

    dropped: bool = False
    failed: bool = False
    finish: float = 0.0
    sending: list[Stretch] = field(default_factory=list)
    receiving: list[Stretch] = field(default_factory=list)
    executing: list[Stretch] = field(default_factory=list)
    queued: list[Stretch] = field(default_factory=list)


def execute(device: Device, fate: SendOutcome, now: float, cycles: float, mode: int, deadline: float) -> float:
    """From event to event: the deadline, the last cycle, the end of the battery. Returns when it was over."""
    while cycles > 0:
        hurried = now >= deadline or mode == 0
        hertz, watt = (device.hertz[0], device.watt[0]) if hurried else (device.hertz[mode], device.watt[mode])
        done = cycles / hertz
        ahead = done if hurried else min(done, deadline - now)
        stretch, empty = device.use(ahead, watt)
        fate.executing.append(stretch)
        if empty:
            fate.failed = True
            return now + stretch.seconds
        cycles = 0.0 if ahead == done else cycles - hertz * ahead
        now = now + done if ahead == done else deadline
    return now


def damage(scenario: BatteryD2DScenario, stretches: list[Stretch]) -> float:
    """Equations (12) to (15)."""
    total = sum(stretch.seconds for stretch in stretches)
    if total == 0:
        return 0.0
    levels = [(stretch.level_before - stretch.joule / 2) / scenario.battery_j for stretch in stretches]
    average = sum(level * each.seconds for level, each in zip(levels, stretches, strict=True)) / total
    spread = sum((level - average) ** 2 * each.seconds for level, each in zip(levels, stretches, strict=True))
    deviation = 2 * math.sqrt(3 / total * spread)
    effective = sum(stretch.joule for stretch in stretches) / (2 * scenario.battery_j)
    stress = math.exp((deviation - 1) / scenario.ageing_deviation)
    return scenario.ageing_per_cycle * effective * stress * math.exp(4 * scenario.ageing_level * (average - 0.5))


def order_of_targets(problem: BatteryD2D, position: np.ndarray, user: int) -> list[int]:
    others = sorted((math.dist(position[user], position[o]), o) for o in range(problem.num_agents) if o != user)
    return [user, *(other for _, other in others), *range(problem.num_agents, problem.devices)]


def simulate(problem: BatteryD2D, instances: Instances, decisions: Decisions, row: int) -> tuple[Any, ...]:
    """Each user's cost in each slot, the sums of all metrics, the devices at the end, and what happened how often."""
    s = problem.scenario
    nature = {name: values[row] for name, values in instances.items()}
    top = 1 if not s.dvfs else None
    cpus = []
    for hertz, volt, watt, cores in (
        (s.mobile_hz, s.mobile_v, s.mobile_full_w, s.mobile_cores),
        (s.edge_hz, s.edge_v, s.edge_full_w, s.edge_cores),
    ):
        factor = watt / (hertz[0] * volt[0] ** 2)
        power = [factor * v**2 * f for f, v in zip(hertz, volt, strict=True)][:top]
        cpus.append(([cores * f for f in hertz][:top], power))
    devices = [Device(float(nature["start_j"][d]), *cpus[int(d >= s.users)]) for d in range(problem.devices)]
    noise = 10 ** ((s.noise_dbm_per_hz - 30) / 10)

    def received(watt: float, distance: float) -> float:
        return watt * 10 ** (s.reference_gain_db / 10) * max(distance, 1.0) ** -s.path_loss_exponent

    threshold = -math.log(s.edge_success) * received(s.d2d_w, s.d2d_m) / (noise * s.bandwidth_hz)
    cost, sums, seen = np.zeros((s.horizon, s.users)), Counter[str](), Counter[str]()
    heard_before = []
    for slot in range(s.horizon):
        now = slot * s.slot_s
        up = nature["connected"][slot]
        tasks = [u for u in range(s.users) if nature["arrives"][slot, u]]
        place, fates = {}, {u: SendOutcome() for u in tasks}
        for u in tasks:
            order = order_of_targets(problem, nature["position_m"], u)
            place[u] = order[int(decisions["target"][row, slot, u])]
        centre = (s.room_m / 2, s.room_m / 2)
        position = nature["position_m"]
        apart = {u: math.dist(position[u], centre if place[u] >= s.users else position[place[u]]) for u in tasks}
        senders = [
            u
            for u in tasks
            if place[u] != u and up[u] and up[place[u]] and (place[u] >= s.users or apart[u] <= s.d2d_m)
        ]
        heard = Counter(place[u] for u in senders)
        heard_before.append(heard)
        events: list[tuple[float, int, float]] = []  # arrival, user, seconds on the air
        for u in tasks:
            fate = fates[u]
            if place[u] == u:
                heapq.heappush(events, (now, u, 0.0))
                continue
            if u not in senders or s.subchannels // heard[place[u]] == 0:
                fate.dropped = fate.failed = True
                seen["crowded" if u in senders else "unreachable"] += 1
                continue
            band = s.bandwidth_hz / s.subchannels * (s.subchannels // heard[place[u]])
            watt = s.cellular_w if place[u] >= s.users else s.d2d_w
            snr = received(watt, apart[u]) / (noise * band)
            seconds = float(nature["bits"][slot, u]) / (band * math.log2(1 + snr))
            stretch, empty = devices[u].use(seconds, watt)
            fate.sending.append(stretch)
            if empty:
                fate.failed = True
                seen["empty sender"] += 1
            elif nature["link_draw"][slot, u] < math.exp(-threshold / snr):
                heapq.heappush(events, (now + seconds, u, seconds))
            else:
                fate.dropped = fate.failed = True
                seen["faded"] += 1
        while events:
            arrival, u, seconds = heapq.heappop(events)
            fate, device = fates[u], devices[place[u]]
            if seconds > 0:
                stretch, empty = device.use(seconds, s.cellular_w if place[u] >= s.users else s.d2d_w)
                fate.receiving.append(stretch)
                if empty:
                    fate.failed = True
                    seen["empty receiver"] += 1
                    continue
            start = max(arrival, device.free)
            if seconds > 0:
                fate.queued.append(Stretch(start - arrival, 0.0, device.battery))
            deadline = now + float(nature["deadline_s"][slot, u])
            mode = int(decisions["mode"][row, slot, u])
            fate.finish = device.free = execute(device, fate, start, float(nature["cycles"][slot, u]), mode, deadline)
            seen["exhausted"] += fate.failed
            seen["hurried"] += fate.finish > deadline
            seen["waited"] += start > arrival
            if seconds > 0:
                for later in range(slot, s.horizon):
                    lasts = later * s.slot_s < fate.finish
                    if lasts and not (nature["connected"][later, u] and nature["connected"][later, place[u]]):
                        fate.failed = True
                        seen["disconnected"] += 1
                        break
        for u in tasks:
            fate, kind = fates[u], int(nature["kind"][slot, u])
            energies = [sum(e.joule for e in part) for part in (fate.sending, fate.receiving, fate.executing)]
            limit = float(nature["deadline_s"][slot, u])
            prioritised = limit / max(s.deadline_max_s) * sum(energies)
            worn = damage(s, fate.sending) + damage(s, [*fate.receiving, *fate.queued, *fate.executing])
            terms = {
                "cost_energy": s.energy_weight * prioritised,
                "cost_failures": s.failure_weight * fate.failed,
                "cost_drops": s.drop_weight * fate.dropped,
                "cost_degradation": s.ageing_weight * worn,
            }
            cost[slot, u] = sum(terms.values())
            delay = fate.finish - now
            sums.update(terms)
            sums.update(
                {
                    "tasks": 1,
                    "failures": int(fate.failed),
                    "drops": int(fate.dropped),
                    "late": int(not fate.failed and delay > limit),
                    "energy_j": sum(energies),
                    "transmit_j": energies[0],
                    "receive_j": energies[1],
                    "execute_j": energies[2],
                    "prioritised_energy_j": prioritised,
                    "degradation": worn,
                    f"tasks_{kind}": 1,
                    f"finished_{kind}": int(not fate.failed),
                    f"delay_{kind}_s": 0.0 if fate.failed else delay,
                }
            )
    return cost, sums, devices, heard_before, seen


def played(problem: BatteryD2D, instances: Instances, decisions: Decisions) -> tuple[list[State], list[Any]]:
    """The states before and after every slot, and what each slot cost."""
    states, outcomes = [problem.reset(instances)], []
    for slot in range(problem.horizon):
        state, outcome = problem.step(instances, states[-1], decisions.at_slot(slot))
        states.append(state)
        outcomes.append(outcome)
    return states, outcomes


CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "paper": ({}, ("unreachable", "faded", "hurried", "waited", "disconnected")),
    "small batteries": ({"battery_j": 40.0, "start_share": 0.0}, ("exhausted", "disconnected")),
    "nothing in the batteries": ({"battery_j": 0.05, "start_share": 0.0}, ("empty sender", "empty receiver")),
    "few subchannels": ({"subchannels": 2, "task_chance": 1.0, "users": 6}, ("crowded", "waited")),
    "often disconnected": ({"disconnect_chance": 0.4}, ("unreachable", "disconnected")),
    "short slots": ({"slot_s": 0.2, "battery_j": 2000.0}, ("disconnected", "waited")),
    "weak links": ({"reference_gain_db": -70.0, "slot_s": 0.5, "d2d_m": 60.0}, ("faded", "waited")),
    "one device of each": ({"users": 1, "servers": 1}, ("hurried",)),
    "many devices": ({"users": 15, "servers": 3, "battery_j": 100.0}, ("exhausted",)),
    "one speed": ({"dvfs": False}, ("hurried",)),
    "hurry": ({"deadline_min_s": (0.01, 0.01, 0.01), "deadline_max_s": (0.1, 0.2, 0.3)}, ("hurried",)),
    "leisure": ({"deadline_min_s": (50.0, 50.0, 50.0), "deadline_max_s": (60.0, 60.0, 60.0)}, ("waited",)),
}


@pytest.mark.parametrize("case", CASES)
def test_an_episode_is_what_its_events_tell(case: str) -> None:
    changes, needed = CASES[case]
    problem = make(**{"horizon": 15, **changes})
    count = 12
    instances, decisions = problem.sample(count, seed=3), random_decisions(problem, count, seed=4)
    happened = agree(problem, instances, decisions)
    for event in needed:
        assert happened[event] > 0, f"{event} does not happen: {happened}"


def agree(problem: BatteryD2D, instances: Instances, decisions: Decisions) -> Counter[str]:
    """Whether costs, metrics, batteries, queues and transmitters are those of the simulation."""
    states, outcomes = played(problem, instances, decisions)
    costs = np.stack([outcome.agent_cost for outcome in outcomes], axis=1)
    total = problem.evaluate(instances, decisions)
    happened = Counter[str]()
    for row in range(instances.count):
        cost, sums, devices, heard, seen = simulate(problem, instances, decisions, row)
        happened.update(seen)
        np.testing.assert_allclose(costs[row], cost, rtol=1e-9, atol=1e-12)
        for name, values in total.metrics.items():
            assert values[row] == pytest.approx(sums[name], rel=1e-9, abs=1e-12), name
        assert set(sums) <= set(total.metrics)
        last = states[-1].values
        np.testing.assert_allclose(last["battery_j"][row], [d.battery for d in devices], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(last["free_s"][row], [d.free for d in devices], rtol=1e-9)
        for slot in range(problem.horizon):
            counts = states[slot + 1].values["transmitters_before"][row]
            assert counts.tolist() == [heard[slot][d] for d in range(problem.devices)]
    return happened


def test_who_arrives_together_is_served_in_the_order_of_numbers() -> None:
    """All in one place, the same bits: every arrival at a target is a tie, and so is every distance."""
    problem = make(horizon=6, users=5, task_chance=1.0, disconnect_chance=0.0, battery_j=60.0, ageing_weight=0.0)
    instances = problem.sample(10, 0)
    instances = changed(problem, instances, position_m=30.0, bits=5e6, link_draw=0.0)
    decisions = random_decisions(problem, 10, seed=1)
    happened = agree(problem, instances, decisions)
    assert happened["waited"] > 50
    assert happened["exhausted"] > 10

    # The others are numbered upwards; one edge device serves all in that order.
    one = changed(problem, instances, start_j=60.0, cycles=1e9, deadline_s=9.0)
    assert problem.device(one, np.tile(np.arange(5), (10, 5)).reshape(10, 5, 5)[:, 0])[0].tolist() == [0, 0, 1, 2, 3]
    state = problem.reset(one)
    to_edge = Decisions({"target": np.full((10, 5), 5), "mode": np.zeros((10, 5), dtype=np.int64)})
    _, outcome = problem.step(one, state, to_edge)
    # 60 J are three tasks of 18.3 J and a part of the fourth: the last two fail.
    failed = outcome.agent_cost[0] > problem.scenario.failure_weight
    assert failed.tolist() == [False, False, False, True, True]


def test_a_battery_that_holds_exactly_enough_suffices() -> None:
    """25 W for half a second: 0.9 Gcycles at 1.8 GHz."""
    problem = make(horizon=2, users=1, task_chance=1.0)
    exact = changed(problem, problem.sample(1, 0), start_j=12.5, cycles=0.9e9, deadline_s=1.0)
    state, outcome = problem.step(exact, problem.reset(exact), everywhere(problem, 1, 0).at_slot(0))
    assert outcome.metrics["failures"][0] == 0
    assert state.values["battery_j"][0, 0] == 0.0
    assert state.values["free_s"][0, 0] == 0.5
    _, outcome = problem.step(exact, state, everywhere(problem, 1, 0).at_slot(1))
    assert outcome.metrics["failures"][0] == 1
    assert outcome.metrics["energy_j"][0] == 0.0


def test_a_disconnection_in_the_next_slot_spares_what_ends_at_its_border() -> None:
    problem = make(horizon=3, users=2, servers=1, task_chance=1.0, disconnect_chance=0.0)
    instances = changed(problem, problem.sample(1, 0), link_draw=0.0, deadline_s=3.0, bits=0.0, start_j=500.0)
    connected = np.ones((1, 3, 3), dtype=np.int64)
    connected[0, 1, 2] = 0
    for cycles, failures in ((5.2e9, 0), (5.3e9, 1)):  # a second at 5.2 GHz, and a bit more
        tasks = np.zeros((1, 3, 2), dtype=np.int64)
        tasks[0, 0, 0] = 1
        some = changed(problem, instances, connected=connected, cycles=cycles, arrives=tasks)
        outcome = problem.evaluate(some, everywhere(problem, 1, 2))
        assert outcome.metrics["failures"][0] == failures
        assert outcome.metrics["execute_j"][0] == pytest.approx(95.0 * cycles / 5.2e9)  # it is done all the same


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 3),
    st.floats(0.01, 2000.0),
    st.floats(0.0, 0.9),
    st.integers(1, 12),
    st.integers(0, 2**31),
)
def test_what_batteries_lose_is_the_sum_of_all_uses(
    users: int, servers: int, battery_j: float, disconnect: float, subchannels: int, seed: int
) -> None:
    problem = make(
        horizon=8,
        users=users,
        servers=servers,
        battery_j=battery_j,
        start_share=0.1,
        disconnect_chance=disconnect,
        subchannels=subchannels,
        task_chance=0.8,
    )
    instances, decisions = problem.sample(5, seed), random_decisions(problem, 5, seed)
    states, outcomes = played(problem, instances, decisions)
    spent = np.zeros(5)
    for before, after, outcome in zip(states, states[1:], outcomes, strict=False):
        lost = np.sum(before.values["battery_j"] - after.values["battery_j"], axis=-1)
        metrics = outcome.metrics
        uses = metrics["transmit_j"] + metrics["receive_j"] + metrics["execute_j"]
        np.testing.assert_allclose(lost, uses, rtol=1e-9, atol=1e-10 * battery_j)
        np.testing.assert_allclose(metrics["energy_j"], uses, rtol=1e-12)
        spent += uses
        assert (after.values["battery_j"] >= 0).all()
        assert (after.values["battery_j"] <= before.values["battery_j"]).all()
    np.testing.assert_allclose(
        np.sum(instances["start_j"] - states[-1].values["battery_j"], axis=-1), spent, rtol=1e-9, atol=1e-9 * battery_j
    )


# ------------------------------------------------------------------------------------------------ what is observed


def test_an_observation_tells_of_targets_what_their_devices_are() -> None:
    problem = make(horizon=6, disconnect_chance=0.1, task_chance=0.9)
    instances, decisions = problem.sample(8, 2), random_decisions(problem, 8)
    states, _ = played(problem, instances, decisions)
    for slot in (0, 3, 5):
        state = states[slot]
        seen = problem.observe(instances, state)
        allowed = problem.allowed(seen)["target"]
        for row, user in itertools.product(range(8), range(problem.num_agents)):
            position = instances["position_m"][row]
            arrives = instances["arrives"][row, slot, user]
            for name in ("bits", "cycles", "deadline_s", "kind"):
                assert seen[name][row, user] == (instances[name][row, slot, user] if arrives else 0)
            for target, device in enumerate(order_of_targets(problem, position, user)):
                edge = device >= problem.num_agents
                distance = math.dist(position[user], (30.0, 30.0) if edge else position[device])
                up = bool(instances["connected"][row, slot, device])
                assert seen["distance_m"][row, user, target] == pytest.approx(distance)
                assert allowed[row, user, target] == (target == 0 or (bool(arrives) and (edge or distance <= 30.0)))
                assert seen["connected"][row, user, target] == up
                held = state.values["battery_j"][row, device]
                assert seen["battery_j"][row, user, target] == (held if up else 0.0)
                backlog = max(0.0, state.values["free_s"][row, device] - slot)
                assert seen["backlog_s"][row, user, target] == pytest.approx(backlog)
                heard = state.values["transmitters_before"][row, device]
                assert seen["transmitters_before"][row, user, target] == heard
    assert states[3].values["free_s"].max() > 3


def test_features_are_shares_of_order_one_with_one_row_an_agent() -> None:
    problem = make(horizon=30)
    instances, decisions = problem.sample(20, 2), random_decisions(problem, 20)
    widths = Counter[str]()
    for state in played(problem, instances, decisions)[0][:-1]:
        features = problem.features(problem.observe(instances, state))
        for view in problem.views.values():
            for name in view:
                values = features[name]
                assert values.shape[:2] == (20, problem.num_agents)
                assert values.dtype == np.float64
                assert values.min() >= 0
                assert values.max() <= 4
                widths[name] = values[0, 0].size
    assert set(widths) == set(features)
    assert widths == {
        **dict.fromkeys(("arrives", "bits", "cycles", "deadline"), 1),
        **dict.fromkeys(("transmitters_before", "battery", "backlog", "connected"), 10),
        "kind": 3,
        "distance": 9,
    }


def test_a_centre_sees_once_what_all_agents_see() -> None:
    problem = make(horizon=10, disconnect_chance=0.2)
    instances, decisions = problem.sample(6, 3), random_decisions(problem, 6)
    state = played(problem, instances, decisions)[0][4]
    observation = problem.observe(instances, state)
    users, devices = problem.num_agents, problem.devices
    for view, width in (("paper", 36), ("full", 56)):
        rows, whole = problem.view(observation, view), problem.global_view(observation, view)
        assert rows.shape == (6, users, width)
        own, told = users * (4 + 3 + devices - 1), {"paper": 2, "full": 4}[view]
        assert whole.shape == (6, own + told * devices)
        for row in range(6):
            assert set(whole[row].tolist()) == set(rows[row].ravel().tolist())
            # Batteries stand in the order of the devices, after all that differs from agent to agent.
            place = own + devices
            shown = state.values["battery_j"][row] * instances["connected"][row, 4] / problem.scenario.battery_j
            np.testing.assert_allclose(whole[row, place : place + devices], shown)


def test_a_target_that_is_not_allowed_is_a_dropped_task_and_costs_no_energy() -> None:
    problem = make(horizon=2, d2d_m=20.0, task_chance=1.0, disconnect_chance=0.0)
    instances = problem.sample(50, 0)
    state = problem.reset(instances)
    for target in range(1, problem.num_agents):
        decision = everywhere(problem, 50, target).at_slot(0)
        far = ~problem.allowed(problem.observe(instances, state))["target"][:, :, target]
        _, outcome = problem.step(instances, state, decision)
        s = problem.scenario
        assert far.any()
        np.testing.assert_array_equal(outcome.agent_cost[far], s.failure_weight + s.drop_weight)


# ---------------------------------------------------------------------------------------------------- what it costs


@pytest.mark.parametrize("preset", BatteryD2DScenario.presets)
def test_no_execution_costs_as_much_as_failing_on_purpose(preset: str) -> None:
    """The dearest task on full batteries, everywhere and in every mode, against a target that has no energy left."""
    problem = make(preset, horizon=2, users=2, servers=1, task_chance=1.0, disconnect_chance=0.0)
    s = problem.scenario
    dearest = changed(
        problem,
        problem.sample(50, 0),
        bits=s.bits_max,
        cycles=s.cycles_max,
        deadline_s=max(s.deadline_max_s),
        kind=3,
        link_draw=0.0,
        start_j=s.battery_j,
    )
    state = problem.reset(dearest)
    near = problem.observe(dearest, state)["distance_m"][:, 0, 1] <= s.d2d_m
    worst = 0.0
    for target, mode in itertools.product(range(3), range(problem.modes)):
        _, outcome = problem.step(dearest, state, everywhere(problem, 50, target, mode).at_slot(0))
        assert outcome.metrics["failures"][near].sum() == 0
        worst = max(worst, outcome.agent_cost[near].max())
    assert worst > 3.0
    start = np.tile([s.battery_j, s.battery_j, 0.0], (50, 1))
    empty = changed(problem, dearest, start_j=start)
    _, failing = problem.step(empty, problem.reset(empty), everywhere(problem, 50, 2).at_slot(0))
    assert failing.agent_cost.min() > worst + 1.0


def test_energy_and_ageing_weigh_the_same_at_home() -> None:
    problem = make()
    instances = problem.sample(100, 1)
    metrics = problem.evaluate(instances, everywhere(problem, 100, 0, 5)).metrics
    finished = sum(metrics[f"finished_{kind}"].sum() for kind in (1, 2, 3))
    assert metrics["cost_energy"].sum() / finished == pytest.approx(0.25, abs=0.03)
    assert metrics["cost_degradation"].sum() / finished == pytest.approx(0.25, abs=0.03)


def looked_through(problem: BatteryD2D, instances: Instances) -> Decisions:
    """User by user the option that is cheapest in this slot and leaves each device energy for its own later tasks."""
    s, count, options = problem.scenario, instances.count, problem.devices * problem.modes
    option = np.tile(np.arange(options), count)
    many, state, taken = instances.take(np.repeat(np.arange(count), options)), problem.reset(instances), []
    for slot in range(problem.horizon):
        start = State(slot, state.values.take(np.repeat(np.arange(count), options)))
        need_j = 7.0 * s.task_chance * (problem.horizon - slot - 1)
        chosen = {"target": np.zeros((count, s.users), int), "mode": np.full((count, s.users), problem.modes - 1)}
        for user in range(s.users):
            tried = {name: np.repeat(values, options, axis=0) for name, values in chosen.items()}
            tried["target"][:, user], tried["mode"][:, user] = option // problem.modes, option % problem.modes
            following, outcome = problem.step(many, start, Decisions(tried))
            lacks = 30.0 * np.logaddexp(0.0, (need_j - following.values["battery_j"][:, : s.users]) / 30.0)
            best = np.argmin((outcome.cost + 0.9 * lacks.sum(axis=-1)).reshape(count, options), axis=-1)
            chosen["target"][:, user], chosen["mode"][:, user] = best // problem.modes, best % problem.modes
        taken.append(Decisions(chosen))
        state, _ = problem.step(instances, state, taken[-1])
    return Decisions.over_slots(taken)


@pytest.mark.parametrize("preset", BatteryD2DScenario.presets)
def test_no_constant_policy_comes_near_the_best_known(preset: str) -> None:
    problem = make(preset)
    instances, options = problem.sample(2, 0), problem.devices * problem.modes
    best = problem.evaluate(instances, looked_through(problem, instances)).cost.mean()
    shape = (2 * options, problem.horizon, problem.num_agents)
    option = np.broadcast_to(np.repeat(np.arange(options), 2)[:, None, None], shape)
    constants = Decisions({"target": option // problem.modes, "mode": option % problem.modes})
    cost = problem.evaluate(instances.take(np.tile([0, 1], options)), constants).cost.reshape(options, 2).mean(axis=-1)
    assert (cost > 1.3 * best).all(), np.flatnonzero(cost <= 1.3 * best)


# ------------------------------------------------------------------------------------------------------------ nature


def test_nature_follows_the_scenario() -> None:
    problem = make(users=4, horizon=50, disconnect_chance=0.1, task_chance=0.3)
    instances = problem.sample(400, 5)
    assert instances["arrives"].mean() == pytest.approx(0.3, abs=0.01)
    assert instances["connected"].mean() == pytest.approx(0.9, abs=0.005)
    assert instances["bits"].mean() == pytest.approx(6e6, rel=0.01)
    assert instances["cycles"].min() >= 0.5e9
    assert instances["cycles"].max() <= 1.5e9
    assert instances["link_draw"].mean() == pytest.approx(0.5, abs=0.01)
    for kind, (low, high) in enumerate(((0.5, 1.0), (1.0, 2.0), (2.0, 4.0)), start=1):
        deadlines = instances["deadline_s"][instances["kind"] == kind]
        assert len(deadlines) == pytest.approx(instances["kind"].size / 3, rel=0.03)
        assert low <= deadlines.min() < 1.01 * low
        assert 0.99 * high < deadlines.max() <= high
    assert instances["position_m"].min() < 1.0
    assert instances["position_m"].max() > 59.0
    assert instances["start_j"].min() == pytest.approx(250.0, abs=2.0)
    assert instances["start_j"].max() == pytest.approx(500.0, abs=2.0)
    clipped = make("clipped-delay", horizon=3).sample(20, 0)
    np.testing.assert_array_equal(clipped["deadline_s"], 2.0 ** (clipped["kind"] - 1))


def test_a_fixed_frequency_is_the_fastest_mode() -> None:
    fixed, free = make("fixed-frequency", horizon=10), make(horizon=10)
    instances, decisions = free.sample(5, 0), random_decisions(fixed, 5)
    assert fixed.modes == 1
    np.testing.assert_array_equal(fixed.sample(5, 0)["cycles"], instances["cycles"])
    same = fixed.evaluate(instances, decisions).agent_cost
    np.testing.assert_array_equal(same, free.evaluate(instances, decisions).agent_cost)


@pytest.mark.parametrize(
    "changes", [{"horizon": 4}, {"horizon": 3, "users": 1, "servers": 1}, {"horizon": 3, "dvfs": False}]
)
def test_the_problem_conforms(changes: dict[str, Any]) -> None:
    problem: Problem[Any] = make(**changes)
    check_problem(problem)


# ---------------------------------------------------------------------------------------------------------- refusals


def test_wrong_instances_and_decisions_are_refused() -> None:
    problem = make(horizon=2)
    instances = problem.sample(2, 0)
    with pytest.raises(InvalidInput, match="start_j holds 501; allowed: 0 to 500"):
        changed(problem, instances, start_j=501.0)
    with pytest.raises(InvalidInput, match="kind holds 4; allowed: 1 to 3"):
        changed(problem, instances, kind=4)
    with pytest.raises(InvalidInput, match="target holds 10; allowed: 0 to 9"):
        problem.evaluate(instances, everywhere(problem, 2, 10))
    with pytest.raises(InvalidInput, match="mode holds 6; allowed: 0 to 5"):
        problem.evaluate(instances, everywhere(problem, 2, 0, 6))


def test_a_timeline_says_what_the_metrics_say_and_devices_do_one_task_at_a_time() -> None:
    problem = BatteryD2D(BatteryD2DScenario(users=4, horizon=12, battery_j=60.0))
    instances = problem.sample(1, seed=5)
    decisions = offloadopt.solve(problem, instances, "random").decisions
    timeline, metrics = problem.timeline(instances, decisions), problem.evaluate(instances, decisions).metrics
    assert len(timeline.device) == metrics["tasks"][0]
    assert timeline.failed.sum() == metrics["failures"][0] > 0
    assert timeline.late.sum() == metrics["late"][0] > 0
    spent = timeline.battery_j[0].sum() - timeline.battery_j[-1].sum()
    assert spent == pytest.approx(metrics["energy_j"][0])
    for device in range(problem.devices):
        mine = np.flatnonzero(timeline.device == device)
        mine = mine[np.argsort(timeline.begin_s[mine])]
        assert (timeline.begin_s[mine][1:] >= timeline.end_s[mine][:-1] - 1e-9).all()
