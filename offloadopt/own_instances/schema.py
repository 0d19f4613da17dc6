"""JSON schemas of documents of own instances: of all problems (in the package), and of one scenario exactly."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import numpy as np

from offloadopt.core import ArrayField, Problem
from offloadopt.own_instances.axes import documented, shape_text
from offloadopt.own_instances.document import SCHEMA


def general_schema() -> dict[str, Any]:
    """Return the schema that every document satisfies."""
    schema: dict[str, Any] = json.loads(resources.files(__package__).joinpath(SCHEMA).read_text("utf-8"))
    return schema


def schema_of(problem: Problem[Any]) -> dict[str, Any]:
    """Return the schema of documents for one scenario: its arrays with their meaning, unit, shape and limits."""
    schema = general_schema()
    fields = documented(problem)
    arrays = {
        "type": "object",
        "description": f"The arrays of {problem.name}, {problem.scenario.origin}.",
        "properties": {name: _array(problem, name, spec) for name, spec in fields.items()},
        "required": [name for name, spec in fields.items() if not spec.optional],
        "additionalProperties": False,
    }
    properties = {**schema["properties"], "problem": {"const": problem.name}, "arrays": arrays}
    title = f"Instances of {problem.name}, {problem.scenario.origin}"
    return {**schema, "title": title, "properties": properties, "required": [*schema["required"], "problem"]}


def _array(problem: Problem[Any], name: str, spec: ArrayField) -> dict[str, Any]:
    number: dict[str, Any] = {"type": "integer" if spec.integer else "number"}
    for word, limit in (("minimum", spec.low), ("maximum", spec.high)):
        if np.isfinite(limit):
            number[word] = limit
    values = number
    for length in reversed(spec.full_shape(problem.horizon)):
        values = {"type": "array", "items": values, "minItems": length, "maxItems": length}
    values = {"type": "array", "items": values, "minItems": 1}
    unit = "a pure number" if spec.unit == "1" else f"in {spec.unit}"
    about = f"{spec.about or name}, {unit}; shape: {shape_text(problem, name, spec)}"
    entry = {
        "type": "object",
        "properties": {
            "about": {"type": "string"},
            "unit": {"const": spec.unit},
            "shape": {"type": "string"},
            "values": values,
        },
        "required": ["values"],
        "additionalProperties": False,
    }
    return {"description": about, "oneOf": [entry, values]}
