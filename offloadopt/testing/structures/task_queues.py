"""The clauses of `TaskQueueProblem`."""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import ROUNDING, FloatArray, IntArray
from offloadopt.physics.fifo import CHOSEN, PIECES, RECEIVE, WAIT, Jobs, serve
from offloadopt.structures.task_queues import ExpectedCosts, HindsightData, TaskQueueProblem
from offloadopt.testing.clauses import COUNT, Rollout, check_fields, close, must, must_have_shape


def check_task_queues(problem: TaskQueueProblem[Any], rollout: Rollout, seed: int) -> None:
    """Targets and devices name each other; every slot's costs follow from `HindsightData`."""
    rng, instances = np.random.default_rng(seed), rollout.instances
    shape = (COUNT, problem.num_agents) if problem.horizon == 1 else (COUNT, problem.horizon, problem.num_agents)
    for slot in rollout.slots:
        _check_expected(problem, problem.expected_costs(slot.observation))
    target, mode = rng.integers(0, problem.devices, shape), rng.integers(0, problem.modes, shape)
    device = problem.device(instances, target)
    must(device.shape == shape, "device does not follow the axes of its targets")
    must(np.array_equal(problem.target(instances, device), target), "target(device(t)) is not t")
    own = problem.device(instances, np.zeros_like(target))
    must(np.array_equal(own, np.broadcast_to(np.arange(problem.num_agents), shape)), "target 0 is not the agent itself")
    decisions = problem.choose(target, mode)
    check_fields("choose", decisions, problem.decision_fields, COUNT, problem.horizon)

    data = problem.hindsight_data(instances)
    _check_shapes(problem, data)
    state, free_s, battery_j = problem.reset(instances), np.zeros(data.start_j.shape), np.array(data.start_j)
    for index in range(problem.horizon):
        now = decisions if problem.horizon == 1 else decisions.at_slot(index)
        state, outcome = problem.step(instances, state, now)
        to, how = (values if problem.horizon == 1 else values[:, index] for values in (device, mode))
        predicted, free_s, battery_j = _slot_cost(data, index, to, how, free_s, battery_j)
        must(close(predicted, outcome.agent_cost, ROUNDING), f"costs of slot {index} do not follow from hindsight_data")


def _check_expected(problem: TaskQueueProblem[Any], expected: ExpectedCosts) -> None:
    shape = (COUNT, problem.num_agents, problem.devices, problem.modes)
    must(expected.cost.shape == shape, "expected cost is not [count, agents, targets, modes]")
    must(not np.isnan(expected.cost).any(), "expected cost holds NaN")
    must(bool(np.isfinite(expected.cost).any(axis=(-2, -1)).all()), "expected cost: an agent has no option")
    for name in ("own_j", "target_j"):
        values = getattr(expected, name)
        must_have_shape(f"expected {name}", values, shape)
        must(bool((values >= 0).all()), f"expected {name} is negative")
    must_have_shape("expected used_share", expected.used_share, shape[:3])
    must(bool(((expected.used_share >= 0) & (expected.used_share <= 1)).all()), "expected used_share leaves [0, 1]")


def _check_shapes(problem: TaskQueueProblem[Any], data: HindsightData) -> None:
    tasks = (COUNT, problem.horizon, problem.num_agents)
    links, devices = (*tasks, problem.devices), problem.devices
    for name, shape in {
        "arrives": tasks,
        "begin_s": (problem.horizon,),
        "deadline_s": tasks,
        "cycles": tasks,
        "joule_price": tasks,
        "linked": links,
        "send_s": (*links, problem.num_agents),
        "received": (*links, problem.num_agents),
        "until_s": links,
        "link_w": (devices,),
        "speed_hz": (devices, problem.modes),
        "power_w": (devices, problem.modes),
        "start_j": (COUNT, devices),
    }.items():
        values = getattr(data, name)
        must(values.shape == shape, f"hindsight_data: {name} has shape {list(values.shape)}; allowed: {list(shape)}")
        must(not np.isnan(values).any(), f"hindsight_data: {name} holds NaN")
    itself = data.linked[:, :, np.arange(problem.num_agents), np.arange(problem.num_agents)]
    must(not itself.any(), "hindsight_data: an agent is linked to itself")
    must(bool((data.speed_hz[:, :1] >= data.speed_hz).all()), "hindsight_data: the fastest mode is not the first")


def _slot_cost(
    data: HindsightData, slot: int, device: IntArray, mode: IntArray, free_s: FloatArray, battery_j: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Costs ``[count, agents]`` of a slot's tasks by `HindsightData` alone, and queues and batteries after it."""
    agents = np.arange(data.num_agents)
    tasks, home = data.arrives[:, slot], device == agents

    def at(values: Any) -> Any:
        """Values of the chosen device, from ``[count, agents, devices, ...]``."""
        index = device.reshape(*device.shape, *(1,) * (values.ndim - 2))
        return np.take_along_axis(values, index, axis=2)[:, :, 0]

    asks = tasks & ~home & at(data.linked[:, slot])
    senders = np.sum(asks[:, :, None] & (device[:, :, None] == device[:, None]), axis=1)
    number = np.maximum(senders - 1, 0)[..., None]
    send_s, received = (
        np.take_along_axis(at(values[:, slot]), number, axis=-1)[..., 0] for values in (data.send_s, data.received)
    )
    sends = asks & np.isfinite(send_s)
    send_s, held_j = np.where(sends, send_s, 0.0), battery_j[:, agents]
    needed_j = data.link_w[device] * send_s
    cut, sent_j = sends & (needed_j > held_j), np.where(sends, np.minimum(needed_j, held_j), 0.0)
    arrived = sends & received & ~cut
    battery_j = np.array(battery_j)
    battery_j[:, agents] -= sent_j

    receive_s, speed_hz, power_w = np.where(arrived, send_s, 0.0), data.speed_hz[device], data.power_w[device]
    jobs = Jobs(
        device=np.where(tasks & home | arrived, device, -1),
        arrival_s=data.begin_s[slot] + receive_s,
        deadline_s=data.deadline_s[:, slot],
        cycles=data.cycles[:, slot],
        speed_hz=np.take_along_axis(speed_hz, mode[..., None], axis=-1)[..., 0],
        power_w=np.take_along_axis(power_w, mode[..., None], axis=-1)[..., 0],
        full_hz=speed_hz[..., 0],
        full_w=power_w[..., 0],
        receive_s=receive_s,
        receive_w=data.link_w[device],
    )
    runs = serve(jobs, free_s, battery_j)
    target_j = runs.energy_j[..., RECEIVE] + runs.energy_j[..., CHOSEN:].sum(axis=-1)
    unfinished = tasks & ~home & ~arrived
    failed = unfinished | runs.exhausted | arrived & (runs.finish_s > at(data.until_s[:, slot]))
    dropped = unfinished & ~cut

    def ageing(before_j: FloatArray, used_j: FloatArray, seconds: FloatArray) -> FloatArray:
        return data.ageing.damage(before_j / data.capacity_j, used_j / data.capacity_j, seconds)

    # At home a task's ageing begins with its execution: the battery does not wait with it.
    seconds = np.where((np.arange(PIECES) == WAIT) & home[..., None], 0.0, runs.seconds)
    worn = ageing(held_j, sent_j[..., None], send_s[..., None]) + ageing(runs.before_j, runs.energy_j, seconds)
    cost = data.joule_price[:, slot] * (sent_j + target_j) + data.ageing_price * worn
    cost = cost + data.failure_cost * failed + data.drop_cost * dropped
    return cost, runs.free_s, runs.battery_j
