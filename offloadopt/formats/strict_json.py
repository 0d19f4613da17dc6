"""JSON without what would be lost or misread: doubled keys, NaN, numbers beyond float64, deep nesting."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from offloadopt.errors import InvalidInput

MAX_DEPTH = 64
"""Deepest nesting; an array of NumPy has no more axes."""


def parse(text: str | bytes) -> Any:
    """Parse JSON.

    Raises
    ------
    InvalidInput
        If it is no JSON, a key comes twice, a number is not finite, or it is nested too deeply.
    """
    try:
        value = json.loads(text, object_pairs_hook=_mapping, parse_constant=_no_number, parse_float=_finite)
    except InvalidInput:
        raise
    except RecursionError:
        raise InvalidInput(f"it is nested deeply; allowed: at most {MAX_DEPTH} levels") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"it is no JSON: no text in UTF-8, see byte {error.start}") from None
    except ValueError as error:
        raise InvalidInput(f"it is no JSON: {error}") from None
    _require_shallow(value)
    return value


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise InvalidInput(f"it holds {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return found


def _no_number(constant: str) -> NoReturn:
    raise InvalidInput(f"{constant} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidInput(f"{text} is beyond the largest float64")
    return number


def _require_shallow(value: Any) -> None:
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        level = [
            item.values() if isinstance(item, dict) else item
            for held in level
            for item in held
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise InvalidInput(f"it is nested deeply; allowed: at most {MAX_DEPTH} levels")
