"""Scenario of `carbon_mimo`: parameters with units and sources, and presets.

Equation and table numbers are those of the first paper named in `problem`. Values that the papers do not state:

=====================  ==============================================================================================
what                   choice and reason
=====================  ==============================================================================================
physics                the ancestor's constants (1 ms, 1 MHz, 1e-9 W, 500 cycles/bit, 1e-27, 2 W, path loss 1e-3 d^-3);
                       8 antennas for 5 users; buffer 100 kbit; harvest 1 W on average, half of a typical demand
units                  ``paper-normalised`` has the paper's own scale, where a slot carries a few "bits": the
                       published 3e-4 g/bit is possible there alone. Compare shapes and ranks, not grams
=====================  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from offloadopt.core import Scenario
from offloadopt.quantities import (
    Bits,
    Capacitance,
    CarbonIntensity,
    Count,
    CyclesPerBit,
    Decibels,
    Hertz,
    Latitude,
    Longitude,
    Metres,
    NoiseWatts,
    OptionalBits,
    OptionalJoules,
    OptionalWatts,
    PathLossExponent,
    PositiveWeight,
    Seconds,
    SeveralSlots,
    Share,
    Speed,
    SquareMetres,
    Watts,
    Weight,
)

Quanta = Annotated[float, Field(ge=0, le=1e5)]


class CarbonMimoScenario(Scenario):
    """Parameters of the model; the table above explains what the papers do not state.

    Amounts of data come in quanta of ``bandwidth_hz * slot_s`` bits, 1 kbit in physical units.
    """

    users: Count = Field(5, description="number of devices with one antenna each")
    antennas: Count = Field(8, description="antennas of the base station")
    horizon: SeveralSlots = Field(100, description="slots of an episode")
    slot_s: Seconds = Field(1e-3, description="length of a slot [s]")

    cell_m: Metres = Field(100.0, description="radius of the cell in which users move [m]")
    nearest_m: Metres = Field(10.0, description="smallest distance to the base station [m]")
    speed_m_per_s: Speed = Field(1.0, description="speed of the users [m/s]")
    distance_m: Metres | tuple[Metres, ...] | None = Field(
        None, description="fixed distances in place of movement: one for all users, or one for each [m]"
    )
    reference_gain_db: Decibels = Field(-30.0, description="power gain at 1 m [dB]")
    path_loss_exponent: PathLossExponent = Field(3.0, description="path loss exponent")
    correlation: Share = Field(0.95, description="correlation of fading between successive slots")
    bandwidth_hz: Hertz = Field(1e6, description="bandwidth shared by all users [Hz]")
    noise_w: NoiseWatts = Field(1e-9, description="noise power at each antenna [W]")
    detector: Literal["zero-forcing", "mmse", "mrc"] = Field(
        "zero-forcing", description="linear detector of the base station"
    )
    csi_error: float = Field(
        0.0, ge=0, le=100, description="variance of the channel estimate's error, relative to the path gain"
    )

    kappa: Capacitance = Field(1e-27, description="effective capacitance of a CPU [W s^3]")
    cycles_per_bit: CyclesPerBit = Field(500.0, description="CPU cycles per bit [cycle/bit]")
    local_max_w: Watts = Field(2.0, description="largest CPU power [W]")
    offload_max_w: Watts = Field(2.0, description="largest transmit power [W]")

    buffer_bits: Bits | None = Field(1e5, description="capacity of a buffer; none: unlimited [bit]")
    start_bits: OptionalBits = Field(0.0, description="largest initial backlog; it is uniform from 0 [bit]")
    arrival_quanta: Quanta | tuple[Quanta, ...] = Field(
        3.0, description="mean arrivals per slot in quanta: one for all users, or one for each"
    )
    arrival_quanta_to: Quanta | None = Field(
        None, description="if given, each instance's mean is uniform between arrival_quanta and this"
    )

    harvest_w: OptionalWatts = Field(
        1.0, description="mean harvested power, in Poisson quanta of 0.1 W times a slot [W]"
    )
    harvest_max_w: Watts = Field(2.0, description="harvested power by which observation and charge are scaled [W]")
    solar_place: tuple[Latitude, Longitude] | None = Field(
        None, description="latitude and longitude in degrees of the clear sky that gives the harvest"
    )
    solar_day: date = Field(
        date(2026, 6, 21), ge=date(1900, 1, 1), le=date(2200, 12, 31), description="day of the clear sky (UTC)"
    )
    panel_m2: SquareMetres = Field(0.01, description="area of a user's solar panel [m2]")
    panel_efficiency: float = Field(
        0.2, ge=1e-3, le=1, description="electrical output of a panel, relative to the irradiation"
    )
    battery_j: OptionalJoules = Field(0.0, description="capacity of a battery for unused green energy; 0: none [J]")

    carbon_g_per_kwh: CarbonIntensity = Field(700.0, description="carbon intensity of the grid [g/kWh]")
    carbon_by_hour: tuple[CarbonIntensity, ...] | None = Field(
        None,
        min_length=24,
        max_length=24,
        description="24 hourly intensities in place of a constant, from midnight UTC, in g/kWh",
    )
    country: str | None = Field(
        None,
        description="ISO code of a country whose mean intensity (codecarbon) replaces the constant",
    )

    charge: Literal["normalised", "literal", "ancestor"] = Field(
        "normalised", description="formula of the cost of a slot"
    )
    buffer_weight: Weight = Field(1 / 3, description="w1, weight of the backlog")
    carbon_weight: PositiveWeight = Field(1 / 3, description="w2, weight of carbon")
    loss_weight: Weight = Field(1 / 3, description="w3, weight of lost bits and of wasted energy")
    overflow_unit: float = Field(0.1, ge=1e-6, le=1e6, description="lost quanta that cost w3 (normalised charge)")
    final_weight: Weight = Field(
        1.0, description="price of the final backlog, relative to computing it from the grid (normalised charge)"
    )
    power_weight: float = Field(0.5, ge=1e-6, le=1, description="w of the ancestor's charge 10 w P + (1 - w) B/kbit")
    sinr_target: float = Field(10.0, ge=1e-6, le=1e12, description="SINR that the observation scales to 1")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # A slot carries a few "bits", energies are joules: the scale on which the paper's figures are possible.
        "paper-normalised": {"slot_s": 1.0, "bandwidth_hz": 1.0, "cycles_per_bit": 5e8, "buffer_bits": 100.0},
        "ancestor": {
            "users": 3,
            "antennas": 4,
            "horizon": 200,
            "distance_m": 100.0,
            "speed_m_per_s": 0.0,
            "arrival_quanta": (1.0, 2.0, 3.0),
            "buffer_bits": None,
            "start_bits": 49e3,
            "harvest_w": 0.0,
            "charge": "ancestor",
        },
        # Riyadh at the summer solstice; a slot falls into any minute of the day.
        "solar": {"solar_place": (24.7, 46.7)},
        # What the paper speaks of and its figures leave out: users that disturb each other, and channel estimates with
        # an error of 1 %, about that of a pilot 20 dB above the noise.
        "interference": {"detector": "mmse", "csi_error": 0.01},
    }

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.detector == "zero-forcing" and self.users > self.antennas:
            raise ValueError(
                f"users = {self.users} above antennas = {self.antennas}: zero forcing needs an antenna for each user; "
                "allowed: fewer users, more antennas, or detector = mmse or mrc"
            )
        for name in ("distance_m", "arrival_quanta"):
            values = getattr(self, name)
            if isinstance(values, tuple) and len(values) != self.users:
                raise ValueError(f"{name} has {len(values)} entries; allowed: one for all, or {self.users}, one a user")
        if self.buffer_bits is not None and self.start_bits > self.buffer_bits:
            raise ValueError(f"start_bits = {self.start_bits:g}; allowed: at most buffer_bits = {self.buffer_bits:g}")
        if self.nearest_m >= self.cell_m:
            raise ValueError(f"nearest_m = {self.nearest_m:g}; allowed: less than cell_m = {self.cell_m:g}")
        if self.carbon_by_hour is not None and self.country is not None:
            raise ValueError("carbon_by_hour and country both set the grid's carbon; give one of them")
        if self.arrival_quanta_to is not None:
            if isinstance(self.arrival_quanta, tuple):
                raise ValueError("arrival_quanta_to needs one arrival_quanta for all users")
            if self.arrival_quanta_to < self.arrival_quanta:
                raise ValueError(f"arrival_quanta_to = {self.arrival_quanta_to:g}; allowed: at least arrival_quanta")
        return self
