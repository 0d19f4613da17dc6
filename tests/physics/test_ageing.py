"""Millner's law against its integrals, taken numerically."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offloadopt.physics.ageing import Ageing

AGEING = Ageing(3.66e-5, 0.717, 0.916)


def integrated(start: float, used: list[float], seconds: list[float], *, steps: bool) -> float:
    """The law with the mean and the deviation of a level that is sampled on a fine clock.

    The level is each piece's mean (``steps``), or falls linearly within the pieces, as in Millner's own integral.
    """
    samples, levels, weights, level = 4000, [], [], start
    for share, duration in zip(used, seconds, strict=True):
        fall = np.full(samples, 0.5) if steps else (np.arange(samples) + 0.5) / samples
        levels.append(level - share * fall)
        weights.append(np.full(samples, duration / samples))
        level -= share
    curve, weight = np.concatenate(levels), np.concatenate(weights)
    mean = np.average(curve, weights=weight)
    deviation = 2 * np.sqrt(3 * np.average((curve - mean) ** 2, weights=weight))
    cycles = (start - level) / 2
    return float(3.66e-5 * cycles * np.exp((deviation - 1) / 0.717) * np.exp(4 * 0.916 * (mean - 0.5)))


PIECES = st.lists(st.tuples(st.floats(0.0, 0.2), st.floats(1e-3, 10.0)), min_size=1, max_size=5)


@given(PIECES, st.floats(0.0, 1.0))
def test_damage_is_the_law_with_every_piece_at_its_mean(pieces: list[tuple[float, float]], charge: float) -> None:
    used, seconds = [share for share, _ in pieces], [duration for _, duration in pieces]
    start = max(charge, sum(used))
    damage = AGEING.damage(np.array(start), np.array(used), np.array(seconds))
    assert damage == pytest.approx(integrated(start, used, seconds, steps=True), rel=1e-9, abs=1e-18)


def test_damage_of_fine_pieces_is_millner_s_integral_over_a_falling_level() -> None:
    used, seconds = [0.3, 0.0, 0.25], [4.0, 3.0, 1.0]
    wanted = integrated(0.9, used, seconds, steps=False)
    errors = []
    for cuts in (1, 10, 100):
        fine_used, fine_seconds = np.repeat(used, cuts) / cuts, np.repeat(seconds, cuts) / cuts
        errors.append(abs(AGEING.damage(np.array(0.9), fine_used, fine_seconds) / wanted - 1))
    assert errors[0] > 0.01
    assert errors[1] < errors[0] / 50
    assert errors[2] < 1e-5


def test_a_full_swing_has_deviation_one() -> None:
    """Millner's scale: the level that falls from full to empty counts as 1, half a cycle at the mean level."""
    used = np.full(1000, 1e-3)
    assert AGEING.damage(np.array(1.0), used, np.ones(1000)) == pytest.approx(3.66e-5 / 2, rel=1e-5)


def test_full_batteries_age_more_and_waiting_batteries_only_by_use() -> None:
    start = np.array([0.3, 0.6, 0.9])
    damage = AGEING.damage(start, np.full((3, 1), 0.01), np.ones((3, 1)))
    np.testing.assert_allclose(damage[1:] / damage[:-1], np.exp(4 * 0.916 * 0.3), rtol=1e-12)
    assert AGEING.damage(np.array(0.9), np.zeros(2), np.array([5.0, 1.0])) == 0.0
    assert AGEING.damage(np.array(0.9), np.zeros(2), np.zeros(2)) == 0.0  # nothing that lasts no time
