"""Scenario of `battery_d2d`: parameters with units and sources, and presets.

Equation and table numbers are those of the paper named in `problem`. Values that the paper does not state:

=================  ==================================================================================================
what               choice and reason
=================  ==================================================================================================
room, path loss    60 m x 60 m, -40 dB at 1 m (free space at 3.5 GHz) and exponent 4: the base station "covers the
                   complete room", 4 of 5 transmissions succeed from its corners. Sending takes 0.01 to 0.4 s
(15)               Millner's constants as commonly quoted: 3.66e-5, 0.717, 0.916
(20)               a task costs about 0.25 by energy and 0.25 by ageing (local, slowest mode: 9.2 J, 8.5e-8 of a life).
                   A failure costs 8, more than any execution in any mode on a full battery (6.4 at most): failing on
                   purpose does not pay. Ageing weighs a quarter of one over its mean: at one over its mean a failure
                   would have to cost more than 20, and nothing else would count
=================  ==================================================================================================
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from offloadopt.core import Scenario
from offloadopt.quantities import (
    Bits,
    Count,
    Cycles,
    Decibels,
    Hertz,
    Joules,
    Metres,
    PathLossExponent,
    Seconds,
    SeveralSlots,
    Share,
    Volts,
    Watts,
    Weight,
)


class BatteryD2DScenario(Scenario):
    """Parameters of the model; the table above explains what the paper does not state."""

    users: Count = Field(8, description="number of mobile devices, each with an agent")
    servers: Count = Field(2, description="number of edge devices, wired to the base station")
    horizon: SeveralSlots = Field(100, description="slots of an episode")
    slot_s: Seconds = Field(1.0, description="length of a slot [s]")

    room_m: Metres = Field(60.0, description="side of the square room with the base station in its centre [m]")
    d2d_m: Metres = Field(30.0, description="reach of a link between mobile devices [m]")
    d2d_w: Watts = Field(0.1, description="transmit and receive power of a link between mobile devices [W]")
    cellular_w: Watts = Field(0.2, description="transmit and receive power of a link to the base station [W]")
    bandwidth_hz: Hertz = Field(20e6, description="bandwidth of each receiver [Hz]")
    subchannels: Count = Field(10, description="K, number of subchannels of each receiver")
    reference_gain_db: Decibels = Field(-40.0, description="power gain at 1 m [dB]")
    path_loss_exponent: PathLossExponent = Field(4.0, description="path loss exponent")
    noise_dbm_per_hz: float = Field(-174.0, ge=-250, le=30, description="noise power density [dBm/Hz]")
    edge_success: float = Field(
        0.9,
        ge=1e-6,
        lt=1,
        description="success probability of a lone transmission over d2d_m; determines the SINR threshold",
    )

    disconnect_chance: Share = Field(0.05, lt=1, description="probability that a device is disconnected in a slot")
    task_chance: Share = Field(0.5, description="probability that a mobile device has a task in a slot")
    bits_min: Bits = Field(4e6, description="smallest data size of a task [bit]")
    bits_max: Bits = Field(8e6, description="largest data size of a task [bit]")
    cycles_min: Cycles = Field(0.5e9, description="smallest number of CPU cycles of a task [cycle]")
    cycles_max: Cycles = Field(1.5e9, description="largest number of CPU cycles of a task [cycle]")
    deadline_min_s: tuple[Seconds, Seconds, Seconds] = Field(
        (0.5, 1.0, 2.0), description="shortest deadline of each kind of task [s]"
    )
    deadline_max_s: tuple[Seconds, Seconds, Seconds] = Field(
        (1.0, 2.0, 4.0), description="longest deadline of each kind of task [s]"
    )

    mobile_hz: tuple[Hertz, ...] = Field(
        (1.8e9, 1.6e9, 1.4e9, 1.2e9, 1.0e9, 0.8e9),
        description="clock frequencies of a mobile CPU's modes, the fastest first [Hz]",
    )
    mobile_v: tuple[Volts, ...] = Field(
        (1.2, 1.15, 1.1, 1.05, 1.0, 0.9), description="voltages of a mobile CPU's modes [V]"
    )
    mobile_full_w: Watts = Field(25.0, description="power of a mobile CPU in the fastest mode [W]")
    mobile_cores: Count = Field(1, description="cores of a mobile CPU, all of which execute the same task")
    edge_hz: tuple[Hertz, ...] = Field(
        (2.6e9, 2.4e9, 2.2e9, 2.0e9, 1.8e9, 1.0e9),
        description="clock frequencies of an edge CPU's modes, the fastest first [Hz]",
    )
    edge_v: tuple[Volts, ...] = Field(
        (1.3, 1.25, 1.2, 1.15, 1.1, 1.05), description="voltages of an edge CPU's modes [V]"
    )
    edge_full_w: Watts = Field(95.0, description="power of an edge CPU in the fastest mode, all cores together [W]")
    edge_cores: Count = Field(2, description="cores of an edge CPU, all of which execute the same task")
    dvfs: bool = Field(True, description="whether modes are chosen; otherwise every task runs in the fastest mode")

    battery_j: Joules = Field(500.0, description="capacity of every battery [J]")
    start_share: Share = Field(
        0.5, description="smallest initial charge relative to the capacity; it is uniform up to 1"
    )
    ageing_per_cycle: float = Field(
        3.66e-5, ge=1e-12, le=1, description="K_co, share of a battery's life consumed by a full effective cycle"
    )
    ageing_deviation: float = Field(
        0.717, ge=1e-3, le=100, description="K_ex, scale of the state of charge's deviation"
    )
    ageing_level: float = Field(0.916, ge=0, le=100, description="K_soc, effect of the mean state of charge on ageing")

    energy_weight: Weight = Field(1 / 15, description="w1, cost of a prioritised joule [1/J]")
    failure_weight: Weight = Field(8.0, description="w2, cost of a failed task")
    drop_weight: Weight = Field(1.0, description="w3, cost of a dropped task in addition to that of its failure")
    ageing_weight: Weight = Field(3e6, description="w4, cost of a battery's whole life")

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
            if least > most:
                raise ValueError(
                    f"deadlines of kind {kind} = {least:g} to {most:g}; allowed: deadline_min_s up to deadline_max_s"
                )
        for cpu in ("mobile", "edge"):
            frequency, voltage = getattr(self, f"{cpu}_hz"), getattr(self, f"{cpu}_v")
            if len(frequency) != len(self.mobile_hz) or not frequency:
                raise ValueError(f"{cpu}_hz has {len(frequency)} modes; allowed: as many as mobile_hz, at least one")
            if len(voltage) != len(frequency):
                raise ValueError(f"{cpu}_v has {len(voltage)} entries; allowed: one for each {cpu}_hz")
            if any(later >= faster for faster, later in itertools.pairwise(frequency)):
                raise ValueError(f"{cpu}_hz = {frequency}; allowed: the fastest first, each mode once")
        return self
