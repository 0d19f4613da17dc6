"""A slot's service against searches over all powers."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.physics.device import MIN_GAIN_PER_W, Device, Service

DEVICE = Device(slot_s=1e-3, bandwidth_hz=1e6, kappa=1e-27, cycles_per_bit=500.0, local_max_w=2.0, offload_max_w=1.5)
CASES = 400


def random_service(seed: int, count: int = CASES) -> tuple[Service, np.ndarray, np.ndarray]:
    """Links from missing to excellent, green energy from none to plenty, prices of either sign; worths and buffers."""
    rng = np.random.default_rng(seed)
    gain = np.where(rng.random(count) < 0.1, 0.0, 10.0 ** rng.uniform(-3, 5, count))
    grid_price = 10.0 ** rng.uniform(-1, 2, count)
    share = rng.choice([-2.0, -0.3, 0.0, 0.1, 0.7, 1.0], count)
    green_j = np.where(rng.random(count) < 0.2, 0.0, rng.uniform(0, 5e-3, count))
    service = Service(DEVICE, gain, green_j, share * grid_price, grid_price)
    # From worthless to worth every effort; a bit takes some 1e-7 to 1e-5 J.
    value = np.where(rng.random(count) < 0.1, 0.0, grid_price * 10.0 ** rng.uniform(-9, -3, count))
    most_bits = rng.choice([0.0, 30.0, 1e3, 5e3, np.inf], count)
    return service, value, most_bits


def charge(
    service: Service, value: np.ndarray, most_bits: np.ndarray, local_w: np.ndarray, offload_w: np.ndarray
) -> np.ndarray:
    """``energy_cost - value * min(bits, most_bits)``, spelled out; a trailing axis of powers is allowed."""
    d, extra = service.device, (slice(None),) + (None,) * (local_w.ndim - 1)
    gain, green, value, most_bits = (a[extra] for a in (service.gain_per_w, service.green_j, value, most_bits))
    energy = d.slot_s * (local_w + offload_w)
    cost = np.where(
        energy <= green,
        service.green_price[extra] * energy,
        service.green_price[extra] * green + service.grid_price[extra] * (energy - green),
    )
    bits = d.slot_s * (local_w / d.kappa) ** (1 / 3) / d.cycles_per_bit
    bits = bits + d.slot_s * d.bandwidth_hz * np.log2(1 + gain * offload_w)
    return np.asarray(cost - value * np.minimum(bits, most_bits))


@pytest.mark.parametrize("seed", [0, 1])
def test_no_powers_on_a_fine_grid_beat_the_best(seed: int) -> None:
    service, value, most_bits = random_service(seed)
    local_w, offload_w = service.best(value, most_bits)
    assert ((local_w >= 0) & (local_w <= DEVICE.local_max_w)).all()
    assert ((offload_w >= 0) & (offload_w <= DEVICE.offload_max_w)).all()

    # Dense over the whole range, and denser around the answer, where a slight error would show.
    steps = np.concatenate([[0.0], np.geomspace(1e-8, 1.0, 120), np.linspace(0, 1, 80)])
    near = 1.0 + np.concatenate([-np.geomspace(1e-4, 0.5, 20), [0.0], np.geomspace(1e-4, 0.5, 20)])
    shape = (CASES, len(steps) + len(near))
    locals_w, offloads_w = np.empty(shape), np.empty(shape)
    for powers, most, found in ((locals_w, DEVICE.local_max_w, local_w), (offloads_w, DEVICE.offload_max_w, offload_w)):
        powers[:, : len(steps)] = steps * most
        powers[:, len(steps) :] = np.minimum(found[:, None] * near, most)
    least = np.full(CASES, np.inf)
    for column in range(shape[1]):
        some = charge(service, value, most_bits, np.repeat(locals_w[:, column, None], shape[1], axis=1), offloads_w)
        least = np.minimum(least, some.min(axis=1))
    reached = charge(service, value, most_bits, local_w, offload_w)
    scale = service.grid_price * DEVICE.slot_s
    excess = reached - least - 1e-9 * scale - 1e-9 * np.abs(least)
    assert (excess <= 0).all(), np.flatnonzero(excess > 0)


def test_the_best_is_what_a_convex_solver_finds() -> None:
    cp = pytest.importorskip("cvxpy")
    service, value, most_bits = random_service(7, count=40)
    reached = charge(service, value, most_bits, *service.best(value, most_bits))
    scale = service.grid_price * DEVICE.slot_s
    for i in range(40):
        local_w, offload_w = cp.Variable(nonneg=True), cp.Variable(nonneg=True)
        kbits = 1e-3 * DEVICE.local_bits(np.ones(())) * cp.power(local_w, 1 / 3)
        kbits += cp.log1p(service.gain_per_w[i] * offload_w) / np.log(2.0)
        served = cp.Variable(nonneg=True)
        spent, green = local_w + offload_w, service.green_j[i] / DEVICE.slot_s
        ratio = service.green_price[i] / service.grid_price[i]
        cost = ratio * spent + (1.0 - ratio) * cp.pos(spent - green) - 1e3 * value[i] / scale[i] * served
        limits = [local_w <= DEVICE.local_max_w, offload_w <= DEVICE.offload_max_w, served <= kbits]
        limits += [served <= most_bits[i] / 1e3] if np.isfinite(most_bits[i]) else []
        found = cp.Problem(cp.Minimize(cost), limits).solve(solver=cp.CLARABEL)
        assert reached[i] / scale[i] == pytest.approx(found, rel=1e-6, abs=1e-6), i


def test_efforts_serve_the_bits_and_use_the_energy_that_is_asked() -> None:
    service, _, _ = random_service(3)
    full = service.powers(service.full_effort)
    most_bits, most_j = service.bits(*full), service.energy_j(*full)
    for share in (1e-6, 1e-3, 0.1, 0.5, 0.999):
        bits = service.bits(*service.powers(service.effort_for_bits(share * most_bits)))
        np.testing.assert_allclose(bits, share * most_bits, rtol=1e-9)
        energy = service.energy_j(*service.powers(service.effort_for_energy(share * most_j)))
        np.testing.assert_allclose(energy, share * most_j, rtol=1e-9)
    np.testing.assert_array_equal(service.effort_for_bits(np.zeros(CASES)), 0.0)
    np.testing.assert_array_equal(service.effort_for_bits(2.0 * most_bits), service.full_effort)


def test_an_effort_is_the_marginal_energy_of_a_bit_both_ways() -> None:
    service = Service(DEVICE, np.array([2.0]), np.zeros(1), np.zeros(1), np.ones(1))
    effort = np.array([1.2e-6])
    local_w, offload_w = service.powers(effort)
    assert 0 < local_w[0] < DEVICE.local_max_w
    assert 0 < offload_w[0] < DEVICE.offload_max_w
    step = 1e-6
    for more in ((step, 0.0), (0.0, step)):
        up = service.bits(local_w + more[0], offload_w + more[1]) - service.bits(local_w - more[0], offload_w - more[1])
        assert DEVICE.slot_s * 2 * step / up == pytest.approx(effort, rel=1e-6)


def test_powers_and_bits_of_a_device_are_inverse() -> None:
    bits = np.array([0.0, 1.0, 700.0, 2500.0, 9000.0])
    np.testing.assert_allclose(DEVICE.local_bits(DEVICE.local_power(bits)), bits, rtol=1e-12)
    for gain in (1e-6, 0.3, 50.0):
        powers = DEVICE.offload_power(bits, np.full(5, gain))
        np.testing.assert_allclose(DEVICE.offload_bits(gain * powers), bits, rtol=1e-9)
    # 2 W is 1.26 GHz: 2.52 kbit in a slot; a gain of 3 per watt at 1 W is 2 bit/s/Hz.
    assert DEVICE.local_bits(np.array(2.0)) == pytest.approx(2520, rel=1e-3)
    assert DEVICE.offload_bits(np.array(3.0)) == pytest.approx(2000)


def test_a_missing_link_takes_infinite_power_and_gets_none() -> None:
    missing = np.array([0.0, MIN_GAIN_PER_W / 2])
    assert DEVICE.offload_power(np.array([5.0, 5.0]), missing).tolist() == [np.inf, np.inf]
    assert DEVICE.offload_power(np.array([0.0, 0.0]), missing).tolist() == [0.0, 0.0]
    assert np.isinf(DEVICE.offload_power(np.array(1e9), np.array(1.0)))
    service = Service(DEVICE, missing, np.zeros(2), np.zeros(2), np.ones(2))
    local_w, offload_w = service.best(np.full(2, 1.0), np.full(2, 1000.0))
    assert offload_w.tolist() == [0.0, 0.0]
    np.testing.assert_allclose(DEVICE.local_bits(local_w), 1000.0, rtol=1e-9)


def test_unused_green_energy_that_is_charged_is_used_up() -> None:
    green_j = np.array([0.0, 1e-3, 5e-3])  # the last is more than both powers can draw
    service = Service(DEVICE, np.full(3, 10.0), green_j, np.full(3, -4.0), np.full(3, 100.0))
    local_w, offload_w = service.best(np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(service.energy_j(local_w, offload_w), [0.0, 1e-3, 3.5e-3], rtol=1e-12, atol=1e-18)


def test_energy_costs_its_green_price_up_to_the_supply_and_the_grid_price_beyond() -> None:
    service = Service(DEVICE, np.ones(4), np.full(4, 2.0), np.array([-1.0, 0.0, 1.0, 5.0]), np.full(4, 5.0))
    assert service.energy_cost(np.full(4, 1.5)).tolist() == [-1.5, 0.0, 1.5, 7.5]
    assert service.energy_cost(np.full(4, 3.0)).tolist() == [3.0, 5.0, 7.0, 15.0]
    assert service.take(slice(1, 3)).green_price.tolist() == [0.0, 1.0]


def test_energy_from_a_grid_without_a_price_is_used_as_far_as_bits_have_value() -> None:
    device = Device(1e-3, 1e6, 1e-27, 500.0, 2.0, 2.0)
    service = Service(device, np.array([50.0, 50.0]), np.zeros(2), np.zeros(2), np.zeros(2))
    local_w, offload_w = service.best(np.array([1e-6, 0.0]))
    np.testing.assert_allclose(local_w, [2.0, 0.0])
    np.testing.assert_allclose(offload_w, [2.0, 0.0])
