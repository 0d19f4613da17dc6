"""Tangents of convex functions in linear models: the perspective's, which is the tangent itself where an option is on.

A convex function f of v counts where a binary x is 1; where x is 0, v is 0 and so is the cost. Its convex hull is the
perspective ``x f(v / x)``, which each point v0 bounds from below by

    ``f(v0) x + f'(v0) (v - v0 x)``,

exactly where ``x = 1, v = v0``.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

KNOWN_DIGITS = 10
"""Significant digits to which two points count as the same."""


class Tangents:
    """Tangents added to a Pyomo model, each once.

    Parameters
    ----------
    rows : pyomo.environ.ConstraintList
        Takes the tangents.
    """

    def __init__(self, rows: Any) -> None:
        self._rows, self._known = rows, set[tuple[Hashable, float]]()

    def add(self, key: Hashable, at: float, value: float, slope: float, column: Any, on: Any, variable: Any) -> bool:
        """Add ``column >= f(at) on + f'(at) (variable - at on)``; return false where it is known.

        Parameters
        ----------
        key : hashable
            Names the function.
        at, value, slope : float
            The point, the function and its derivative there.
        column, on, variable : expressions
            The bound, the binary (or 1), and the function's argument.
        """
        rounded = float(f"{at:.{KNOWN_DIGITS}g}")
        if (key, rounded) in self._known or not (np.isfinite(value) and np.isfinite(slope)):
            return False
        self._known.add((key, rounded))
        self._rows.add(column >= (value - slope * at) * on + slope * variable)
        return True
