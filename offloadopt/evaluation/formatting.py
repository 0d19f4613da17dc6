"""Numbers and tables as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offloadopt.core import ROUNDING
from offloadopt.evaluation.reference import SAME_COST

if TYPE_CHECKING:
    from offloadopt.evaluation.report import Report

NONE = "–"
"""Stands for a number that does not exist."""


def number(value: float | None, digits: int = 3) -> str:
    """``value`` to so many significant digits, without exponent where it can be read without."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    whole_digits = len(f"{abs(value):.0f}") if abs(value) >= 1 else 0
    return f"{value:,.0f}" if whole_digits >= digits else f"{value:#.{digits}g}"


def percent(gap: float | None) -> str:
    """A relative gap in %, to three digits; below what counts as equal only rounding is told apart."""
    if gap is not None and abs(gap) <= ROUNDING:
        return "0"
    if gap is not None and 0 < gap <= SAME_COST:
        return f"<{100 * SAME_COST:g}"
    return number(None if gap is None else 100 * gap)


def interval(low: float | None, high: float | None) -> str:
    """An interval of gaps in %."""
    return NONE if low is None or high is None else f"{percent(low)} – {percent(high)}"


def share(value: float | None) -> str:
    """A share in %; only all is shown as 100 and only none as 0."""
    if value is None:
        return NONE
    if value in (0.0, 1.0):
        return f"{100 * value:.0f} %"
    return f"{min(max(100 * value, 0.1), 99.9):.1f} %"


def table(report: Report) -> str:
    """A report in a few lines of plain text."""
    rows = [
        (
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
    ]
    for row in report.statistics:
        rows.append(
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
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]) for name, *cells in rows]
    count = f"{report.count:,} instance{'' if report.count == 1 else 's'}"
    return "\n".join([f"{report.problem}: {count}, reference: {report.reference.label}", *lines])
