"""Documents of own instances in JSON: each array with its meaning, its unit, its shape in words, and its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Instances, Problem
from offloadopt.errors import InvalidInput, UnknownName, nearest, shown
from offloadopt.formats import json_arrays
from offloadopt.own_instances.axes import documented, shape_text

FORMAT = "offloadopt-instances-1"
SCHEMA = "instances.schema.json"
ENTRY = ("about", "unit", "shape", "values")
"""Fields of an array: what it is, its unit, its shape in words (both for the reader), and nested lists of numbers."""
FIELDS = ("$schema", "format", "problem", "preset", "scenario", "arrays")


def is_document(content: object) -> bool:
    """Whether parsed JSON is a document of this format, of any version."""
    return isinstance(content, dict) and "arrays" in content and "format" in content


def encode(problem: Problem[Any], instances: Instances) -> dict[str, Any]:
    """Describe instances as a document."""
    arrays = {
        name: {
            "about": spec.about or name,
            "unit": spec.unit,
            "shape": shape_text(problem, name, spec),
            "values": instances[name].tolist(),
        }
        for name, spec in documented(problem).items()
        if name in instances
    }
    return {
        "$schema": SCHEMA,
        "format": FORMAT,
        "problem": problem.name,
        "scenario": problem.scenario.model_dump(mode="json"),
        "arrays": arrays,
    }


def decode(content: Mapping[str, Any], problem: Problem[Any]) -> dict[str, NDArray[Any]]:
    """Read the arrays of a document.

    Raises
    ------
    InvalidInput
        If it is of another format or problem, or an array has an unknown field, no values or another unit.
    """
    for name in content:
        if name not in FIELDS:
            raise UnknownName(f"unknown field {name!r} of the document; {nearest(name, FIELDS)}")
    if content["format"] != FORMAT:
        raise InvalidInput(f"format = {shown(content['format'])}; allowed: {FORMAT!r}")
    if content.get("problem", problem.name) != problem.name:
        raise InvalidInput(f"problem = {shown(content['problem'])}; allowed: {problem.name!r}, which is to be solved")
    if not isinstance(content["arrays"], dict):
        raise InvalidInput(f"arrays = {shown(content['arrays'])}; allowed: a mapping from names to arrays")
    return {name: _values(name, entry, problem) for name, entry in content["arrays"].items()}


def scenario_of(content: Mapping[str, Any], problem: str) -> dict[str, Any] | None:
    """Return the scenario's fields that a document for the problem of this name states."""
    scenario = content.get("scenario")
    if content.get("problem") != problem or scenario is None:
        return None
    if not isinstance(scenario, dict):
        raise InvalidInput(f"scenario = {shown(scenario)}; allowed: a mapping from fields to values")
    return scenario


def _values(name: str, entry: Any, problem: Problem[Any]) -> NDArray[Any]:
    if not isinstance(entry, dict):
        return json_arrays.rectangular(name, entry)
    for field in entry:
        if field not in ENTRY:
            raise UnknownName(f"unknown field {field!r} of array {name!r}; {nearest(field, ENTRY)}")
    if "values" not in entry:
        raise InvalidInput(f"array {name!r} has no values")
    spec = documented(problem).get(name)
    if spec is not None and "unit" in entry and entry["unit"] != spec.unit:
        raise InvalidInput(f"array {name!r} has unit {shown(entry['unit'])}; allowed: {spec.unit!r}")
    return np.asarray(json_arrays.rectangular(name, entry["values"]))
