"""Logarithms lie within their enclosures, by decimal arithmetic of more digits."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest

from offloadopt.certificates.logarithm import ONE, log1p


@pytest.mark.parametrize("x", [0.0, 1e-30, 1e-9, 0.3, 1.0 - 2**-53, 1.0, 2.999, 7.0, 1e12, 1e300])
def test_a_logarithm_is_enclosed_narrowly(x: float) -> None:
    low, high = log1p(Fraction(x))
    with localcontext() as context:
        context.prec = 400
        exact = (1 + Decimal(x)).ln()
        assert Decimal(low) / ONE <= exact <= Decimal(high) / ONE
    assert (high - low) / ONE < 1e-42
