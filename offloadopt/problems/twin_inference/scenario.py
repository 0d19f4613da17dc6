"""Scenario of `twin_inference`: parameters with units and sources, and presets.

Equation and table numbers are those of the paper named in `problem`. Values that the paper does not state:

====================  ===============================================================================================
what                  choice and reason
====================  ===============================================================================================
work                  1 to 4 images of 28 x 28 pixels, 8 bit a channel; a cycle does one FLOP
power, gain           1 to 2 W and 1e-11 to 2e-11, for kW and 1e-14: the same SNR, and joules that fit the CPUs'
noise                 1e-13 W over 150 kHz, as (1) has ``b N0``: with a noise power the rate would be linear in b
path loss             exponent 0: it is in the gain already; with any exponent the uplinks of Table 1 would not carry
CPU energy            kappa 1e-27, on servers 1e-28. With the same on both, offloading saves no energy, and pays only
                      for users with several tasks at once
llm-trace             requests as recorded, dealt to the users in turn; of one user at most four in a slot. Others are
                      left out, a third of what is recorded at hand, where requests come in bursts. A request takes ``2
                      x parameters x tokens`` FLOP (context and generated) and sends its context at ``bits_per_token``;
                      processors do 4,096 FLOP a cycle
====================  ===============================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from offloadopt.core import Scenario
from offloadopt.quantities import (
    Capacitance,
    Count,
    Deviation,
    Hertz,
    Joules,
    Metres,
    NoiseDensity,
    OptionalCapacitance,
    Parameters,
    PathLossExponent,
    PositiveWeight,
    PowerGain,
    Seconds,
    Share,
    Slots,
    Watts,
    Weight,
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
    """Parameters of the model; the table above explains what the paper does not state."""

    users: Count = Field(8, description="number of devices, each with an agent")
    servers: Count = Field(6, description="number of edge servers")
    horizon: Slots = Field(20, description="slots of an episode")
    layout_seed: int | None = Field(
        1, ge=0, description="seed of CPUs, powers, bands and distances; none draws them for each instance"
    )

    tasks_min: int = Field(1, ge=0, description="smallest number of tasks of a user in a slot")
    tasks_max: int = Field(4, ge=1, le=8, description="largest number of tasks of a user in a slot (places)")
    task_mix: tuple[str, ...] = Field(
        tuple(MEDMNIST),
        min_length=1,
        description="data sets of Table 2 from which tasks are drawn with equal probability",
    )
    images_min: Count = Field(1, description="smallest number of images of a task")
    images_max: Count = Field(4, description="largest number of images of a task")
    flop_per_cycle: float = Field(
        1.0, ge=1e-3, le=1e9, description="floating-point operations per cycle of every processor"
    )

    requests_file: Path | None = Field(
        None, description="CSV with columns TIMESTAMP, ContextTokens, GeneratedTokens: recorded tasks"
    )
    slot_s: Seconds = Field(5.0, description="length of a slot for recorded requests [s]")
    model_parameters: tuple[Parameters, ...] = Field(
        (0.5e9, 1.1e9), min_length=1, description="parameters of the language models to which requests go in turn"
    )
    bits_per_token: float = Field(32.0, ge=1e-3, le=1e9, description="bits sent per token of the context")

    user_hz: tuple[Hertz, Hertz] = Field((1e9, 2e9), description="smallest and largest CPU speed of a user [Hz]")
    power_w: tuple[Watts, Watts] = Field((1.0, 2.0), description="smallest and largest transmit power of a user [W]")
    server_hz: tuple[Hertz, Hertz] = Field((5e9, 10e9), description="smallest and largest CPU speed of a server [Hz]")
    bandwidth_hz: tuple[Hertz, Hertz] = Field(
        (100e3, 200e3), description="smallest and largest bandwidth of a server [Hz]"
    )
    distance_m: tuple[Metres, Metres] = Field(
        (200.0, 400.0), description="smallest and largest distance between user and server [m]"
    )
    gain: tuple[PowerGain, PowerGain] = Field(
        (1e-11, 2e-11), description="smallest and largest power gain of a link, drawn in each slot"
    )
    path_loss_exponent: PathLossExponent = Field(0.0, description="lambda, path loss exponent in addition to the gain")
    noise_w_per_hz: NoiseDensity = Field(1e-13 / 150e3, description="N0, noise power density [W/Hz]")

    kappa_user: Capacitance = Field(1e-27, description="effective capacitance of users' CPUs [W s^3]")
    kappa_server: OptionalCapacitance = Field(1e-28, description="effective capacitance of servers' CPUs [W s^3]")
    battery_j: Joules = Field(12.0, description="largest initial energy of a battery [J]")
    start_share: Share = Field(0.3, description="smallest initial energy of a battery, relative to battery_j")
    server_drains: bool = Field(
        False, description="whether a server's energy is drawn from the user's battery (C5 as printed)"
    )

    limit_s: Seconds = Field(1.0, description="T_max, time limit of every task [s]")
    time_weight: PositiveWeight = Field(0.5, description="mu_T, weight of time")
    energy_weight: Weight = Field(0.5, description="mu_E, weight of energy")
    failure_cost: PositiveWeight = Field(8.0, description="cost of a failed task")

    cpu_deviation: Deviation = Field(0.1, description="relative standard deviation of the twin's error in CPU speeds")
    bandwidth_deviation: Deviation = Field(
        0.1, description="relative standard deviation of the twin's error in bandwidths"
    )
    gain_deviation: Deviation = Field(0.1, description="relative standard deviation of the twin's error in gains")
    distance_deviation: Deviation = Field(
        0.1, description="relative standard deviation of the twin's error in distances"
    )
    twin_bias: float = Field(
        0.0, gt=-1, le=10, description="relative bias of the twin's CPU speeds, bandwidths, gains and distances"
    )

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
            if least > most:
                raise ValueError(f"{name} = {least:g} to {most:g}; allowed: the least first")
        for least, most in (("tasks_min", "tasks_max"), ("images_min", "images_max")):
            if getattr(self, least) > getattr(self, most):
                raise ValueError(f"{least} = {getattr(self, least)}; allowed: at most {most} = {getattr(self, most)}")
        unknown = [name for name in self.task_mix if name not in MEDMNIST]
        if unknown:
            raise ValueError(f"task_mix holds {unknown[0]!r}; allowed: {', '.join(MEDMNIST)}")
        return self
