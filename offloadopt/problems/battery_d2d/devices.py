"""Devices of `battery_d2d`: processors, receivers' bands, links and batteries, from the scenario alone."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, Instances, IntArray, Observation
from offloadopt.physics import channel
from offloadopt.physics.ageing import Ageing
from offloadopt.physics.dvfs import Processor
from offloadopt.physics.ofdma import Band
from offloadopt.problems.battery_d2d.scenario import BatteryD2DScenario

NEVER = np.iinfo(np.int64).max
"""Slot number for events that do not occur within the horizon."""


class DeviceModel:
    """Physical model of mobile and edge devices.

    Attributes
    ----------
    scenario : BatteryD2DScenario
    """

    scenario: BatteryD2DScenario

    @property
    def devices(self) -> int:
        """Number of mobile and edge devices together, which is the number of targets of a task."""
        return self.scenario.users + self.scenario.servers

    @property
    def modes(self) -> int:
        """Number of CPU modes; mode 0 is the fastest."""
        return len(self.scenario.mobile_hz) if self.scenario.dvfs else 1

    @property
    def longest_deadline_s(self) -> float:
        """Longest deadline in s, relative to which energy is prioritised in (18)."""
        return max(self.scenario.deadline_max_s)

    @cached_property
    def processors(self) -> tuple[Processor, Processor]:
        """Processors of mobile and of edge devices, with their available modes."""
        s = self.scenario
        mobile = Processor.scaled(s.mobile_hz, s.mobile_v, s.mobile_cores, s.mobile_full_w)
        edge = Processor.scaled(s.edge_hz, s.edge_v, s.edge_cores, s.edge_full_w)
        return (mobile, edge) if s.dvfs else (mobile.fastest, edge.fastest)

    @cached_property
    def band(self) -> Band:
        """Band of each receiver."""
        s = self.scenario
        return Band(s.bandwidth_hz, s.subchannels, float(channel.from_db(s.noise_dbm_per_hz - 30.0)))

    @cached_property
    def sinr_threshold(self) -> float:
        """SINR below which a transmission is lost: a single one over ``d2d_m`` succeeds with ``edge_success``."""
        s = self.scenario
        received_w = s.d2d_w * self.gain(np.asarray(s.d2d_m))
        return float(-np.log(s.edge_success) * received_w / (self.band.noise_w_per_hz * s.bandwidth_hz))

    @cached_property
    def ageing(self) -> Ageing:
        """Ageing model of every battery."""
        s = self.scenario
        return Ageing(s.ageing_per_cycle, s.ageing_deviation, s.ageing_level)

    def gain(self, distance_m: FloatArray) -> FloatArray:
        """Compute the mean power gain of a link from its length in m."""
        return channel.path_gain(distance_m, self.scenario.reference_gain_db, self.scenario.path_loss_exponent)

    def targets(self, instances: Instances) -> tuple[IntArray, FloatArray]:
        """Return device numbers of targets ``[count, users, devices]``, and their distances in m."""
        s, position = self.scenario, instances["position_m"]
        count = len(position)
        offset = position[:, :, None] - position[:, None]
        apart = np.hypot(offset[..., 0], offset[..., 1])
        themselves = np.arange(s.users)
        apart[:, themselves, themselves] = -1.0  # first, also before devices at the same position
        mobile = np.argsort(apart, axis=-1, kind="stable")
        edge = np.broadcast_to(np.arange(s.users, self.devices), (count, s.users, s.servers))
        station = np.hypot(position[..., 0] - s.room_m / 2.0, position[..., 1] - s.room_m / 2.0)
        near = np.maximum(np.take_along_axis(apart, mobile, axis=-1), 0.0)
        far = np.broadcast_to(station[..., None], edge.shape)
        return np.concatenate([mobile, edge], axis=-1), np.concatenate([near, far], axis=-1)

    def next_down(self, instances: Instances) -> IntArray:
        """Compute the first slot, from each slot on, with each device disconnected, ``[count, horizon, devices]``."""
        slots = np.arange(self.scenario.horizon)[:, None]
        down = np.where(instances["connected"] == 1, NEVER, slots)
        return np.minimum.accumulate(down[:, ::-1], axis=1)[:, ::-1]

    def within_reach(self, observation: Observation) -> NDArray[np.bool_]:
        """Tell which targets are within reach, ``[count, users, devices]``."""
        within = observation["distance_m"] <= self.scenario.d2d_m
        within[..., self.scenario.users :] = True
        return within

    def speeds(self, edge: NDArray[np.bool_], mode: IntArray | int) -> tuple[FloatArray, FloatArray]:
        """Return speed in cycles/s and power in W of modes of edge or mobile CPUs."""
        speed_hz, power_w = (
            np.stack([getattr(cpu, name) for cpu in self.processors]) for name in ("speed_hz", "power_w")
        )
        which = edge.astype(np.int64)
        return speed_hz[which, mode], power_w[which, mode]

    def damage(self, held_j: FloatArray, used_j: FloatArray, seconds: FloatArray) -> FloatArray:
        """Compute the share of a battery's life ``[...]`` consumed by discharges in pieces ``[..., pieces]``."""
        capacity_j = self.scenario.battery_j
        return self.ageing.damage(held_j / capacity_j, used_j / capacity_j, seconds)
