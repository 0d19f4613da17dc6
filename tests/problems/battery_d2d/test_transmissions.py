"""Transmissions of `battery_d2d` against equations (1) to (6), one device after the other."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Batch
from offloadopt.problems.battery_d2d import BatteryD2D
from offloadopt.problems.battery_d2d.transmissions import of_device, of_target, transmit


@pytest.mark.parametrize(
    ("changes", "event"),
    [
        ({}, "received"),
        ({"subchannels": 2, "task_chance": 1.0}, "crowded"),
        ({"reference_gain_db": -60.0, "d2d_m": 60.0}, "faded"),
        ({"battery_j": 0.01, "start_share": 0.0}, "cut"),
        ({"disconnect_chance": 0.5}, "unlinked"),
    ],
)
def test_transmissions_follow_the_equations(changes: dict[str, Any], event: str) -> None:
    problem = offloadopt.problem("battery_d2d", **{"users": 5, "servers": 1, "horizon": 2, **changes})
    assert isinstance(problem, BatteryD2D)
    s, count = problem.scenario, 30
    instances = problem.sample(count, seed=2)
    values = problem.reset(instances).values
    now = Batch({name: instances[name][:, 0] for name, spec in problem.instance_fields.items() if spec.per_slot})
    target = np.random.default_rng(3).integers(0, problem.devices, (count, 5))
    sent = transmit(problem, now, values, target)
    events = Counter[str]()
    for row in range(count):
        device = [int(values["device"][row, user, target[row, user]]) for user in range(5)]
        assert sent.device[row].tolist() == device
        up = now["connected"][row] == 1
        linked = []
        for user in range(5):
            near = device[user] >= 5 or values["distance_m"][row, user, target[row, user]] <= s.d2d_m
            asks = now["arrives"][row, user] == 1 and target[row, user] > 0
            linked.append(bool(asks and near and up[user] and up[device[user]]))
            events["unlinked"] += asks and not linked[-1]
        for user in range(5):
            transmitters = sum(ok and to == device[user] for ok, to in zip(linked, device, strict=True))
            received = dropped = False
            seconds = energy_j = 0.0
            if linked[user] and transmitters > s.subchannels:
                dropped, events["crowded"] = True, events["crowded"] + 1
            elif linked[user]:
                hertz = s.subchannels // transmitters * s.bandwidth_hz / s.subchannels
                watt = s.cellular_w if device[user] >= 5 else s.d2d_w
                distance_m = values["distance_m"][row, user, target[row, user]]
                gain = 10 ** (s.reference_gain_db / 10) * max(distance_m, 1.0) ** -s.path_loss_exponent
                noise_w = 10 ** (s.noise_dbm_per_hz / 10 - 3) * hertz
                seconds = now["bits"][row, user] / (hertz * math.log2(1 + watt * gain / noise_w))
                held_j = values["battery_j"][row, user]
                cut = watt * seconds > held_j
                energy_j = min(watt * seconds, held_j)
                success = math.exp(-problem.sinr_threshold * noise_w / (watt * gain))
                fades = now["link_draw"][row, user] >= success
                received, dropped = not fades and not cut, fades and not cut
                events.update({"received": received, "faded": fades, "cut": cut})
            elif now["arrives"][row, user] == 1 and target[row, user] > 0:
                dropped = True
            assert (sent.received[row, user], sent.dropped[row, user]) == (received, dropped)
            assert sent.seconds[row, user] == pytest.approx(seconds, rel=1e-9)
            assert sent.energy_j[row, user] == pytest.approx(energy_j, rel=1e-9)
        for to in range(problem.devices):
            assert sent.transmitters[row, to] == sum(ok and d == to for ok, d in zip(linked, device, strict=True))
    assert events[event] > 0


def test_values_are_taken_by_device_and_by_target() -> None:
    values, index = np.arange(24.0).reshape(2, 3, 4), np.array([[0, 3, 1], [2, 2, 0]])
    for row, user in itertools.product(range(2), range(3)):
        assert of_target(values, index)[row, user] == values[row, user, index[row, user]]
        assert of_device(values[:, 0], index)[row, user] == values[row, 0, index[row, user]]
