"""Scenario of `twin_inference`: parameters with units and sources, and presets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from offloadopt.core import (
    Scenario,
)

MEDMNIST: Mapping[str, tuple[float, int]] = {
    "PneumoniaMNIST": (40.37e6, 1),
    "BreastMNIST": (40.89e6, 1),
    "OCTMNIST": (31.98e6, 1),
    "OrganMNIST-Axial": (31.99e6, 1),
    "OrganMNIST-Coronal": (148.87e6, 1),
    "OrganMNIST-Sagittal": (231.31e6, 1),
    "BloodMNIST": (150.96e6, 3),
    "DermaMNIST": (30.38e6, 3),
    "TissueMNIST": (148.86e6, 1),
    "PathMNIST": (385.29e6, 3),
    "ChestMNIST": (245.06e6, 1),
    "RetinaMNIST": (244.81e6, 3),
}
"""Table 2: FLOPs of the model for one image, and the image's channels."""


class TwinInferenceScenario(Scenario):
    """Parameters of the model; see the module's table for what the paper does not state."""

    users: int = Field(8, ge=1, description="devices, each with an agent")
    servers: int = Field(6, ge=1, description="servers")
    horizon: int = Field(20, ge=1, description="slots of an episode")
    layout_seed: int | None = Field(1, ge=0, description="seed of CPUs, powers, bands, distances; none: per instance")

    tasks_min: int = Field(1, ge=0, description="fewest tasks of a user in a slot")
    tasks_max: int = Field(4, ge=1, le=8, description="most tasks of a user in a slot: places")
    task_mix: tuple[str, ...] = Field(tuple(MEDMNIST), min_length=1, description="data sets of Table 2, equally likely")
    images_min: int = Field(1, ge=1, description="fewest images of a task")
    images_max: int = Field(4, ge=1, description="most images of a task")
    flop_per_cycle: float = Field(1.0, gt=0, description="of every processor")

    requests_file: Path | None = Field(
        None, description="CSV with TIMESTAMP, ContextTokens, GeneratedTokens: the tasks"
    )
    slot_s: float = Field(5.0, gt=0, description="length of a slot for recorded requests")
    model_parameters: tuple[float, ...] = Field(
        (0.5e9, 1.1e9), min_length=1, description="of the models asked, in turn"
    )
    bits_per_token: float = Field(32.0, gt=0, description="that are sent, of the context")

    user_hz: tuple[float, float] = Field((1e9, 2e9), description="users' CPUs, least and most")
    power_w: tuple[float, float] = Field((1.0, 2.0), description="users' transmit powers")
    server_hz: tuple[float, float] = Field((5e9, 10e9), description="servers' CPUs")
    bandwidth_hz: tuple[float, float] = Field((100e3, 200e3), description="servers' bands")
    distance_m: tuple[float, float] = Field((200.0, 400.0), description="of users from servers")
    gain: tuple[float, float] = Field((1e-11, 2e-11), description="of links, slot by slot")
    path_loss_exponent: float = Field(0.0, ge=0, description="lambda, of distance, beyond what is in the gain")
    noise_w_per_hz: float = Field(1e-13 / 150e3, gt=0, description="N0")

    kappa_user: float = Field(1e-27, gt=0, description="of users' CPUs, W s^3")
    kappa_server: float = Field(1e-28, ge=0, description="of servers' CPUs, W s^3")
    battery_j: float = Field(12.0, gt=0, description="most that a battery holds at first")
    start_share: float = Field(0.3, ge=0, le=1, description="least that it holds at first, as a share")
    server_drains: bool = Field(False, description="whether a server's energy drains the user's battery, C5 literally")

    limit_s: float = Field(1.0, gt=0, description="T_max, of every task")
    time_weight: float = Field(0.5, gt=0, description="mu_T")
    energy_weight: float = Field(0.5, ge=0, description="mu_E")
    failure_cost: float = Field(8.0, gt=0, description="of a task that is not begun")

    cpu_deviation: float = Field(0.1, ge=0, description="of what the twin knows of CPUs, relative")
    bandwidth_deviation: float = Field(0.1, ge=0, description="of bands")
    gain_deviation: float = Field(0.1, ge=0, description="of gains")
    distance_deviation: float = Field(0.1, ge=0, description="of distances")
    twin_bias: float = Field(0.0, gt=-1, description="relative, of all four")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "paper-literal": {
            "power_w": (1e3, 2e3),
            "gain": (1e-14, 2e-14),
            "kappa_server": 1e-27,
            "server_drains": True,
        },
        # Small language models on processors of 4 to 40 TFLOP/s; recorded is a service for writing code.
        "llm-trace": {
            "flop_per_cycle": 4096.0,
            "limit_s": 5.0,
            "battery_j": 100.0,
        },
    }
    preset_needs: ClassVar[Mapping[str, tuple[str, ...]]] = {"llm-trace": ("requests_file",)}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("user_hz", "power_w", "server_hz", "bandwidth_hz", "distance_m", "gain"):
            least, most = getattr(self, name)
            if not 0 < least <= most:
                raise ValueError(f"{name} = {least:g} to {most:g}; allowed: positive, the least first")
        for least, most in (("tasks_min", "tasks_max"), ("images_min", "images_max")):
            if getattr(self, least) > getattr(self, most):
                raise ValueError(f"{least} = {getattr(self, least)}; allowed: at most {most} = {getattr(self, most)}")
        unknown = [name for name in self.task_mix if name not in MEDMNIST]
        if unknown:
            raise ValueError(f"task_mix holds {unknown[0]!r}; allowed: {', '.join(MEDMNIST)}")
        if min(self.model_parameters) <= 0:
            raise ValueError(f"model_parameters holds {min(self.model_parameters):g}; allowed: positive numbers")
        return self
