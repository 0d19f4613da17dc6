"""The comparison as one HTML page that opens from disk: tables, pictures, and what they mean. Nothing is loaded."""

from __future__ import annotations

import platform
import re
from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from offloadopt import __version__
from offloadopt.evaluation import captions as words
from offloadopt.evaluation import plots
from offloadopt.evaluation.formatting import interval, number, percent, share
from offloadopt.evaluation.statistics import Statistics

if TYPE_CHECKING:
    from offloadopt.evaluation.report import Report

_THEMED = {
    plots.INK: "var(--ink)",
    plots.MUTED: "var(--muted)",
    plots.GRID: "var(--grid)",
    plots.ZONE: "var(--zone)",
    plots.BAR: "var(--bar)",
    plots.ACCENT: "var(--accent)",
    plots.DOT: "var(--dot)",
}


def render(report: Report) -> str:
    """The whole page; every text that comes from the user is escaped."""
    template = Template(resources.files("offloadopt.evaluation").joinpath("template.html").read_text("utf-8"))
    return template.substitute(
        title=escape(f"Comparison on {report.problem}"),
        lead=escape(words.lead(report)),
        facts=_pairs(words.facts(report), wrap=True),
        results=_results(report),
        results_note=escape(words.results_note(report)),
        gap_picture=_picture(report, plots.gap_distribution, "Distribution of gaps, one row per method"),
        gap_caption=escape(words.gap_caption(report)),
        time_picture=_picture(report, plots.gap_against_time, "Mean gap against decision time, one point per method"),
        time_caption=escape(words.TIME_CAPTION),
        terms=_pairs(words.terms(report)),
        scenario=_scenario(report),
        settings=_settings(report),
        versions=escape(
            f"offloadopt {__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
            f"{platform.system()} {platform.machine()}. Decision times hold for the machine they were taken on."
        ),
    )


# ---------------------------------------------------------------------------------------------------------- tables


def _results(report: Report) -> str:
    groups = [
        ("", 1),
        ("", 1),
        (f"Gap to the {report.reference.kind}, %", 5),
        ("Own proof, %", 1),
        ("Share of instances", 2),
        ("Decision time, ms", 3),
    ]
    heads = ["Method", "Mean cost", "mean", "95 % interval", "median", "worst", "of means", "mean gap"]
    heads += ["optimal", "feasible", "alone, median", "alone, p99", "batched"]
    paired = report.paired_with is not None
    if paired:
        groups.append((f"Against {report.paired_with}", 1))
        heads.append("won / tied / lost")
    top = "".join(
        f'<th colspan="{span}">{f"<span>{escape(text)}</span>" if text else ""}</th>' for text, span in groups
    )
    sub = "".join(f'<th><button data-column="{place}">{escape(text)}</button></th>' for place, text in enumerate(heads))
    body = "".join(f"<tr>{_result_cells(row, paired)}</tr>" for row in report.statistics)
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
        record = "–" if row.wins is None else f"{row.wins} / {row.ties} / {row.losses}"
        cells.append((record, row.wins))
    numbers = "".join(f'<td data-value="{"" if value is None else repr(value)}">{text}</td>' for text, value in cells)
    return f'<td class="name">{escape(row.name)}</td>{numbers}'


def _scenario(report: Report) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{_value(value)}</td>"
        f'<td class="words">{escape(report.scenario_notes.get(name, ""))}</td></tr>'
        for name, value in report.scenario.items()
        if value is not None
    )
    return f'<thead><tr><th>Field</th><th>Value</th><th class="words">Meaning</th></tr></thead><tbody>{rows}</tbody>'


def _settings(report: Report) -> str:
    rows = "".join(
        f'<tr><td class="name">{escape(run.name)}</td><td class="words">'
        + ", ".join(f"<code>{escape(name)} = {_value(value)}</code>" for name, value in run.settings.items())
        + "</td></tr>"
        for run in report.methods
    )
    return f'<thead><tr><th>Method</th><th class="words">Settings</th></tr></thead><tbody>{rows}</tbody>'


def _value(value: Any) -> str:
    if isinstance(value, float):
        return re.sub(r"e([+-])0*", lambda sign: "e" + sign[1].strip("+"), f"{value:g}")
    return escape("none" if value is None else str(value))


def _pairs(pairs: list[tuple[str, str]], wrap: bool = False) -> str:
    items = (f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in pairs)
    return "".join(f"<div>{item}</div>" if wrap else item for item in items)


# -------------------------------------------------------------------------------------------------------- pictures


def _picture(report: Report, picture: plots.Picture, label: str) -> str:
    """An inline drawing in the page's colours and letters, with ids of its own and no address in it."""
    drawing = plots.svg(report, picture)
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    head, body = drawing.split(">", 1)
    head = re.sub(r' (?:xmlns(?::xlink)?|width|height|version)="[^"]*"', "", head)
    prefix = picture.__name__
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", body)
    body = re.sub(r"""(font: [^;"]*?)'[^;"]*""", r"\1var(--font)", body)
    for colour, variable in _THEMED.items():
        body = body.replace(colour, variable)
    return f'{head} role="img" aria-label="{escape(label)}">{body}'
