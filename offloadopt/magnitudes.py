"""Magnitudes that hint at a wrong unit: three orders from what the scenario's own sampling, or its preset, gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from offloadopt.core import Instances, Problem, Scenario
from offloadopt.errors import OffloadError
from offloadopt.quantities import unit

UNUSUAL = 1e3
"""Ratio from which on a magnitude is pointed out."""
SAMPLED = 4
"""Instances that are sampled to compare with."""


def unusual_array(problem: Problem[Any], instances: Instances) -> str | None:
    """Describe the array whose median magnitude is furthest from a sample's, if it is three orders away.

    Parameters
    ----------
    problem : Problem
    instances : Instances
        A user's own.
    """
    try:
        sampled = problem.sample(SAMPLED, 0)
    except OffloadError:  # there is nothing to compare with, for example without the scenario's files
        return None
    fields = {name: spec for name, spec in problem.instance_fields.items() if not spec.integer}
    names = [name for name in fields if name in instances and name in sampled]
    found = [(name, _median(instances[name]), _median(sampled[name])) for name in names]
    name, own, usual = max(found, key=lambda each: _orders(each[1], each[2]), default=("", 0.0, 0.0))
    if _orders(own, usual) < np.log10(UNUSUAL):
        return None
    times, its_unit = _times(own, usual), fields[name].unit
    return f"{name} is {times} what the scenario samples: median {own:.3g} [{its_unit}]; check its unit"


def unusual_field(scenario: Scenario) -> str | None:
    """Describe the quantity furthest from that of the nearest preset, if it is three orders away."""
    preset = scenario.nearest_preset
    if preset is None:
        return None
    found = list(_quantities(scenario, preset))
    name, own, usual, its_unit = max(found, key=lambda each: _orders(each[1], each[2]), default=("", 0.0, 0.0, ""))
    if _orders(own, usual) < np.log10(UNUSUAL):
        return None
    return f"{name} = {own:.3g} [{its_unit}] is {_times(own, usual)} the preset's {usual:.3g}; check its unit"


def _quantities(scenario: Scenario, preset: Scenario) -> Iterator[tuple[str, float, float, str]]:
    """Fields with a unit that are numbers in both scenarios: name, both magnitudes, unit."""
    for name, field in type(scenario).model_fields.items():
        its_unit = unit(field.rebuild_annotation())
        own, usual = getattr(scenario, name), getattr(preset, name)
        if its_unit != "1" and own is not None and usual is not None:
            yield name, _median(own), _median(usual), its_unit


def _median(values: ArrayLike) -> float:
    """Median magnitude of what is not 0; 0 if there is nothing else."""
    magnitudes = np.abs(np.asarray(values, dtype=np.float64))
    magnitudes = magnitudes[magnitudes > 0]
    return float(np.median(magnitudes)) if magnitudes.size else 0.0


def _orders(own: float, usual: float) -> float:
    """Orders of magnitude between two numbers, none where one is 0."""
    return abs(float(np.log10(own / usual))) if own > 0 and usual > 0 else 0.0


def _times(own: float, usual: float) -> str:
    return f"{own / usual:.0e} times" if own > usual else f"one {usual / own:.0e}th of"
