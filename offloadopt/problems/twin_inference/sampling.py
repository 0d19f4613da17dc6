"""Sampling of `twin_inference` instances: tasks from tables or recorded requests, links, layouts, the twin's errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray
from offloadopt.errors import InvalidInput
from offloadopt.problems.twin_inference.scenario import MEDMNIST, TwinInferenceScenario
from offloadopt.traces.requests import Requests, read_requests

IMAGE_BITS = 28 * 28 * 8
"""Bits of an image per channel."""
MIN_TWIN_FACTOR = 0.1
"""Smallest ratio of a quantity known to the twin to the real one."""


def recorded_requests(scenario: TwinInferenceScenario) -> Requests | None:
    """Read the scenario's recorded requests, if tasks come from a file.

    Raises
    ------
    DamagedFile
        If the file cannot be read.
    InvalidInput
        If it is shorter than an episode.
    """
    s = scenario
    if s.requests_file is None:
        return None
    requests = read_requests(s.requests_file)
    if requests.second[-1] < s.horizon * s.slot_s:
        raise InvalidInput(
            f"{s.requests_file} lasts {requests.second[-1]:g} s; allowed: at least horizon x slot_s = "
            f"{s.horizon * s.slot_s:g} s"
        )
    return requests


def mean_cycles(scenario: TwinInferenceScenario, requests: Requests | None) -> float:
    """Compute the CPU cycles of an average task."""
    s = scenario
    if requests is not None:
        tokens = float(np.mean(requests.context + requests.generated))
        return 2.0 * float(np.mean(s.model_parameters)) * tokens / s.flop_per_cycle
    flop = float(np.mean([MEDMNIST[name][0] for name in s.task_mix]))
    return flop * 0.5 * (s.images_min + s.images_max) / s.flop_per_cycle


def mean_bits(scenario: TwinInferenceScenario, requests: Requests | None) -> float:
    """Compute the bits of an average task."""
    s = scenario
    if requests is not None:
        return s.bits_per_token * float(np.mean(requests.context))
    channels = float(np.mean([MEDMNIST[name][1] for name in s.task_mix]))
    return IMAGE_BITS * channels * 0.5 * (s.images_min + s.images_max)


def sample_arrays(
    scenario: TwinInferenceScenario, requests: Requests | None, count: int, seed: int
) -> dict[str, NDArray[Any]]:
    """Sample the arrays of ``count`` instances, those per slot with a slot axis also where there is one slot."""
    s = scenario
    # One stream per array, so that a longer sample begins with the shorter one.
    seeds = np.random.SeedSequence(seed).spawn(5)
    gain, layout, start = (np.random.default_rng(child) for child in seeds[1:4])
    shape = (count, s.horizon, s.users, s.tasks_max)
    arrays: dict[str, NDArray[Any]] = (
        _tasks_of_tables(s, shape, seeds[0])
        if requests is None
        else _tasks_of_requests(s, shape, np.random.default_rng(seeds[0]), requests)
    )
    arrays["gain"] = gain.uniform(*s.gain, size=(count, s.horizon, s.users, s.servers))
    if s.layout_seed is None:
        arrays |= _layouts(s, count, layout)
    else:
        fixed = _layouts(s, 1, np.random.default_rng(s.layout_seed))
        arrays |= {name: np.repeat(values, count, axis=0) for name, values in fixed.items()}
    arrays["start_j"] = s.battery_j * start.uniform(s.start_share, 1.0, size=(count, s.users))
    deviations = {
        "user_hz": s.cpu_deviation,
        "server_hz": s.cpu_deviation,
        "bandwidth_hz": s.bandwidth_deviation,
        "gain": s.gain_deviation,
        "distance_m": s.distance_deviation,
    }
    for (name, deviation), child in zip(deviations.items(), seeds[4].spawn(len(deviations)), strict=True):
        normal = np.random.default_rng(child).standard_normal(arrays[name].shape)
        factor = np.maximum(1.0 + s.twin_bias + deviation * normal, MIN_TWIN_FACTOR)  # (4), (5)
        arrays[f"twin_{name}"] = factor * arrays[name]
    return arrays


def _layouts(s: TwinInferenceScenario, layouts: int, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Sample layouts: the quantities of Table 1 that differ between users and servers and are constant in time."""
    shapes = {
        "user_hz": (s.users,),
        "power_w": (s.users,),
        "server_hz": (s.servers,),
        "bandwidth_hz": (s.servers,),
        "distance_m": (s.users, s.servers),
    }
    ranges: dict[str, tuple[float, float]] = {name: getattr(s, name) for name in shapes}
    streams = rng.spawn(len(shapes))
    return {
        name: stream.uniform(*ranges[name], size=(layouts, *shape))
        for (name, shape), stream in zip(shapes.items(), streams, strict=True)
    }


def _tasks_of_tables(
    s: TwinInferenceScenario, shape: tuple[int, ...], seed: np.random.SeedSequence
) -> dict[str, NDArray[Any]]:
    """Sample ``present``, ``bits`` and ``cycles [count, horizon, users, places]`` from Table 2."""
    number, mix, images = (np.random.default_rng(child) for child in seed.spawn(3))
    numbers = number.integers(s.tasks_min, s.tasks_max, size=shape[:-1], endpoint=True)
    kind = mix.integers(len(s.task_mix), size=shape)
    batch = images.integers(s.images_min, s.images_max, size=shape, endpoint=True)
    flop, channels = np.array([MEDMNIST[name] for name in s.task_mix]).T
    return {
        "present": (np.arange(s.tasks_max) < numbers[..., None]).astype(np.int64),
        "bits": IMAGE_BITS * channels[kind] * batch,
        "cycles": flop[kind] * batch / s.flop_per_cycle,
    }


def _tasks_of_requests(
    s: TwinInferenceScenario, shape: tuple[int, ...], rng: np.random.Generator, requests: Requests
) -> dict[str, NDArray[Any]]:
    """Cut windows with random beginnings out of the recorded requests."""
    count = shape[0]
    begin = rng.uniform(0.0, requests.second[-1] - s.horizon * s.slot_s, size=count)
    first, last = (np.searchsorted(requests.second, begin + t) for t in (0.0, s.horizon * s.slot_s))
    lengths = last - first
    row = np.repeat(np.arange(count), lengths)
    number = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[row]
    slot = np.minimum((requests.second[number] - begin[row]) // s.slot_s, s.horizon - 1).astype(np.int64)
    cell = (row * s.horizon + slot) * s.users + number % s.users
    order = np.argsort(cell, kind="stable")
    cell, number = cell[order], number[order]
    place = np.arange(len(cell)) - np.searchsorted(cell, cell)
    kept = place < s.tasks_max
    at = cell[kept] * s.tasks_max + place[kept]
    number = number[kept]
    parameters = np.asarray(s.model_parameters)[number % len(s.model_parameters)]
    tokens = requests.context[number] + requests.generated[number]
    present, size = np.zeros(shape, dtype=np.int64), int(np.prod(shape))
    bits, cycles = np.full(size, mean_bits(s, requests)), np.full(size, mean_cycles(s, requests))
    present.reshape(-1)[at] = 1
    bits[at] = s.bits_per_token * requests.context[number]
    cycles[at] = 2.0 * parameters * tokens / s.flop_per_cycle
    return {"present": present, "bits": bits.reshape(shape), "cycles": cycles.reshape(shape)}
