"""Enclosures of logarithms, in integers: what lies below is below, what lies above is above.

Numbers are integers in units of ``2^-BITS``. ``ln(1 + x)`` is that of ``2^k m`` with ``1 <= m < 2``; ``ln m`` is twice
the series of the inverse hyperbolic tangent of ``(m - 1) / (m + 1)``, each term rounded down.
"""

from __future__ import annotations

from fractions import Fraction

BITS = 160
"""Binary digits after the point."""
ONE = 1 << BITS


def _twice_atanh(t: int) -> tuple[int, int]:
    """Enclose ``2 atanh(t)`` for ``0 <= t <= 1/3``, where ``t`` is rounded down by less than one unit."""
    square, power, total, divisor = t * t >> BITS, t, t, 1
    while power:
        power = power * square >> BITS
        divisor += 2
        total += power // divisor
    # Each of the (divisor + 1) / 2 terms, and each power before it, lost less than one unit; so did t, by a derivative
    # of at most 9/8; what comes after the last term is less than one unit.
    return 2 * total, 2 * (total + 2 * divisor + 8)


LN2 = _twice_atanh(ONE // 3)


def log1p(x: Fraction) -> tuple[int, int]:
    """Enclose ``ln(1 + x)`` for ``x >= 0``, in units of ``2^-BITS``."""
    return _ln(ONE + (x.numerator << BITS) // x.denominator)


def _ln(number: int) -> tuple[int, int]:
    """Enclose the logarithm of a number of at least one, which was rounded down by less than one unit."""
    doublings = number.bit_length() - 1 - BITS
    power = ONE << doublings
    low, high = _twice_atanh((number - power << BITS) // (number + power))
    return low + doublings * LN2[0], high + doublings * LN2[1] + 2
