"""Structure of `battery_d2d` for solvers: expected costs of options, and whole instances in hindsight."""

from __future__ import annotations

import numpy as np

from offloadopt.core import FloatArray, Instances, Observation
from offloadopt.physics.fifo import PIECES, WAIT, Jobs, serve
from offloadopt.problems.battery_d2d.devices import DeviceModel
from offloadopt.structures.task_queues import ExpectedCosts, HindsightData


def expected_costs(devices: DeviceModel, observation: Observation) -> ExpectedCosts:
    """Compute the expected cost of each target and mode for a single sender at the known rate of disconnections.

    A disconnected device does not observe its own battery, which is taken as full.
    """
    s, connected = devices.scenario, observation["connected"] == 1
    home, edge = np.arange(devices.devices) == 0, np.arange(devices.devices) >= s.users
    link_w = np.where(edge, s.cellular_w, s.d2d_w)
    received_w, alone_hz = link_w * devices.gain(observation["distance_m"]), np.asarray(s.bandwidth_hz)
    send_s = np.where(home, 0.0, observation["bits"][..., None] / devices.band.rate(received_w, alone_hz))
    held_j = np.where(home & ~connected, s.battery_j, observation["battery_j"])
    needed_j, own_held_j = link_w * send_s, held_j[..., :1]
    within = devices.within_reach(observation)
    sends = within & connected & connected[..., :1] & ~home
    cut, own_j = sends & (needed_j > own_held_j), np.where(sends, np.minimum(needed_j, own_held_j), 0.0)
    received = np.where(sends & ~cut, devices.band.success(received_w, alone_hz, devices.sinr_threshold), home)

    # Each option is a lone job of a device of its own, its slot begins at 0.
    shape = (*send_s.shape, devices.modes)

    def each(values: FloatArray) -> FloatArray:
        return np.broadcast_to(values, shape).reshape(-1, 1)

    task = {name: observation[name][..., None, None] for name in ("cycles", "deadline_s")}
    speed_hz, power_w = devices.speeds(np.broadcast_to(edge[:, None], shape), np.arange(devices.modes))
    full_hz, full_w = devices.speeds(edge, 0)
    jobs = Jobs(
        device=np.zeros((send_s.size * devices.modes, 1), dtype=np.int64),
        arrival_s=each(send_s[..., None]),
        deadline_s=each(task["deadline_s"]),
        cycles=each(task["cycles"]),
        speed_hz=each(speed_hz),
        power_w=each(power_w),
        full_hz=each(full_hz[:, None]),
        full_w=each(full_w[:, None]),
        receive_s=each(send_s[..., None]),
        receive_w=each(link_w[:, None]),
    )
    runs = serve(jobs, each(observation["backlog_s"][..., None]), each(held_j[..., None]))
    at_home = np.broadcast_to(home[:, None], shape).reshape(-1, 1, 1)
    seconds = np.where((np.arange(PIECES) == WAIT) & at_home, 0.0, runs.seconds)
    doing = devices.damage(runs.before_j, runs.energy_j, seconds).reshape(shape)
    target_j = runs.energy_j.sum(axis=-1).reshape(shape)
    later_slots = np.maximum(np.ceil(runs.finish_s.reshape(shape) / s.slot_s) - 1.0, 0.0)
    lasts = np.where(home[:, None], 1.0, (1.0 - s.disconnect_chance) ** (2.0 * later_slots))
    fails = 1.0 - lasts * ~runs.exhausted.reshape(shape)

    sending = devices.damage(own_held_j, own_j[..., None], send_s[..., None])
    joule_price = s.energy_weight * task["deadline_s"] / devices.longest_deadline_s
    spent = joule_price * target_j + s.failure_weight * fails + s.ageing_weight * doing
    lost = (1.0 - received) * (s.failure_weight + s.drop_weight * ~cut)
    sent = joule_price[..., 0] * own_j + s.ageing_weight * sending
    cost = received[..., None] * spent + (lost + sent)[..., None]
    return ExpectedCosts(
        cost=np.where(within[..., None], cost, np.inf),
        own_j=np.broadcast_to(own_j[..., None], shape),
        target_j=received[..., None] * target_j,
        used_share=1.0 - observation["battery_j"] / s.battery_j,
    )


def hindsight_data(devices: DeviceModel, instances: Instances) -> HindsightData:
    """Return all tasks with links, success and disconnections for each device, in the order of device numbers."""
    s, order = devices.scenario, np.argsort(devices.targets(instances)[0], axis=-1)
    distance = np.take_along_axis(devices.targets(instances)[1], order, axis=-1)[:, None]
    edge, connected = np.arange(devices.devices) >= s.users, instances["connected"] == 1
    themselves = np.arange(devices.devices) == np.arange(s.users)[:, None]
    link_w = np.where(edge, s.cellular_w, s.d2d_w)
    received_w = (link_w * devices.gain(distance))[..., None]
    linked = connected[:, :, : s.users, None] & connected[:, :, None] & (edge | (distance <= s.d2d_m)) & ~themselves
    share_hz = devices.band.share_hz(np.arange(1, s.users + 1))
    some_hz = np.where(share_hz > 0, share_hz, s.bandwidth_hz)
    send_s = instances["bits"][..., None, None] / devices.band.rate(received_w, some_hz)
    success = devices.band.success(received_w, some_hz, devices.sinr_threshold)
    next_down = devices.next_down(instances)
    down = np.minimum(next_down[:, :, : s.users, None], next_down[:, :, None])
    begin_s = np.arange(s.horizon, dtype=np.float64) * s.slot_s
    return HindsightData(
        arrives=instances["arrives"] == 1,
        begin_s=begin_s,
        deadline_s=begin_s[:, None] + instances["deadline_s"],
        cycles=instances["cycles"],
        joule_price=s.energy_weight * instances["deadline_s"] / devices.longest_deadline_s,
        linked=linked,
        send_s=np.where(share_hz > 0, send_s, np.inf),
        received=(instances["link_draw"][..., None, None] < success) & (share_hz > 0),
        until_s=np.where(down >= s.horizon, np.inf, down * s.slot_s),
        link_w=link_w,
        speed_hz=np.stack([devices.processors[int(which)].speed_hz for which in edge]),
        power_w=np.stack([devices.processors[int(which)].power_w for which in edge]),
        start_j=instances["start_j"],
        capacity_j=s.battery_j,
        ageing=devices.ageing,
        ageing_price=s.ageing_weight,
        failure_cost=s.failure_weight,
        drop_cost=s.drop_weight,
    )
