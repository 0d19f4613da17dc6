"""How clauses are checked and named."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.core import ArrayField, Batch
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.testing import ConformanceError
from offloadopt.testing.clauses import check_fields, close, must, must_match, must_refuse


def test_close_is_relative_to_the_entry_or_to_the_largest() -> None:
    assert close(np.array([1.0, 1e-12]), np.array([1.0 + 5e-10, 0.0]), 1e-9)
    assert not close(np.array([1.0]), np.array([1.0 + 5e-9]), 1e-9)
    assert not close(np.zeros(2), np.zeros(3), 1.0)
    assert close(np.array([np.inf, -1.0]), np.array([np.inf, -1.0]), 1e-9)
    assert not close(np.array([np.inf]), np.array([1.0]), 1e-9)


@pytest.mark.parametrize(
    ("arrays", "clause"),
    [
        ({}, "x: array 'a' is missing"),
        ({"a": np.zeros(2), "b": np.zeros(2)}, "x: array 'b' is not declared"),
        ({"a": np.zeros(3)}, "x: a has 3 rows for 2 instances"),
        ({"a": np.full(2, 9.0)}, "x: a holds 9"),
    ],
)
def test_fields_are_named_where_they_do_not_fit(arrays: dict[str, np.ndarray], clause: str) -> None:
    fields = {"a": ArrayField((), low=0.0, high=1.0)}
    check_fields("x", Batch({"a": np.ones(2)}), fields, 2)
    with pytest.raises(ConformanceError, match=clause):
        check_fields("x", Batch(arrays), fields, 2)


def test_a_clause_that_holds_is_silent() -> None:
    must(True, "clause")
    with pytest.raises(ConformanceError, match=r"^clause$"):
        must(False, "clause")
    must_match(Batch({"a": np.ones(2)}), Batch({"a": np.ones(2)}), "clause")
    with pytest.raises(ConformanceError, match="clause: other names"):
        must_match(Batch({"a": np.ones(2)}), Batch({"b": np.ones(2)}), "clause")


def test_a_refusal_is_one_line_of_the_right_error() -> None:
    def refuse(error: Exception) -> None:
        raise error

    must_refuse("x", lambda: refuse(InvalidInput("no")))
    for call, clause in (
        (lambda: None, "x is not refused"),
        (lambda: refuse(KeyError("k")), "x raises KeyError, not InvalidInput"),
    ):
        with pytest.raises(ConformanceError, match=clause):
            must_refuse("x", call)
    with pytest.raises(ConformanceError, match="not Unsupported"):
        must_refuse("x", lambda: refuse(InvalidInput("no")), Unsupported)
