"""What is read off training curves, compared with values found by hand."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.reproduce.twin_inference import curves


def test_curves_are_read_as_by_hand() -> None:
    steps = np.arange(1, 21)
    np.testing.assert_allclose(curves.running_mean(steps), [1.0, *(n + 0.5 for n in range(1, 20))])
    falling = [200.0] * 5 + [100.0] * 15
    # The mean of two points is within 5 % of 100 from the second low one on.
    assert curves.settling_step(steps, falling) == 7.0
    assert curves.settling_step(steps, [100.0] * 20) == 1.0
    assert curves.settling_step(steps, -np.array(falling)) == 7.0
    back = [100.0] * 10 + [200.0] * 4 + [100.0] * 6
    assert curves.settling_step(steps, back) == 16.0
    assert curves.first_near(steps, back, 100.0) == 1.0
    assert curves.first_near(steps, falling, 96.0) == 6.0
    assert curves.first_near(steps, falling, 95.0) == 21.0  # never
    assert curves.roughness([2.0, 4.0, 2.0, 4.0]) == pytest.approx(2.0 / 3.0)
    assert curves.roughness([3.0, 3.0, 3.0]) == curves.roughness([3.0]) == 0.0
    told = [{"step": 6 * n, "sent": 10.0 * n, "delivered": 40.0 * max(0, n - 2)} for n in range(1, 5)]
    assert curves.bytes_per_slot(told, 3) == {"sent": 5.0, "delivered": 20.0}
    assert curves.exponent([3, 6, 12], [9.0, 36.0, 144.0]) == pytest.approx(2.0)
    assert curves.exponent([3, 6, 12], [6.0, 12.0, 24.0]) == pytest.approx(1.0)
