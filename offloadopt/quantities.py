"""Physical quantities with unit and limits, as types of scenario fields and of instance arrays.

The limits are far outside of every device, network and language model that is built, and of the papers' normalised
units (bits and cycles that come as pure numbers). They are narrow enough that products of a few quantities stay finite
in float64. A field has the limits of its type: a second limit of the same kind would replace it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, Field


@dataclass(frozen=True)
class Unit:
    """SI unit of a quantity, ``"1"`` for a pure number."""

    name: str


def _zero_or(least: float) -> AfterValidator:
    """Allow 0, for what is not there, and otherwise nothing below ``least``."""

    def check(value: float) -> float:
        if 0 < value < least:
            raise ValueError(f"0, or at least {least:g}")
        return value

    return AfterValidator(check)


Metres = Annotated[float, Field(ge=1e-3, le=1e8), Unit("m")]
"""Length: from a millimetre to beyond every satellite's orbit."""
Coordinate = Annotated[float, Field(ge=-1e8, le=1e8), Unit("m")]
Speed = Annotated[float, Field(ge=0, le=1e5), Unit("m/s")]
"""Up to ten times that of a satellite in low orbit."""
SquareMetres = Annotated[float, Field(ge=1e-6, le=1e6), Unit("m2")]
Seconds = Annotated[float, Field(ge=1e-9, le=31_557_600), Unit("s")]
"""From a nanosecond to a year."""
Hertz = Annotated[float, Field(ge=1e-3, le=1e18), Unit("Hz")]
"""Clock frequencies, bandwidths, and operations a second of a whole computing centre."""
Watts = Annotated[float, Field(ge=1e-12, le=1e6), Unit("W")]
NoiseWatts = Annotated[float, Field(ge=1e-25, le=1e3), Unit("W")]
NoiseDensity = Annotated[float, Field(ge=1e-28, le=1), Unit("W/Hz")]
"""Thermal noise is 4e-21 W/Hz."""
Joules = Annotated[float, Field(ge=1e-9, le=1e12), Unit("J")]
OptionalJoules = Annotated[float, Field(ge=0, le=1e12), _zero_or(1e-9), Unit("J")]
OptionalWatts = Annotated[float, Field(ge=0, le=1e4), _zero_or(1e-9), Unit("W")]
Volts = Annotated[float, Field(ge=1e-3, le=1e3), Unit("V")]
Bits = Annotated[float, Field(ge=1e-3, le=1e15), Unit("bit")]
OptionalBits = Annotated[float, Field(ge=0, le=1e15), _zero_or(1e-3), Unit("bit")]
Cycles = Annotated[float, Field(ge=1e-3, le=1e18), Unit("cycle")]
CyclesPerBit = Annotated[float, Field(ge=1e-6, le=1e12), Unit("cycle/bit")]
Capacitance = Annotated[float, Field(ge=1e-50, le=1), Unit("W s^3")]
"""Effective capacitance ``kappa`` of a CPU with the power ``kappa f^3``."""
OptionalCapacitance = Annotated[float, Field(ge=0, le=1), _zero_or(1e-50), Unit("W s^3")]
CarbonIntensity = Annotated[float, Field(ge=1e-3, le=1e5), Unit("g/kWh")]
Parameters = Annotated[float, Field(ge=1, le=1e15), Unit("1")]
"""Parameters of a language model."""
Decibels = Annotated[float, Field(ge=-200, le=0), Unit("dB")]
"""Power gain of a passive link."""
PathLossExponent = Annotated[float, Field(ge=0, lt=10), Unit("1")]
Amplitude = Annotated[float, Field(ge=-100, le=100), Unit("1")]
"""Real or imaginary part of the amplitude gain of a link."""
PowerGain = Annotated[float, Field(ge=1e-30, le=1e3), Unit("1")]
"""Power gain of a link with its antennas and its fading."""
Share = Annotated[float, Field(ge=0, le=1), Unit("1")]
Deviation = Annotated[float, Field(ge=0, le=10), Unit("1")]
"""Relative standard deviation."""
Weight = Annotated[float, Field(ge=0, le=1e9), _zero_or(1e-9), Unit("1")]
"""Price of something in the objective; 0 leaves it out."""
PositiveWeight = Annotated[float, Field(ge=1e-9, le=1e9), Unit("1")]
Count = Annotated[int, Field(ge=1, le=10**6), Unit("1")]
"""Users, servers, antennas: what fits in memory is estimated for each instance (`offloadopt.memory`)."""
Slots = Annotated[int, Field(ge=1, le=10**7), Unit("1")]
SeveralSlots = Annotated[int, Field(ge=2, le=10**7), Unit("1")]
Latitude = Annotated[float, Field(ge=-90, le=90), Unit("degree")]
Longitude = Annotated[float, Field(ge=-180, le=180), Unit("degree")]

# Options of solvers and learners. Their lower limits stand with the fields.
Layer = Annotated[int, Field(ge=1, le=65_536), Unit("1")]
"""Neurons of a layer."""
Width = Annotated[int, Field(le=65_536), Unit("1")]
"""Nodes of a grid, levels, channels: arrays have the product of two of them."""
Size = Annotated[int, Field(le=10**8), Unit("1")]
"""Entries of a batch, a population, a memory."""
Rounds = Annotated[int, Field(le=10**12), Unit("1")]
"""Steps, generations, passes: they take time and no memory."""
Rate = Annotated[float, Field(le=100), Unit("1")]
"""Step size of an optimiser."""
Factor = Annotated[float, Field(le=1e9), Unit("1")]
Tradeoff = Annotated[float, Field(ge=1e-24, le=1e24), Unit("1")]
"""Lyapunov's ``V``, whose scale is that of backlogs over costs."""


def unit(quantity: Any) -> str:
    """Return the unit of a quantity's type, or of the parts of a tuple or union; ``"1"`` where none is given."""
    parts = get_args(quantity)
    own = [mark.name for mark in parts if isinstance(mark, Unit)]
    return own[0] if own else next((found for part in parts if (found := unit(part)) != "1"), "1")


def limits(quantity: Any) -> tuple[float, float]:
    """Return the inclusive limits of a quantity's type, ``-inf`` and ``inf`` where there are none."""
    low, high = float("-inf"), float("inf")
    for mark in get_args(quantity)[1:]:
        for bound in getattr(mark, "metadata", ()):
            if isinstance(bound, Ge | Gt):
                low = float(getattr(bound, "ge", getattr(bound, "gt", low)))
            if isinstance(bound, Le | Lt):
                high = float(getattr(bound, "le", getattr(bound, "lt", high)))
    return low, high
