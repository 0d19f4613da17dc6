"""Scenario of `partial_mobile`: parameters with units and sources, and presets.

Equation and table numbers are those of the paper named in `problem`. Values that the paper does not state:

====================  ===============================================================================================
what                  choice and reason
====================  ===============================================================================================
path loss (2)         140.7 + 36.7 log10(km) dB (3GPP TR 36.814); the noise is a power whatever the share of the band
edge energy (10)      ``kappa_e F^2`` joule a cycle with 1e-28, not in the text: without a price of the server's energy
                      Table 3's energy could not rise while its delay falls
area                  400 m x 400 m, five servers in a quincunx: SNR from 16 to -2 dB, a meaningful spread
====================  ===============================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from offloadopt.core import Scenario
from offloadopt.quantities import (
    Bits,
    Capacitance,
    Coordinate,
    Count,
    CyclesPerBit,
    Decibels,
    Hertz,
    Metres,
    NoiseWatts,
    OptionalCapacitance,
    PathLossExponent,
    Seconds,
    Slots,
    Speed,
    Watts,
    Weight,
)
from offloadopt.traces import locations as places

QUINCUNX_M = ((100.0, 100.0), (300.0, 100.0), (200.0, 200.0), (100.0, 300.0), (300.0, 300.0))


class PartialMobileScenario(Scenario):
    """Parameters of the model, with the paper's values; the table above explains those it does not state."""

    users: Count = Field(10, description="number of moving users, one task each in every slot")
    horizon: Slots = Field(40, description="slots of an episode")
    slot_s: Seconds = Field(1.0, description="length of a slot [s]")
    sites_m: tuple[tuple[Coordinate, Coordinate], ...] = Field(
        QUINCUNX_M, min_length=1, max_length=10_000, description="positions (east, north) of the servers [m]"
    )
    area_m: Metres = Field(400.0, description="side of the square in which users move [m]")
    speed_max_m_per_s: Speed = Field(5.0, description="largest speed; speeds are uniform from 0, slot by slot [m/s]")
    users_file: Path | None = Field(
        None, description="CSV with columns latitude, longitude: users' first positions are drawn from it"
    )
    sites_file: Path | None = Field(None, description="CSV with columns latitude, longitude: servers are drawn from it")
    servers_drawn: Count = Field(5, description="number of servers drawn from sites_file")
    layout_seed: int = Field(1, ge=0, description="seed of the draw of servers")

    bandwidth_hz: Hertz = Field(40e6, description="bandwidth of each server [Hz]")
    noise_w: NoiseWatts = Field(1e-13, description="noise power [W]")
    reference_gain_db: Decibels = Field(-30.6, description="power gain at 1 m [dB]")
    path_loss_exponent: PathLossExponent = Field(3.67, description="path loss exponent")
    power_w: Watts = Field(0.1, description="transmit power of a user [W]")

    cpu_local_hz: Hertz = Field(0.5e9, description="f_i, CPU speed of a device [Hz]")
    cpu_server_hz: Hertz = Field(10e9, description="F_max, CPU speed of a server [Hz]")
    kappa_local: Capacitance = Field(1e-26, description="phi of a device's CPU power phi f^3 [W s^3]")
    kappa_server: OptionalCapacitance = Field(1e-28, description="kappa_e of a server's CPU power kappa_e F^3 [W s^3]")
    task_bits_min: Bits = Field(1.5e6, description="smallest data size of a task [bit]")
    task_bits_max: Bits = Field(2e6, description="largest data size of a task [bit]")
    cycles_per_bit: CyclesPerBit = Field(500.0, description="CPU cycles per bit of a task [cycle/bit]")

    time_weight: float = Field(
        0.5, ge=1e-6, le=1 - 1e-6, description="beta_t, weight of time; the weight of energy is beta_e = 1 - beta_t"
    )
    overload_penalty: Weight = Field(1.0, description="cost of an overloaded server in a slot, divided among its users")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # Real places some hundred metres apart: users walk at 1.5 m/s at most.
        "melbourne": {"users": 20, "speed_max_m_per_s": 1.5},
    }
    preset_needs: ClassVar[Mapping[str, tuple[str, ...]]] = {"melbourne": ("users_file", "sites_file")}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.task_bits_min > self.task_bits_max:
            raise ValueError(f"task_bits_min = {self.task_bits_min:g}; allowed: at most task_bits_max")
        places.require_both(self.users_file, self.sites_file)
        return self
