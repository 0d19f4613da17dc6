"""Frequency scaling: the uniform speed is the cheapest, and a deadline's hurry costs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from offloadopt.physics.dvfs import Processor, execution_times

OPTERON = Processor.scaled((2.6e9, 2.4e9, 2.2e9, 2.0e9, 1.8e9, 1.0e9), (1.3, 1.25, 1.2, 1.15, 1.1, 1.05), 2, 95.0)
TURION = Processor.scaled((1.8e9, 1.6e9, 1.4e9, 1.2e9, 1.0e9, 0.8e9), (1.2, 1.15, 1.1, 1.05, 1.0, 0.9), 1, 25.0)


def cheapest_mix(cpu: Processor, cycles: float, seconds: float) -> tuple[float, np.ndarray]:
    """Least energy for so many cycles in exactly so much time, and how long each mode runs: a linear programme."""
    found = linprog(cpu.power_w, A_eq=[np.ones(len(cpu.power_w)), cpu.speed_hz / 1e9], b_eq=[seconds, cycles / 1e9])
    assert found.success
    return found.fun, found.x


def test_the_two_processors_have_the_powers_of_their_tables() -> None:
    np.testing.assert_allclose(TURION.power_w, [25.0, 20.4, 16.3, 12.8, 9.65, 6.25], rtol=5e-3)
    np.testing.assert_allclose(OPTERON.power_w, [95.0, 81.1, 68.5, 57.2, 47.1, 23.8], rtol=5e-3)
    np.testing.assert_allclose(TURION.speed_hz[[0, -1]], [1.8e9, 0.8e9])
    np.testing.assert_allclose(OPTERON.speed_hz[[0, -1]], [5.2e9, 2.0e9])  # both cores
    assert OPTERON.fastest.speed_hz.tolist() == [5.2e9]
    assert OPTERON.fastest.power_w.tolist() == [95.0]


@pytest.mark.parametrize("mode", range(6))
def test_at_a_deadline_the_uniform_speed_is_the_cheapest(mode: int) -> None:
    """Lorch and Smith, SIGMETRICS 2001, Opteron's modes: no mix that does the work in the same time takes less."""
    energy, mix = cheapest_mix(OPTERON, 3e9, 3e9 / OPTERON.speed_hz[mode])
    assert energy == pytest.approx(OPTERON.power_w[mode] * 3e9 / OPTERON.speed_hz[mode])
    assert mix[mode] == pytest.approx(mix.sum())


def test_a_voltage_that_falls_with_the_frequency_makes_the_uniform_speed_the_cheapest() -> None:
    """On a fine grid of frequencies with a voltage that is linear in them, power is strictly convex in speed."""
    frequency = np.linspace(2e9, 1e9, 41)
    cpu = Processor.scaled(frequency.tolist(), (0.6 + 0.35e-9 * frequency).tolist(), 1, 30.0)
    for mode in (4, 17, 33):
        seconds = 1e9 / frequency[mode]
        energy, mix = cheapest_mix(cpu, 1e9, seconds)
        assert energy == pytest.approx(cpu.power_w[mode] * seconds)
        assert mix[mode] == pytest.approx(seconds)
    # The table of the Turion has one dent: at 1 GHz a mix of the neighbours is cheaper, by little.
    energy, mix = cheapest_mix(TURION, 1e9, 1.0)
    assert 0.98 * TURION.power_w[4] < energy < TURION.power_w[4]
    assert mix[4] == 0


@pytest.mark.parametrize("slow", range(1, 6))
def test_hurrying_after_the_deadline_costs_more_than_the_uniform_speed_of_the_same_duration(slow: int) -> None:
    frequency = np.linspace(2.6e9, 1.0e9, 6)
    voltage = 0.8 + 0.2e-9 * frequency
    cpu = Processor.scaled(frequency.tolist(), voltage.tolist(), 1, 95.0)
    chosen_s, full_s = execution_times(3e9, cpu.speed_hz[slow], cpu.speed_hz[0], 0.7)
    assert min(chosen_s, full_s) > 0
    uniform = 3e9 / (chosen_s + full_s)
    uniform_w = 95.0 * (uniform * (0.8 + 0.2e-9 * uniform) ** 2) / (frequency[0] * voltage[0] ** 2)
    spent = chosen_s * cpu.power_w[slow] + full_s * cpu.power_w[0]
    assert spent > uniform_w * (chosen_s + full_s) * 1.001


@given(st.floats(1e6, 5e9), st.sampled_from(list(itertools.product(range(6), range(2)))), st.floats(-3.0, 6.0))
def test_the_two_pieces_are_what_a_fine_clock_counts(cycles: float, which: tuple[int, int], slack_s: float) -> None:
    mode, processor = which
    cpu = (TURION, OPTERON)[processor]
    chosen_s, full_s = execution_times(cycles, cpu.speed_hz[mode], cpu.speed_hz[0], slack_s)
    assert chosen_s * cpu.speed_hz[mode] + full_s * cpu.speed_hz[0] == pytest.approx(cycles, rel=1e-12)
    ticks = 20_000
    clock = (np.arange(ticks) + 0.5) * (cycles / cpu.speed_hz[-1] / ticks)  # the slowest mode's whole time
    speed = np.where(clock > slack_s, cpu.speed_hz[0], cpu.speed_hz[mode])
    done = np.cumsum(speed) * clock[0] * 2
    finish = clock[np.searchsorted(done, cycles * (1 - 1e-9)).clip(max=ticks - 1)]
    assert chosen_s + full_s == pytest.approx(finish, abs=4 * clock[0])
    if mode > 0 and full_s > 0:
        assert chosen_s == max(slack_s, 0.0)
    else:
        assert full_s == 0.0
