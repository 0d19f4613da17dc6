"""JSON that says one thing, in numbers and nesting that every reader knows."""

from __future__ import annotations

import pytest

from offloadopt.errors import InvalidInput
from offloadopt.formats.strict_json import MAX_DEPTH, parse


def test_plain_json_is_parsed() -> None:
    assert parse(b'{"a": [1, 2.5e3, "x", null, true, {"b": {}}]}') == {"a": [1, 2500.0, "x", None, True, {"b": {}}]}
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert str(parse(deepest)) == deepest


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "'c' twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("[1e999]", "1e999"),
        ("[-1e999]", "-1e999"),
        (f"[1{'0' * 5000}]", "integer string conversion"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeply"),
        ('{"a":' * 900 + "1" + "}" * 900, "nested deeply"),
        ("[" * 100_000, "nested deeply"),
        ("[1, 2", "no JSON"),
        (b"\xff\xfe\xff", "no JSON"),
        ("", "no JSON"),
    ],
)
def test_all_else_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as error:
        parse(text)
    assert len(str(error.value)) <= 300
