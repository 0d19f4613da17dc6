"""Small random cases of all problems: a scenario and one instance, within the limits of their quantities.

Sizes are tiny. Quantities are ordinary, far from ordinary, or at their limits; other units give the same costs; users
are equal, numbers are round or 0.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
from pydantic.fields import FieldInfo

from fuzz.values import limits_of
from offloadopt import registry
from offloadopt.core import ArrayField, Instances, Problem
from offloadopt.errors import InvalidInput

PLACES = ((200.0, 200.0), (100.0, 100.0), (200.0, 200.0))
"""Servers of `partial_mobile`, two of which stand at the same place."""
MODES = (
    {"mobile_hz": (1e9,), "mobile_v": (1.0,), "edge_hz": (2e9,), "edge_v": (1.1,)},
    {"mobile_hz": (1.8e9, 0.8e9), "mobile_v": (1.2, 0.9), "edge_hz": (2.6e9, 1.0e9), "edge_v": (1.3, 1.05)},
    {"mobile_hz": (1.8e9, 0.8e9), "mobile_v": (0.9, 1.2), "edge_hz": (1.8e9, 0.8e9), "edge_v": (0.9, 1.2)},
)
"""CPU modes of `battery_d2d`: one, two, and two of which the slower has the higher voltage."""
FIXED = ("load", "layout_seed", "solar_place", "solar_day", "carbon_by_hour", "country", "distance_m", "task_mix")
"""Fields that stay as they are, besides sizes and files."""
UNITS: Mapping[str, Sequence[Mapping[str, float]]] = {
    "multi_server": (
        {"bandwidth_hz": 1, "noise_w_per_hz": -1, "task_bits": 1},
        {"cpu_local_hz": 1, "cpu_server_hz": 1, "task_cycles": 1, "kappa": -3},
    ),
    "carbon_mimo": (
        {"bandwidth_hz": 1, "buffer_bits": 1, "start_bits": 1, "cycles_per_bit": -1},
        {"cycles_per_bit": 1, "kappa": -3},
    ),
    "partial_mobile": (
        {"bandwidth_hz": 1, "task_bits_min": 1, "task_bits_max": 1, "cycles_per_bit": -1},
        {"cycles_per_bit": 1, "cpu_local_hz": 1, "cpu_server_hz": 1, "kappa_local": -3, "kappa_server": -3},
    ),
    "battery_d2d": ({"bandwidth_hz": 1, "bits_min": 1, "bits_max": 1},),
    "twin_inference": ({"bandwidth_hz": 1, "noise_w_per_hz": -1, "bits_per_token": 1},),
}
"""Exponents of the fields by which another unit of bits or cycles changes them."""


@dataclass(frozen=True)
class Case:
    """A scenario and one instance, as JSON has them.

    Attributes
    ----------
    problem : str
    scenario : mapping
        Fields that differ from the first preset.
    instance : mapping of str to nested lists
        The arrays without the instance axis.
    methods : sequence of str
        Names of solvers that are run; all that serve the problem if there are none.
    """

    problem: str
    scenario: Mapping[str, Any]
    instance: Mapping[str, Any]
    methods: Sequence[str] = ()

    def made(self) -> tuple[Problem[Any], Instances]:
        """Make the problem and the instance, or refuse them as a user's own."""
        problem = registry.problem(self.problem, **self.scenario)
        return problem, problem.check_instances({name: [values] for name, values in self.instance.items()})

    @property
    def content(self) -> dict[str, Any]:
        """What a file of the case holds."""
        return {name: getattr(self, name) for name in ("problem", "scenario", "instance", "methods")}

    @classmethod
    def read(cls, file: Path | str) -> Self:
        """Read the file of a case."""
        return cls(**json.loads(Path(file).read_text(encoding="utf-8")))


def random_case(rng: random.Random, name: str) -> Case:
    """Draw a scenario, sample an instance of it, and change that, until the case is not refused."""
    while True:
        try:
            case = _drawn(rng, name)
            case.made()
        except InvalidInput:
            continue
        return case


def _drawn(rng: random.Random, name: str) -> Case:
    scenario = _scenario(rng, name)
    problem = registry.problem(name, **scenario)
    arrays = {each: values[0] for each, values in problem.sample(1, rng.randrange(10**6)).items()}
    change = rng.choice((None, None, _equal_users, _equal_users, _rounded, _with_zeros, _with_extremes))
    if change is not None:
        own = np.random.default_rng(rng.randrange(2**32))
        for each in rng.sample(sorted(arrays), rng.randint(1, len(arrays))):
            arrays[each] = change(problem.instance_fields[each], arrays[each], own, problem.horizon)
    return Case(name, scenario, {each: values.tolist() for each, values in arrays.items()})


# ----------------------------------------------------------------------------------------------------------- scenario


def _sizes(rng: random.Random, name: str) -> dict[str, Any]:
    """Sizes so small that all decisions, or all discrete ones, can be enumerated."""
    few = {"users": rng.randint(1, 3)}
    if name == "multi_server":
        return {"users": rng.randint(1, 5), "servers": rng.randint(1, 3), "layout_seed": None}
    if name == "carbon_mimo":
        return {**few, "antennas": rng.randint(1, 4), "horizon": rng.randint(2, 4)}
    if name == "partial_mobile":
        return {"users": rng.randint(1, 4), "sites_m": PLACES[: rng.randint(1, 3)], "horizon": rng.randint(1, 2)}
    if name == "battery_d2d":
        return {**few, "servers": rng.randint(1, 2), "horizon": rng.randint(2, 3), **rng.choice(MODES)}
    sizes = {**few, "servers": rng.randint(1, 2), "tasks_min": rng.randint(0, 1), "tasks_max": rng.randint(1, 2)}
    return {**sizes, "horizon": rng.choice((1, 1, 2, 3)), "layout_seed": None}


def _scenario(rng: random.Random, name: str) -> dict[str, Any]:
    """Draw one that is not refused."""
    kind = registry.get("problems", name).scenario_type
    while True:
        presets = [preset for preset in kind.presets if preset not in (*kind.preset_needs, "solar")]
        changes = {**kind.presets[rng.choice(presets)], **_sizes(rng, name)}
        changes.pop("distance_m", None)  # fixed for as many users as the preset has
        changes.update(arrival_quanta=rng.choice((0.0, 2.0, 20.0))) if name == "carbon_mimo" else None
        fields = {each: kind.model_fields[each] for each in kind.model_fields if _is_free(each, changes)}
        most, spread = rng.choice(((2, 0.5), (4, 3.0), (3, math.inf)))
        for each in rng.sample(sorted(fields), rng.randint(0, most)):
            changes[each] = _value(rng, fields[each], changes.get(each, fields[each].default), spread)
        if rng.random() < 0.2:
            _change_units(rng, name, changes, kind.model_fields)
        try:
            kind(**changes)
        except ValueError:
            continue
        return changes


def _is_free(field: str, changes: Mapping[str, Any]) -> bool:
    sizes = ("users", "servers", "antennas", "horizon", "sites_m", "tasks_min", "tasks_max", "mobile_hz", "mobile_v")
    return field not in (*FIXED, *sizes, "edge_hz", "edge_v", "servers_drawn") and not field.endswith("_file")


def _value(rng: random.Random, field: FieldInfo, usual: Any, spread: float) -> Any:
    """Draw a value at most so many orders of magnitude from the usual one; if infinitely many, up to the limits."""
    if isinstance(usual, bool):
        return rng.random() < 0.5
    names = [each for each in get_args(field.annotation) if isinstance(each, str)]
    if names:
        return rng.choice(names)
    low, high = limits_of(field)
    if isinstance(usual, tuple):
        made = [_number(rng, each, low, high, spread) for each in usual]
        return tuple(sorted(made)) if len(made) == 2 else tuple(made)
    if usual is None or isinstance(usual, int):
        return usual
    return _number(rng, usual, low, high, spread)


def _number(rng: random.Random, usual: float, low: float, high: float, spread: float) -> float:
    if low < 0:  # decibels
        return rng.uniform(max(low, usual - 30.0), min(high, usual + 30.0))
    if low == 0 and rng.random() < 0.2:
        return 0.0
    if math.isfinite(spread):
        return min(max((usual or 1.0) * 10.0 ** rng.uniform(-spread, spread), low), high)
    if rng.random() < 0.4:
        return low if rng.random() < 0.5 else min(high, 1e18)
    return math.exp(rng.uniform(math.log(max(low, 1e-15)), math.log(min(high, 1e18))))


def _change_units(rng: random.Random, name: str, changes: dict[str, Any], fields: Mapping[str, FieldInfo]) -> None:
    factor = 10.0 ** rng.randint(-9, 9)
    for each, exponent in rng.choice(UNITS[name]).items():
        usual = changes.get(each, fields[each].default)
        if usual is not None:
            values = [float(part) * factor**exponent for part in (usual if isinstance(usual, tuple) else (usual,))]
            changes[each] = tuple(values) if isinstance(usual, tuple) else values[0]


# ----------------------------------------------------------------------------------------------------------- instance


def _equal_users(field: ArrayField, array: Any, rng: np.random.Generator, horizon: int) -> Any:
    """Give all users what the first has."""
    if "users" not in field.axes:
        return array
    axis = field.axes.index("users") + (array.ndim - len(field.shape))
    return np.repeat(np.take(array, [0], axis=axis), array.shape[axis], axis=axis)


def _rounded(field: ArrayField, array: Any, rng: np.random.Generator, horizon: int) -> Any:
    """Round to one digit."""
    return np.vectorize(lambda number: float(f"{number:.0e}"))(array) if not field.integer else array


def _with_zeros(field: ArrayField, array: Any, rng: np.random.Generator, horizon: int) -> Any:
    """Set some entries to 0, or to the least that is allowed."""
    least = 0.0 if field.low <= 0 else field.low
    return np.where(rng.random(array.shape) < rng.choice((0.2, 1.0)), least, array).astype(array.dtype)


def _with_extremes(field: ArrayField, array: Any, rng: np.random.Generator, horizon: int) -> Any:
    """Multiply some entries by factors of all magnitudes."""
    if field.integer:
        return array
    factor = 10.0 ** rng.uniform(-6, 6, array.shape)
    return np.clip(np.where(rng.random(array.shape) < 0.3, array * factor, array), field.low, field.high)


# ------------------------------------------------------------------------------------------------------ smaller cases


def smaller_cases(case: Case) -> Iterator[Case]:
    """Cases with fewer methods, changes, users, servers or slots, and with simpler numbers."""
    for method in case.methods if len(case.methods) > 1 else ():
        yield replace(case, methods=[each for each in case.methods if each != method])
    for field in case.scenario:
        yield replace(case, scenario={each: value for each, value in case.scenario.items() if each != field})
    fields = registry.problem(case.problem, **case.scenario).instance_fields
    for size in ("users", "servers", "tasks", "horizon"):
        yield from _with_fewer(case, fields, size)
    for name, values in case.instance.items():
        array = np.asarray(values)
        if fields[name].optional:
            yield replace(case, instance={each: kept for each, kept in case.instance.items() if each != name})
        for simple in (np.full(array.shape, array.reshape(-1)[0]), *(_with_digits(array, most) for most in (1, 2, 4))):
            if not fields[name].integer and not np.array_equal(simple, array):
                yield replace(case, instance={**case.instance, name: simple.tolist()})
    for name, value in case.scenario.items():
        if isinstance(value, float) and (simple := float(f"{value:.0e}")) != value:
            yield replace(case, scenario={**case.scenario, name: simple})


def _with_fewer(case: Case, fields: Mapping[str, ArrayField], size: str) -> Iterator[Case]:
    """The case without one of its users, servers, places of tasks, or slots."""
    key = "tasks_max" if size == "tasks" else size
    number = case.scenario.get(key, 1)
    for gone in range(number if isinstance(number, int) and number > 1 else 0):
        arrays = {}
        for name, values in case.instance.items():
            array, field = np.asarray(values), fields[name]
            lead = array.ndim - len(field.shape)  # 1 of an array with slots
            if size == "horizon" and lead:
                array = np.delete(array, gone, axis=0)
                array = array[0] if len(array) == 1 else array
            if size in field.axes:
                array = np.delete(array, gone, axis=lead + field.axes.index(size))
            if "devices" in field.axes and size in ("users", "servers"):
                first = case.scenario["users"] if size == "servers" else 0
                array = np.delete(array, first + gone, axis=lead + field.axes.index("devices"))
            arrays[name] = array.tolist()
        yield replace(case, scenario={**case.scenario, key: number - 1}, instance=arrays)


def _with_digits(array: Any, digits: int) -> Any:
    return np.vectorize(lambda number: float(f"{number:.{digits - 1}e}"))(array)
