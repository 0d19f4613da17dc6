"""Numbers, text tables and HTML tables of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from offloadopt.core import ROUNDING
from offloadopt.evaluation.reference import SAME_COST
from offloadopt.evaluation.statistics import Statistics

MISSING = "–"
"""Shown for a number that does not exist."""


def number(value: float | None, digits: int = 3) -> str:
    """Format ``value`` with so many significant digits, without exponent for sizes that are readable without."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    integer_digits = len(f"{abs(value):.0f}") if abs(value) >= 1 else 0
    return f"{value:,.0f}" if integer_digits >= digits else f"{value:#.{digits}g}"


def percent(gap: float | None) -> str:
    """Format a relative gap in % with three digits; differences of rounding are shown as 0."""
    if gap is not None and abs(gap) <= ROUNDING:
        return "0"
    if gap is not None and 0 < gap <= SAME_COST:
        return f"<{100 * SAME_COST:g}"
    return number(None if gap is None else 100 * gap)


def interval(low: float | None, high: float | None) -> str:
    """Format an interval of relative gaps in %."""
    return MISSING if low is None or high is None else f"{percent(low)} – {percent(high)}"


def share(value: float | None) -> str:
    """Format a share in %; only a share of exactly 1 is shown as 100 %, only exactly 0 as 0 %."""
    if value is None:
        return MISSING
    if value in (0.0, 1.0):
        return f"{100 * value:.0f} %"
    return f"{min(max(100 * value, 0.1), 99.9):.1f} %"


# ---------------------------------------------------------------------------------------------------------- tables

SUMMARY_COLUMNS = (
    "method",
    "mean cost",
    "gap %",
    "95 % interval",
    "worst %",
    "own proof %",
    "optimal",
    "feasible",
    "alone ms",
    "p99 ms",
    "batched ms",
)


def summary_cells(statistics: Sequence[Statistics]) -> list[tuple[str, ...]]:
    """Format each method's numbers as one row of cells, in the order of `SUMMARY_COLUMNS`."""
    return [
        (
            row.name,
            number(row.mean_cost, 6),
            percent(row.gap_mean),
            interval(row.gap_low, row.gap_high),
            percent(row.gap_worst),
            percent(row.own_gap_mean),
            share(row.optimal_share),
            share(row.feasible_share),
            number(row.decision_ms_median),
            number(row.decision_ms_p99),
            number(row.batched_ms),
        )
        for row in statistics
    ]


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align a table as plain text: the first column to the left, all others to the right."""
    table = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join([name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]) for name, *cells in table)


def html_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a plain HTML table; every cell is escaped."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
