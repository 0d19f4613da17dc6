"""Sampling of `carbon_mimo` instances: moving users, fading, arrivals, harvested energy and the grid's carbon."""

from __future__ import annotations

import numpy as np

from offloadopt.core import FloatArray, Instances
from offloadopt.physics import channel, mimo, mobility
from offloadopt.problems.carbon_mimo.scenario import CarbonMimoScenario
from offloadopt.traces import energy

QUANTUM_J_PER_W = 0.1
"""Harvested energy comes in quanta of 0.1 W times the slot: 0.1 mJ in 1 ms."""


def sample_instances(scenario: CarbonMimoScenario, count: int, seed: int) -> Instances:
    """Sample ``count`` instances; the same seed gives the same bytes, and a longer sample extends a shorter one."""
    s = scenario
    # One stream per array, so that a longer sample begins with the shorter one.
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(8)]
    fading, error, paths, arrivals, harvest, clock, load, start = streams
    shape = (count, s.horizon, s.users)
    amplitude = np.sqrt(path_gains(s, count, paths) / 2.0)
    parts = np.empty((*shape, 2 * s.antennas))
    mimo.fill_rayleigh_fading(fading, parts, s.correlation, amplitude)
    arrays: dict[str, FloatArray] = {"channel": parts.reshape(*shape, s.antennas, 2)}
    if s.csi_error > 0:
        noise = error.standard_normal((*shape, s.antennas, 2))
        noise *= np.sqrt(s.csi_error) * amplitude[..., None, None]
        arrays["channel_error"] = noise
    minute = clock.uniform(0.0, energy.MINUTES, size=count)[:, None] + np.arange(s.horizon) * s.slot_s / 60.0
    arrays["arrival_bits"] = np.multiply(
        quantum_bits(s), arrivals.poisson(_mean_arrival_quanta(s, count, load), size=shape), dtype=np.float64
    )
    arrays["harvest_j"] = _harvested_energy(s, minute, harvest, shape)
    arrays["carbon_g_per_kwh"] = grid_carbon(s, minute)
    arrays["start_bits"] = start.uniform(0.0, s.start_bits, size=(count, s.users))
    return Instances(arrays)


def quantum_bits(scenario: CarbonMimoScenario) -> float:
    """Compute the unit of arrivals in bits."""
    return scenario.bandwidth_hz * scenario.slot_s


def path_gains(scenario: CarbonMimoScenario, count: int, rng: np.random.Generator) -> FloatArray:
    """Sample power gains ``[count, horizon, users]`` along the users' paths."""
    s = scenario
    if s.distance_m is not None:
        distance = np.broadcast_to(np.asarray(s.distance_m, dtype=np.float64), (count, s.horizon, s.users))
    else:
        distance = mobility.random_walk_distances(
            rng, (count, s.horizon, s.users), s.nearest_m, s.cell_m, s.speed_m_per_s * s.slot_s
        )
    return channel.path_gain(distance, s.reference_gain_db, s.path_loss_exponent)


def grid_carbon(scenario: CarbonMimoScenario, minute: FloatArray) -> FloatArray:
    """Compute the grid's carbon in g/kWh at minutes from midnight UTC, an array of the same shape."""
    s = scenario
    if s.carbon_by_hour is not None:
        return np.asarray(s.carbon_by_hour)[minute.astype(np.int64) // 60 % 24]
    fixed = s.carbon_g_per_kwh if s.country is None else energy.country_carbon_g_per_kwh(s.country)
    return np.full(minute.shape, fixed)


def _mean_arrival_quanta(s: CarbonMimoScenario, count: int, rng: np.random.Generator) -> FloatArray:
    """Sample mean arrivals in quanta, ``[count, 1, users or 1]``."""
    if s.arrival_quanta_to is None:
        return np.broadcast_to(np.asarray(s.arrival_quanta, dtype=np.float64), (count, 1, s.users))
    return np.asarray(rng.uniform(s.arrival_quanta, s.arrival_quanta_to, size=(count, 1, 1)))


def _harvested_energy(
    s: CarbonMimoScenario, minute: FloatArray, rng: np.random.Generator, shape: tuple[int, ...]
) -> FloatArray:
    """Sample the harvested energy in J of each user and slot."""
    if s.solar_place is None:
        quantum_j = QUANTUM_J_PER_W * s.slot_s
        return np.asarray(quantum_j * rng.poisson(s.harvest_w / QUANTUM_J_PER_W, size=shape))
    sun = energy.clear_sky_w_per_m2(*s.solar_place, s.solar_day)
    watt = s.panel_m2 * s.panel_efficiency * sun[minute.astype(np.int64) % energy.MINUTES]
    return np.broadcast_to((watt * s.slot_s)[..., None], shape).copy()
