"""Scenario of `partial_mobile`: parameters with units and sources, and presets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from offloadopt.core import (
    Scenario,
)
from offloadopt.traces import locations as places

QUINCUNX_M = ((100.0, 100.0), (300.0, 100.0), (200.0, 200.0), (100.0, 300.0), (300.0, 300.0))


class PartialMobileScenario(Scenario):
    """Parameters of the model, with the paper's values; see the module's table for the ones it does not state."""

    users: int = Field(10, ge=1, description="moving devices, one task each in every slot")
    horizon: int = Field(40, ge=1, description="slots of an episode")
    slot_s: float = Field(1.0, gt=0, description="time between two slots' positions")
    sites_m: tuple[tuple[float, float], ...] = Field(QUINCUNX_M, min_length=1, description="servers, east and north")
    area_m: float = Field(400.0, gt=0, description="side of the square in which users move")
    speed_max_m_per_s: float = Field(5.0, ge=0, description="speeds are uniform between 0 and this, slot by slot")
    users_file: Path | None = Field(None, description="CSV with latitude, longitude: users start there")
    sites_file: Path | None = Field(None, description="CSV with latitude, longitude: servers are drawn from it")
    servers_drawn: int = Field(5, ge=1, description="servers drawn from sites_file")
    layout_seed: int = Field(1, ge=0, description="seed of the draw of servers")

    bandwidth_hz: float = Field(40e6, gt=0, description="bandwidth of each server")
    noise_w: float = Field(1e-13, gt=0, description="noise power")
    reference_gain_db: float = Field(-30.6, le=0, description="power gain at 1 m")
    path_loss_exponent: float = Field(3.67, ge=0, description="exponent of distance")
    power_w: float = Field(0.1, gt=0, description="transmit power")

    cpu_local_hz: float = Field(0.5e9, gt=0, description="a device's CPU, f_i")
    cpu_server_hz: float = Field(10e9, gt=0, description="a server's CPU, F_max")
    kappa_local: float = Field(1e-26, gt=0, description="phi of the device's power phi f^3, W s^3")
    kappa_server: float = Field(1e-28, ge=0, description="kappa_e of the server's power kappa_e F^3, W s^3")
    task_bits_min: float = Field(1.5e6, gt=0, description="smallest task")
    task_bits_max: float = Field(2e6, gt=0, description="largest task")
    cycles_per_bit: float = Field(500.0, gt=0, description="work in a bit")

    time_weight: float = Field(0.5, gt=0, lt=1, description="beta_t; beta_e is the rest to 1")
    overload_penalty: float = Field(1.0, ge=0, description="cost of an overloaded server in a slot")

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
