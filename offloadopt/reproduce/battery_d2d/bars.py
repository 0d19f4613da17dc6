"""Bar charts of cost terms, delays and energy, with a bar for each method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offloadopt.problems.battery_d2d.problem import KINDS
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Axes, DataFrame, Series

TERM_LOOKS = {
    "cost_energy": ("energy", plots.SKY),
    "cost_degradation": ("ageing", plots.GREEN),
    "cost_failures": ("failures", plots.VERMILION),
    "cost_drops": ("drops", plots.PURPLE),
}
KIND_LOOKS = (("kind 1", "o", plots.BLACK), ("kind 2", "s", plots.ORANGE), ("kind 3", "D", plots.BLUE))


def rows_of(summary: DataFrame, methods: Iterable[str]) -> list[tuple[str, Series]]:
    """Select the row of each method from a summary."""
    return [(method, summary[summary["method"] == method].iloc[0]) for method in methods]


def draw_bars(
    ax: Axes,
    rows: Sequence[tuple[str, Series]],
    number: str,
    scale: float = 1.0,
    colors: Sequence[str] | None = None,
) -> None:
    """Draw a bar for each row with its number at the end; none if the row lacks the number."""
    for place, (_, row) in enumerate(rows):
        length = scale * row.get(number, float("nan"))
        ax.barh(place, length, 0.62, color=colors[place] if colors else plots.GREY)
        _annotate(ax, f"{length:.0f}" if length >= 100 else f"{length:#.3g}".rstrip("."), length, place)


def label_rows(ax: Axes, rows: Sequence[tuple[str, Series]], *, first: bool = True) -> None:
    """Label the rows from the top; only the first of several panels shows their names."""
    ax.set_yticks(range(len(rows)), [label for label, _ in rows] if first else [])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.use_sticky_edges = False  # an empty bar at the end of others would leave no margin for its number
    ax.margins(x=0.12)
    ax.set_xlim(left=0.0)


def draw_terms(axes: Sequence[Axes], rows: Sequence[tuple[str, Series]], title: str) -> None:
    """Draw the cost terms, the delays of each kind of task, and the energy per finished task."""
    terms, delays, energy = axes
    for place, (_, row) in enumerate(rows):
        begin = 0.0
        for number, (label, color) in TERM_LOOKS.items():
            terms.barh(place, row[number], 0.62, left=begin, color=color, label=label)
            begin += row[number]
        _annotate(terms, f"{row['cost']:.0f}", begin, place)
        for kind, (label, marker, color) in zip(range(1, KINDS + 1), KIND_LOOKS, strict=True):
            seconds = row.get(f"delay_{kind}_s", float("nan"))  # nothing of this kind may have been finished
            delays.plot(seconds, place, marker=marker, ms=6, ls="", color=color, label=label)
    draw_bars(energy, rows, "finished_j")
    for ax in axes:
        label_rows(ax, rows, first=ax is terms)
    plots.finish(terms, "cost of an episode", "", title)
    plots.finish(delays, "delay of a finished task, s", "")
    plots.finish(energy, "energy of all tasks by finished ones, J", "")


def _annotate(ax: Axes, text: str, x: float, y: float) -> None:
    ax.annotate(text, (x, y), (4, 0), textcoords="offset points", va="center", fontsize=8, color=plots.INK)
