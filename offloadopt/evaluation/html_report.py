"""The comparison as one HTML page: tables, figures and explanations. The page loads nothing from elsewhere."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template
from typing import Any

import numpy as np

from offloadopt.errors import printable
from offloadopt.evaluation import plots
from offloadopt.evaluation.formatting import MISSING, interval, number, percent, share
from offloadopt.evaluation.statistics import Statistics
from offloadopt.version import __version__

_THEMED = {
    plots.INK: "var(--ink)",
    plots.MUTED: "var(--muted)",
    plots.GRID: "var(--grid)",
    plots.ZONE: "var(--zone)",
    plots.BAR: "var(--bar)",
    plots.ACCENT: "var(--accent)",
    plots.DOT: "var(--dot)",
}
"""The page's variable for each colour of the figures."""


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes
    ----------
    svg : str
    name : str
        Prefix of all ids in the figure, which must differ between figures.
    label : str
        Description for screen readers.
    caption : str
    """

    svg: str
    name: str
    label: str
    caption: str


@dataclass(frozen=True)
class Page:
    """Contents of the page, as plain text and numbers: `render` escapes every text.

    Attributes
    ----------
    title, lead : str
    facts, terms : sequence of (str, str)
        What identifies the comparison; definitions.
    statistics : sequence of Statistics
        One per method.
    reference_kind : str
        What the gaps are measured from.
    paired_with : str or None
        The method that wins and losses are counted against.
    time_heading, results_note : str
    gap_figure, time_figure : Figure
    scenario : sequence of (name, value, meaning)
    settings : mapping of str to mapping
        Each method's settings.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    terms: Sequence[tuple[str, str]]
    statistics: Sequence[Statistics]
    reference_kind: str
    paired_with: str | None
    time_heading: str
    results_note: str
    gap_figure: Figure
    time_figure: Figure
    scenario: Sequence[tuple[str, Any, str]]
    settings: Mapping[str, Mapping[str, Any]]


def render(page: Page) -> str:
    """Write the page as HTML; every text is escaped."""
    template = Template(resources.files("offloadopt.evaluation").joinpath("template.html").read_text("utf-8"))
    return template.substitute(
        title=escape(page.title),
        lead=escape(page.lead),
        facts="".join(f"<div>{item}</div>" for item in _definitions(page.facts)),
        results=_results(page),
        results_note=escape(page.results_note),
        gap_figure=_inline(page.gap_figure),
        gap_caption=escape(page.gap_figure.caption),
        time_figure=_inline(page.time_figure),
        time_caption=escape(page.time_figure.caption),
        terms="".join(_definitions(page.terms)),
        scenario=_scenario(page.scenario),
        settings=_settings(page.settings),
        versions=escape(
            f"offloadopt {__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
            f"{platform.system()} {platform.machine()}. Decision times hold for the machine they were taken on."
        ),
    )


# ---------------------------------------------------------------------------------------------------------- tables


def _results(page: Page) -> str:
    groups = [
        ("", 1),
        ("", 1),
        (f"Gap to the {page.reference_kind}, %", 5),
        ("Own proof, %", 1),
        ("Share of instances", 2),
        (page.time_heading, 3),
    ]
    headings = ["Method", "Mean cost", "mean", "95 % interval", "median", "worst", "of means", "mean gap"]
    headings += ["optimal", "feasible", "alone, median", "alone, p99", "batched"]
    paired = page.paired_with is not None
    if paired:
        groups.append((f"Against {page.paired_with}", 1))
        headings.append("won / tied / lost")
    top = "".join(
        f'<th colspan="{span}">{f"<span>{escape(text)}</span>" if text else ""}</th>' for text, span in groups
    )
    sub = "".join(
        f'<th><button data-column="{column}">{escape(text)}</button></th>' for column, text in enumerate(headings)
    )
    body = "".join(f"<tr>{_result_cells(row, paired)}</tr>" for row in page.statistics)
    return f'<thead><tr class="groups">{top}</tr><tr>{sub}</tr></thead><tbody>{body}</tbody>'


def _result_cells(row: Statistics, paired: bool) -> str:
    cells: list[tuple[str, float | None]] = [
        (number(row.mean_cost, 5), row.mean_cost),
        (percent(row.gap_mean), row.gap_mean),
        (interval(row.gap_low, row.gap_high), row.gap_low),
        (percent(row.gap_median), row.gap_median),
        (percent(row.gap_worst), row.gap_worst),
        (percent(row.gap_of_means), row.gap_of_means),
        (percent(row.own_gap_mean), row.own_gap_mean),
        (share(row.optimal_share), row.optimal_share),
        (share(row.feasible_share), row.feasible_share),
        (number(row.decision_ms_median), row.decision_ms_median),
        (number(row.decision_ms_p99), row.decision_ms_p99),
        (number(row.batched_ms), row.batched_ms),
    ]
    if paired:
        record = MISSING if row.wins is None else f"{row.wins} / {row.ties} / {row.losses}"
        cells.append((record, row.wins))
    numbers = "".join(f'<td data-value="{"" if value is None else repr(value)}">{text}</td>' for text, value in cells)
    return f'<td class="name">{escape(row.name)}</td>{numbers}'


def _scenario(fields: Iterable[tuple[str, Any, str]]) -> str:
    rows = "".join(
        f'<tr><td><code>{escape(name)}</code></td><td>{_value(value)}</td><td class="text">{escape(meaning)}</td></tr>'
        for name, value, meaning in fields
    )
    return f'<thead><tr><th>Field</th><th>Value</th><th class="text">Meaning</th></tr></thead><tbody>{rows}</tbody>'


def _settings(settings: Mapping[str, Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><td class="name">{escape(method)}</td><td class="text">'
        + ", ".join(f"<code>{escape(name)} = {_value(value)}</code>" for name, value in values.items())
        + "</td></tr>"
        for method, values in settings.items()
    )
    return f'<thead><tr><th>Method</th><th class="text">Settings</th></tr></thead><tbody>{rows}</tbody>'


def _value(value: Any) -> str:
    if isinstance(value, float):
        return re.sub(r"e([+-])0*", lambda sign: "e" + sign[1].strip("+"), f"{value:g}")
    return escape("none" if value is None else printable(str(value)))


def _definitions(pairs: Iterable[tuple[str, str]]) -> Iterable[str]:
    return (f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in pairs)


# --------------------------------------------------------------------------------------------------------- figures


def _inline(figure: Figure) -> str:
    """Adapt an SVG to the page: its colours and font, ids of its own, and no address in it."""
    drawing = figure.svg[figure.svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    head, body = drawing.split(">", 1)
    head = re.sub(r' (?:xmlns(?::xlink)?|width|height|version)="[^"]*"', "", head)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{figure.name}-", body)
    body = re.sub(r"""(font: [^;"]*?)'[^;"]*""", r"\1var(--font)", body)
    for colour, variable in _THEMED.items():
        body = body.replace(colour, variable)
    return f'{head} role="img" aria-label="{escape(figure.label)}">{body}'
