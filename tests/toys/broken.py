"""Problems with one method changed, to see which clause of a structure's contract they break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offloadopt.core import Problem
from offloadopt.testing import ConformanceError, check_problem


def broken(kind: type[Problem[Any]], method: str, change: Callable[..., Any]) -> Problem[Any]:
    """A problem whose ``method``, property or constant gives ``change(what it gave)``."""
    original = next(vars(base)[method] for base in kind.__mro__ if method in vars(base))
    if callable(original):
        replacement: Any = lambda self, *arguments: change(original(self, *arguments))  # noqa: E731
    elif hasattr(original, "__get__"):
        replacement = property(lambda self: change(original.__get__(self, type(self))))
    else:
        replacement = change(original)
    return type(f"Broken{kind.__name__}", (kind,), {method: replacement})(kind.scenario_type())


def must_break(kind: type[Problem[Any]], method: str, change: Callable[..., Any], clause: str) -> None:
    """Check that the changed problem is refused with ``clause``, and the unchanged one is not."""
    check_problem(kind(kind.scenario_type()))
    with pytest.raises(ConformanceError, match=clause):
        check_problem(broken(kind, method, change))
