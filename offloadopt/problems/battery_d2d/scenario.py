"""Scenario of `battery_d2d`: parameters with units and sources, and presets."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from offloadopt.core import (
    Scenario,
)


class BatteryD2DScenario(Scenario):
    """Parameters of the model; see the module's table for what the paper does not state."""

    users: int = Field(8, ge=1, description="mobile devices, each with an agent")
    servers: int = Field(2, ge=1, description="edge devices, wired to the base station")
    horizon: int = Field(100, ge=2, description="slots of an episode")
    slot_s: float = Field(1.0, gt=0, description="length of a slot")

    room_m: float = Field(60.0, gt=0, description="side of the square room, base station in its centre")
    d2d_m: float = Field(30.0, gt=0, description="reach of a link between mobile devices")
    d2d_w: float = Field(0.1, gt=0, description="transmit and receive power of such a link")
    cellular_w: float = Field(0.2, gt=0, description="transmit and receive power of a link to the base station")
    bandwidth_hz: float = Field(20e6, gt=0, description="of each receiver")
    subchannels: int = Field(10, ge=1, description="K, of each receiver")
    reference_gain_db: float = Field(-40.0, le=0, description="power gain at 1 m")
    path_loss_exponent: float = Field(4.0, ge=0, description="exponent of distance")
    noise_dbm_per_hz: float = Field(-174.0, description="noise power density")
    edge_success: float = Field(
        0.9, gt=0, lt=1, description="success of a lone transmission over d2d_m; sets the SINR threshold"
    )

    disconnect_chance: float = Field(0.05, ge=0, lt=1, description="of each device in each slot")
    task_chance: float = Field(0.5, ge=0, le=1, description="of each mobile device in each slot")
    bits_min: float = Field(4e6, gt=0, description="smallest task")
    bits_max: float = Field(8e6, gt=0, description="largest task")
    cycles_min: float = Field(0.5e9, gt=0, description="shortest task")
    cycles_max: float = Field(1.5e9, gt=0, description="longest task")
    deadline_min_s: tuple[float, float, float] = Field((0.5, 1.0, 2.0), description="of each kind of task")
    deadline_max_s: tuple[float, float, float] = Field((1.0, 2.0, 4.0), description="of each kind of task")

    mobile_hz: tuple[float, ...] = Field(
        (1.8e9, 1.6e9, 1.4e9, 1.2e9, 1.0e9, 0.8e9), description="modes of a mobile CPU, the fastest first"
    )
    mobile_v: tuple[float, ...] = Field((1.2, 1.15, 1.1, 1.05, 1.0, 0.9), description="its voltages")
    mobile_full_w: float = Field(25.0, gt=0, description="its power in the fastest mode")
    mobile_cores: int = Field(1, ge=1, description="its cores, all of which do the same task")
    edge_hz: tuple[float, ...] = Field(
        (2.6e9, 2.4e9, 2.2e9, 2.0e9, 1.8e9, 1.0e9), description="modes of an edge device's CPU, the fastest first"
    )
    edge_v: tuple[float, ...] = Field((1.3, 1.25, 1.2, 1.15, 1.1, 1.05), description="its voltages")
    edge_full_w: float = Field(95.0, gt=0, description="its power in the fastest mode, all cores together")
    edge_cores: int = Field(2, ge=1, description="its cores, all of which do the same task")
    dvfs: bool = Field(True, description="whether a mode is chosen; if not, everything runs at full speed")

    battery_j: float = Field(500.0, gt=0, description="capacity of every battery")
    start_share: float = Field(0.5, ge=0, le=1, description="a battery first holds from so much of it to all of it")
    ageing_per_cycle: float = Field(3.66e-5, gt=0, description="K_co: life that a full effective cycle takes")
    ageing_deviation: float = Field(0.717, gt=0, description="K_ex: scale of the level's deviation")
    ageing_level: float = Field(0.916, ge=0, description="K_soc: how much more a full battery ages")

    energy_weight: float = Field(1 / 15, ge=0, description="w1, of a prioritised joule")
    failure_weight: float = Field(8.0, ge=0, description="w2, of a failed task")
    drop_weight: float = Field(1.0, ge=0, description="w3, of a dropped task, which has failed as well")
    ageing_weight: float = Field(3e6, ge=0, description="w4, of a battery's whole life")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # The setting of the paper's figures: every task has the longest deadline of its kind.
        "clipped-delay": {"deadline_min_s": (1.0, 2.0, 4.0)},
        # Its Fig. 4: without dynamic voltage and frequency scaling.
        "fixed-frequency": {"dvfs": False},
    }

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for low, high in (("bits_min", "bits_max"), ("cycles_min", "cycles_max")):
            least, most = getattr(self, low), getattr(self, high)
            if least > most:
                raise ValueError(f"{low} = {least:g}; allowed: at most {high} = {most:g}")
        for kind, (least, most) in enumerate(zip(self.deadline_min_s, self.deadline_max_s, strict=True), start=1):
            if not 0 < least <= most:
                raise ValueError(
                    f"deadlines of kind {kind} = {least:g} to {most:g}; allowed: positive, deadline_min_s up to "
                    "deadline_max_s"
                )
        for cpu in ("mobile", "edge"):
            frequency, voltage = getattr(self, f"{cpu}_hz"), getattr(self, f"{cpu}_v")
            if len(frequency) != len(self.mobile_hz) or not frequency:
                raise ValueError(f"{cpu}_hz has {len(frequency)} modes; allowed: as many as mobile_hz, at least one")
            if len(voltage) != len(frequency):
                raise ValueError(f"{cpu}_v has {len(voltage)} entries; allowed: one for each {cpu}_hz")
            if min(voltage) <= 0 or min(frequency) <= 0:
                raise ValueError(f"{cpu}_hz and {cpu}_v hold {min(*voltage, *frequency):g}; allowed: positive numbers")
            if any(later >= faster for faster, later in itertools.pairwise(frequency)):
                raise ValueError(f"{cpu}_hz = {frequency}; allowed: the fastest first, each mode once")
        return self
