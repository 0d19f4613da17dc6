"""Named arrays as JSON: a mapping, a list of instances, or what ``offloadopt solve --json --with-instances`` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offloadopt.errors import InvalidInput
from offloadopt.formats import strict_json


def encode(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Encode named arrays."""
    lists = {name: array.tolist() for name, array in arrays.items()}
    try:
        return json.dumps(lists, allow_nan=False).encode()
    except ValueError:
        raise InvalidInput("JSON knows neither NaN nor infinity; save as .npz or .parquet") from None


def decode(data: bytes) -> dict[str, NDArray[Any]]:
    """Decode named arrays."""
    content = strict_json.parse(data)
    if isinstance(content, dict) and "results" in content:
        content = [result.get("instance", {}) if isinstance(result, dict) else result for result in content["results"]]
    if isinstance(content, list):
        if not all(isinstance(instance, dict) for instance in content):
            raise InvalidInput("a list must hold instances, each a mapping of names to arrays")
        content = _columns(content)
    if not isinstance(content, dict):
        raise InvalidInput("it is neither a mapping of names to arrays nor a list of instances")
    return {name: rectangular(name, values) for name, values in content.items()}


def _columns(instances: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = list(instances[0]) if instances else []
    for row, instance in enumerate(instances):
        if not instance:
            raise InvalidInput(f"result {row} holds no instance (print results with --with-instances)")
        if instance.keys() != set(names):
            missing = sorted(instance.keys() ^ set(names))[0]
            raise InvalidInput(f"array {missing!r} is in some instances only, see instances 0 and {row}")
    return {name: [instance[name] for instance in instances] for name in names}


def rectangular(name: str, values: ArrayLike) -> NDArray[Any]:
    """Make an array of nested lists."""
    try:
        return np.asarray(values)
    except ValueError:
        raise InvalidInput(f"array {name!r} is ragged; allowed: rows of one length") from None
