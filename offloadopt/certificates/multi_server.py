"""Enclosures of what ``multi_server`` costs (Jiang et al. 2022, equations (1) to (11)), as fractions.

With ``y = ln(1 + x)``, ``x`` the signal-to-noise ratio, ``w_t`` and ``w_e`` the costs of a second and of a joule and
``a = w_e N0 B / h``, sending a task costs ``bits ln2 / B`` times

    f(y) = (w_t + a (e^y - 1)) / y,    0 < y <= ln(1 + x_max).

The tangent of the exponential at ``y0`` shows that ``f >= a (1 + x0)`` wherever ``x0`` is at most the stationary point:
``(1 + x0) ln(1 + x0) - x0 <= w_t / a``. Where that holds at ``x_max``, ``f`` falls up to there. So one logarithm
encloses the cost of the best power, which need not be known. A server with load ``L = sum sqrt(w_t cycles)`` costs
``L^2 / F`` (Cauchy-Schwarz).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from offloadopt.certificates.logarithm import LN2, ONE, log1p

ARRAYS = "gain", "task_bits", "task_cycles"
"""The arrays of an instance that the equations need."""
POSITIVE = (
    "bandwidth_hz",
    "noise_w_per_hz",
    "power_max_w",
    "cpu_local_hz",
    "cpu_server_hz",
    "cpu_exponent",
    "time_weight",
)
"""Fields of the scenario that must be positive."""
SHRINKINGS = (50, 47, 44, 40, 35, 30, 20, 10)
"""Binary digits of the relative distances from a rounded stationary point to one that is proved to lie below it."""


def _entropy(x: Fraction) -> Fraction:
    """Upper bound of ``(1 + x) ln(1 + x) - x``, which is at most ``x^2 / 2``."""
    return min((1 + x) * Fraction(log1p(x)[1], ONE) - x, x * x / 2)


def _stationary(ratio: float) -> float:
    """Rounded solution of ``(1 + x) ln(1 + x) - x = ratio``, by Newton's method from above."""
    x = math.sqrt(2.0 * ratio)
    for _ in range(60):
        if x < 0.1:
            value = sum((-1.0) ** n * x**n / (n * (n - 1)) for n in range(2, 20))
        else:
            value = (1.0 + x) * math.log1p(x) - x
        x -= (value - ratio) / math.log1p(x)
    return x


def link_cost(scenario: Mapping[str, Any], gain: float, bits: float, above: bool) -> Fraction | None:
    """Bound the least cost of sending a task over a link from below, or from ``above``; none where it has no gain."""
    if gain == 0.0:
        return None
    bandwidth, time_weight, energy_weight, most_w = (
        Fraction(scenario[name]) for name in ("bandwidth_hz", "time_weight", "energy_weight", "power_max_w")
    )
    per_watt = Fraction(gain) / (Fraction(scenario["noise_w_per_hz"]) * bandwidth)
    scale, most = Fraction(bits) / bandwidth, per_watt * most_w
    a = energy_weight / per_watt
    rising = energy_weight > 0 and _entropy(most) * a > time_weight
    x = most
    if rising:
        x = min(most, Fraction(_stationary(float(time_weight / a))))
        for digits in SHRINKINGS:
            if _entropy(x) * a <= time_weight:
                break
            x = x * (2**digits - 1) / 2**digits
        else:
            x = Fraction(0)
    if above:
        return scale * (time_weight + a * (x or most)) * Fraction(LN2[1], log1p(x or most)[0])
    if rising:
        return scale * a * (1 + x) * Fraction(LN2[0], ONE)
    return scale * (time_weight + a * most) * Fraction(LN2[0], log1p(most)[1])


def local_cost(scenario: Mapping[str, Any], cycles: float, above: bool) -> Fraction:
    """Bound the cost of a task on its own CPU, equations (6) and (7), from below, or from ``above``."""
    hertz, exponent = Fraction(scenario["cpu_local_hz"]), Fraction(scenario["cpu_exponent"])
    power = hertz**exponent.numerator if exponent.denominator == 1 else _power(hertz, exponent, above)
    watts = Fraction(scenario["kappa"]) * power
    weight = Fraction(scenario["time_weight"]) + Fraction(scenario["energy_weight"]) * watts
    return weight * Fraction(cycles) / hertz


def _power(base: Fraction, exponent: Fraction, above: bool) -> Fraction:
    """Bound ``base^exponent`` for ``base >= 1`` from below, or from ``above``: its logarithm is enclosed."""
    if base < 1:
        raise ValueError(f"a CPU of {float(base)} Hz has no enclosure; allowed: at least 1 Hz")
    rounded, low, high = Fraction(float(base) ** float(exponent)), *log1p(base - 1)
    for digits in SHRINKINGS:
        part = Fraction(1, 2**digits)
        trial = rounded * (1 + part if above else 1 - part)
        below, over = log1p(trial - 1)
        if below >= high * exponent if above else over <= low * exponent:
            return trial
    raise ValueError(f"{float(base)} ** {float(exponent)} could not be enclosed")


def _require_physical(scenario: Mapping[str, Any], instance: Mapping[str, Any]) -> None:
    """Refuse numbers for which the argument does not hold."""
    for name in POSITIVE:
        if not scenario[name] > 0:
            raise ValueError(f"{name} is not positive")
    for name in ("energy_weight", "kappa"):
        if not scenario[name] >= 0:
            raise ValueError(f"{name} is negative")
    numbers = *instance["task_bits"], *instance["task_cycles"], *(gain for gains in instance["gain"] for gain in gains)
    if not all(number >= 0 for number in numbers):
        raise ValueError("a gain or a task's size is negative")


def table(
    scenario: Mapping[str, Any], instance: Mapping[str, Any]
) -> tuple[list[list[Fraction | None]], list[Fraction], list[Fraction]]:
    """Lower bounds of option costs ``[tasks][servers + 1]``, squared loads ``[tasks]``, and servers' speeds."""
    _require_physical(scenario, instance)
    costs, squared_loads = list[list[Fraction | None]](), list[Fraction]()
    for gains, bits, cycles in zip(instance["gain"], instance["task_bits"], instance["task_cycles"], strict=True):
        if len(gains) != scenario["servers"]:
            raise ValueError("gains of another number of servers")
        links = [link_cost(scenario, gain, bits, False) for gain in gains]
        costs.append([local_cost(scenario, cycles, False), *links])
        squared_loads.append(Fraction(scenario["time_weight"]) * Fraction(cycles))  # its cost alone at 1 Hz
    return costs, squared_loads, [Fraction(scenario["cpu_server_hz"])] * scenario["servers"]


def chosen_costs(
    scenario: Mapping[str, Any], instance: Mapping[str, Any], assignment: list[int]
) -> list[Fraction | None]:
    """Upper bounds of the costs of the options that an assignment takes."""
    return [
        link_cost(scenario, gains[option - 1], bits, True) if option else local_cost(scenario, cycles, True)
        for option, gains, bits, cycles in zip(
            assignment, instance["gain"], instance["task_bits"], instance["task_cycles"], strict=True
        )
    ]
