"""Transmissions of `battery_d2d`: rate, energy and success of each slot's radio links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Batch, FloatArray, IntArray
from offloadopt.problems.battery_d2d.devices import DeviceModel


@dataclass(frozen=True)
class Transmissions:
    """Transmissions of a slot's tasks, arrays ``[count, users]``.

    Attributes
    ----------
    device : int array
        Device number of the target.
    cellular : bool array
        Whether the target is an edge device.
    transmitters : int array [count, devices]
        Number of transmitters to each device.
    power_w, seconds, energy_j : array
        Power in W, duration in s and energy in J of a transmission. The duration is that of the whole task, also where
        the battery is exhausted before.
    received, dropped : bool array
        Whether the task is received, or dropped. Neither holds for a local task, for one whose transmission exhausts
        the battery, and where there is no task.
    """

    device: IntArray
    cellular: NDArray[np.bool_]
    transmitters: IntArray
    power_w: FloatArray
    seconds: FloatArray
    energy_j: FloatArray
    received: NDArray[np.bool_]
    dropped: NDArray[np.bool_]


def transmit(devices: DeviceModel, now: Batch, values: Batch, target: IntArray) -> Transmissions:
    """Compute the slot's transmissions, equations (1) to (6).

    Parameters
    ----------
    devices : DeviceModel
    now : Batch
        The slot's instance arrays.
    values : Batch
        Arrays of the state: ``device`` and ``distance_m`` of targets ``[count, users, devices]``, ``battery_j [count,
        devices]``.
    target : int array [count, users]
    """
    s = devices.scenario
    device, distance = of_target(values["device"], target), of_target(values["distance_m"], target)
    cellular, connected = device >= s.users, now["connected"] == 1
    away = (now["arrives"] == 1) & (target > 0)
    linked = connected[:, : s.users] & of_device(connected, device) & (cellular | (distance <= s.d2d_m))
    asks = away & linked
    transmitters = np.sum(asks[..., None] & (device[..., None] == np.arange(devices.devices)), axis=1)
    share_hz = devices.band.share_hz(of_device(transmitters, device))  # (2)
    sends = asks & (share_hz > 0)
    share_hz = np.where(sends, share_hz, s.bandwidth_hz)  # any positive number where nothing is sent
    power_w = np.where(cellular, s.cellular_w, s.d2d_w)
    received_w = power_w * devices.gain(distance)  # (1)
    seconds = np.where(sends, now["bits"] / devices.band.rate(received_w, share_hz), 0.0)  # (5)
    held_j, needed_j = values["battery_j"][:, : s.users], power_w * seconds  # (6)
    fades = now["link_draw"] >= devices.band.success(received_w, share_hz, devices.sinr_threshold)  # (3), (4)
    cut = needed_j > held_j
    return Transmissions(
        device=device,
        cellular=cellular,
        transmitters=transmitters,
        power_w=power_w,
        seconds=seconds,
        energy_j=np.minimum(needed_j, held_j),
        received=sends & ~fades & ~cut,
        dropped=away & (~sends | (fades & ~cut)),
    )


def of_device(values: NDArray[Any], device: IntArray) -> NDArray[Any]:
    """Take ``values [count, devices]`` of devices ``[count, users]``."""
    return np.take_along_axis(values, device, axis=-1)


def of_target(values: NDArray[Any], target: IntArray) -> NDArray[Any]:
    """Take ``values [count, users, devices]`` of targets ``[count, users]``."""
    return np.asarray(np.take_along_axis(values, target[..., None], axis=-1)[..., 0])
