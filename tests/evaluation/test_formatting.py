"""Numbers, text tables and HTML tables."""

from __future__ import annotations

import pytest

from offloadopt.evaluation.formatting import html_table, interval, number, percent, share, text_table


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(None), "–"),
        (number(0.0), "0"),
        (number(0.0123456), "0.0123"),
        (number(12.3456), "12.3"),
        (number(999.7), "1,000"),
        (number(9.9996), "10.0"),
        (number(123456.0), "123,456"),
        (number(1e9), "1.00e+09"),
        (number(2e-7), "2.00e-07"),
        (percent(0.0), "0"),
        (percent(3e-16), "0"),
        (percent(4e-7), "<0.0001"),
        (percent(0.00432), "0.432"),
        (share(1.0), "100 %"),
        (share(0.9999), "99.9 %"),
        (share(0.0001), "0.1 %"),
        (share(0.0), "0 %"),
        (share(None), "–"),
        (interval(0.01, 0.02), "1.00 – 2.00"),
        (interval(None, None), "–"),
    ],
)
def test_numbers_read_well_and_never_round_to_a_claim(shown: str, expected: str) -> None:
    assert shown == expected


def test_a_text_table_aligns_names_to_the_left_and_numbers_to_the_right() -> None:
    table = text_table(["name", "x"], [["a", "1.00"], ["longest", "2"]])
    assert table.splitlines() == ["name        x", "a        1.00", "longest     2"]


def test_an_html_table_escapes_headings_and_cells() -> None:
    assert html_table(["<a>"], [["x & y"]]) == (
        "<table><thead><tr><th>&lt;a&gt;</th></tr></thead><tbody><tr><td>x &amp; y</td></tr></tbody></table>"
    )
