"""The comparison as one HTML page: tables, figures and explanations. The page loads nothing from elsewhere."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

import numpy as np

from offloadopt.errors import printable
from offloadopt.evaluation import captions
from offloadopt.evaluation.formatting import MISSING, interval, number, percent, share
from offloadopt.evaluation.reference import Reference
from offloadopt.evaluation.statistics import Statistics
from offloadopt.pictures.svg import inline
from offloadopt.version import __version__


def render(
    problem: str,
    statistics: Sequence[Statistics],
    reference: Reference,
    *,
    paired_with: str | None,
    seed: int,
    bootstrap: int,
    horizon: int,
    scenario: Iterable[tuple[str, Any, str]],
    settings: Mapping[str, Mapping[str, Any]],
    gap_figure: str,
    time_figure: str,
    metrics: Sequence[str] = (),
    workers: int = 1,
) -> str:
    """Write the page as HTML; every text is escaped.

    Parameters
    ----------
    problem : str
    statistics : sequence of Statistics
        One per method.
    reference, paired_with, seed, bootstrap, horizon
        As in `Report`.
    scenario : iterable of (name, value, meaning)
    settings : mapping of str to mapping
        Each method's settings.
    gap_figure, time_figure : str
        SVG of `plots.gap_distribution` and `plots.gap_against_time`.
    metrics : sequence of str
        Names of the problem's metrics.
    workers : int
        As in `Report`.
    """
    template = Template(resources.files("offloadopt.evaluation").joinpath("template.html").read_text("utf-8"))
    facts = captions.facts(problem, len(statistics), reference, seed, horizon)
    terms = captions.terms(reference, bootstrap=bootstrap, paired_with=paired_with, horizon=horizon)
    return template.substitute(
        title=escape(f"Comparison on {problem}"),
        lead=escape(captions.lead(reference, horizon)),
        facts="".join(f"<div>{item}</div>" for item in _definitions(facts)),
        results=_results(statistics, reference, paired_with, horizon),
        results_note=escape(captions.results_note(statistics, reference, workers)),
        metrics=_metrics(statistics, metrics),
        gap_figure=inline(gap_figure, "gap_distribution", "Distribution of gaps, one row per method"),
        gap_caption=escape(captions.gap_caption(reference)),
        time_figure=inline(time_figure, "gap_against_time", "Mean gap against decision time, one point per method"),
        time_caption=escape(captions.time_caption(horizon)),
        terms="".join(_definitions(terms)),
        scenario=_scenario(scenario),
        settings=_settings(settings),
        versions=escape(
            f"offloadopt {__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
            f"{platform.system()} {platform.machine()}. Decision times hold for the machine they were taken on."
        ),
    )


# ---------------------------------------------------------------------------------------------------------- tables


def _results(statistics: Sequence[Statistics], reference: Reference, paired_with: str | None, horizon: int) -> str:
    groups = [
        ("", 1),
        ("", 1),
        (f"Gap to the {reference.kind}, %", 5),
        ("Own proof, %", 1),
        ("Share of instances", 2),
        ("Decision time, ms" if horizon == 1 else "Time of an episode, ms", 3),
    ]
    headings = ["Method", "Mean cost", "mean", "95 % interval", "median", "worst", "of means", "mean gap"]
    headings += ["optimal", "feasible", "alone, median", "alone, p99", "batched"]
    paired = paired_with is not None
    if paired:
        groups.append((f"Against {paired_with}", 1))
        headings.append("won / tied / lost")
    top = "".join(
        f'<th colspan="{span}">{f"<span>{escape(text)}</span>" if text else ""}</th>' for text, span in groups
    )
    sub = "".join(
        f'<th><button data-column="{column}">{escape(text)}</button></th>' for column, text in enumerate(headings)
    )
    body = "".join(f"<tr>{_result_cells(row, paired)}</tr>" for row in statistics)
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


def _metrics(statistics: Sequence[Statistics], names: Sequence[str]) -> str:
    """Section with a row per metric and a column per method; empty without metrics."""
    if not names:
        return ""
    head = "".join(f"<th>{escape(row.name)}</th>" for row in statistics)
    body = "".join(
        f"<tr><td><code>{escape(name)}</code></td>"
        + "".join(f"<td>{number(row.metrics.get(name), 5)}</td>" for row in statistics)
        + "</tr>"
        for name in names
    )
    return (
        '<h2>Metrics of the problem</h2>\n<div class="wide"><table class="results metrics">'
        f"<thead><tr><th>Mean of</th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f'\n<p class="note">{escape(captions.metrics_note())}</p>'
    )


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
