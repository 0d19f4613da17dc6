"""Scenario of `multi_server`: parameters with units and sources, and presets.

Equation and table numbers are those of the paper named in `problem`. Values that the paper does not state:

==================  =====================  ===========================================================================
field               value                  reason
==================  =====================  ===========================================================================
cpu_server_hz       2e9                    gives the published reward level (0.0348) and Table II's accuracies
noise_w_per_hz      1e-13                  at thermal noise every link is so good that power control is irrelevant
reference_gain_db   -30                    usual free-space value at 1 m
path_loss_exponent  2                      equation (3) has a plain squared distance
kappa, exponent v   1e-27, 3               1 W at 1 GHz, below the 1.5 W that (7) also sets for local execution
weights             0.5, 0.5               all-local then costs 1 per device, as the published rewards imply
task_cycles         1e9                    Table I prints "cycles/s"; one second of local computing
==================  =====================  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from offloadopt.core import Scenario
from offloadopt.quantities import (
    Bits,
    Capacitance,
    Count,
    Cycles,
    Decibels,
    Hertz,
    Metres,
    NoiseDensity,
    PathLossExponent,
    PositiveWeight,
    Watts,
    Weight,
)
from offloadopt.traces import locations as places


class MultiServerScenario(Scenario):
    """Parameters of the model, with the paper's values; the table above explains those it does not state.

    ``load`` sets ``cpu_server_hz`` to ``load * users / servers`` GHz, so that sizes stay comparable.
    """

    users: Count = Field(30, description="number of devices, one task each")
    servers: Count = Field(2, description="number of edge servers")
    area_m: Metres = Field(50.0, description="side of the square that holds devices and servers [m]")
    layout_seed: int | None = Field(
        1, ge=0, description="seed of the positions; none draws new positions for each instance"
    )
    users_file: Path | None = Field(
        None, description="CSV with columns latitude, longitude, from which users' positions are drawn"
    )
    sites_file: Path | None = Field(
        None, description="CSV with columns latitude, longitude, from which servers' positions are drawn"
    )

    bandwidth_hz: Hertz = Field(1e6, description="bandwidth of each link [Hz]")
    noise_w_per_hz: NoiseDensity = Field(1e-13, description="noise power density [W/Hz]")
    reference_gain_db: Decibels = Field(-30.0, description="power gain at 1 m [dB]")
    path_loss_exponent: PathLossExponent = Field(2.0, description="path loss exponent")
    power_max_w: Watts = Field(1.5, description="largest transmit power [W]")

    cpu_local_hz: Hertz = Field(1e9, description="CPU speed of a device [Hz]")
    cpu_server_hz: Hertz = Field(2e9, description="CPU speed of a server, shared by its tasks [Hz]")
    load: float | None = Field(
        None, ge=1e-6, le=1e6, description="if given, cpu_server_hz = load * users / servers GHz"
    )
    kappa: Capacitance = Field(1e-27, description="effective capacitance of a device's CPU [W s^v]")
    cpu_exponent: float = Field(3.0, ge=1, le=4, description="exponent v of the CPU power kappa f^v")

    task_bits: Bits = Field(8e5, description="mean data size of a task [bit]")
    task_cycles: Cycles = Field(1e9, description="mean CPU cycles of a task [cycle]")
    task_spread: float = Field(
        0.0, ge=0, le=0.999, description="relative half-width of the uniform distributions of bits and cycles"
    )

    time_weight: PositiveWeight = Field(0.5, description="cost of a second [1/s]")
    energy_weight: Weight = Field(0.5, description="cost of a joule [1/J]")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "heterogeneous": {"task_spread": 0.5, "load": 1.0},
        # Urban micro cells without line of sight at 2 GHz (3GPP TR 36.814: 22.7 + 36.7 log10 d + 26 log10 f_GHz dB),
        # thermal noise, 23 dBm: at hundreds of metres the paper's constants would leave no link at all.
        "melbourne": {
            "users": 100,
            "servers": 10,
            "task_spread": 0.5,
            "load": 1.0,
            "reference_gain_db": -30.5,
            "path_loss_exponent": 3.67,
            "noise_w_per_hz": 3.98e-21,
            "power_max_w": 0.2,
        },
    }

    preset_needs: ClassVar[Mapping[str, tuple[str, ...]]] = {"melbourne": ("users_file", "sites_file")}

    @model_validator(mode="before")
    @classmethod
    def _server_cpu_from_load(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("load") is None:
            return values
        defaults = {name: cls.model_fields[name].default for name in ("users", "servers")}
        try:
            given = {name: float(values.get(name, default)) for name, default in defaults.items()}
            implied = float(values["load"]) * given["users"] / given["servers"] * 1e9
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            return values  # the fields' own checks name the fault
        if not 0 < implied < np.inf:
            return values
        if "cpu_server_hz" in values and values["cpu_server_hz"] != implied:
            raise ValueError("load and cpu_server_hz both set the servers' CPU; give one of them")
        return {**values, "cpu_server_hz": implied}

    @model_validator(mode="after")
    def _load_is_what_was_set(self) -> Self:
        if self.load is not None:
            self.model_fields_set.discard("cpu_server_hz")  # so that `replace(users=...)` follows the load
        return self

    @model_validator(mode="after")
    def _files_come_in_pairs(self) -> Self:
        places.require_both(self.users_file, self.sites_file)
        return self
