"""Panels: the parts of a picture, and figures that are made of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from offloadopt.errors import InvalidInput, UnknownName, nearest
from offloadopt.pictures.style import legend_rows, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW = 7.6, 3.7
"""Widths of figures in inches: of a page, and of a telephone."""
LEGEND_ROW = 0.2
"""Height in inches that a row of a legend takes."""


@dataclass(frozen=True)
class Panel:
    """One part of a picture.

    Attributes
    ----------
    name : str
        By which it is asked for.
    title : str
        What it shows.
    draw : callable
        Draws it on the axes that it is given.
    height : float
        Height in inches.
    """

    name: str
    title: str
    draw: Callable[[Axes], None]
    height: float = 2.4


SUFFIXES = (".png", ".html")
"""Kinds of files that pictures are written to."""


def check_plot_path(path: Path | str) -> None:
    """Refuse a file that pictures are not written to, before a solution is searched for."""
    if Path(path).suffix not in SUFFIXES:
        raise InvalidInput(f"picture {str(path)!r} ends in {Path(path).suffix!r}; allowed: {', '.join(SUFFIXES)}")
    if not Path(path).parent.is_dir():
        raise InvalidInput(f"picture {str(path)!r}: there is no folder {str(Path(path).parent)!r}")


def panel_named(panels: Sequence[Panel], name: str | None) -> Panel:
    """Return a panel by its name, the first for none."""
    if not panels:
        raise InvalidInput("this problem has no pictures of solutions")
    by_name = {panel.name: panel for panel in panels}
    if name is None:
        return panels[0]
    if name not in by_name:
        raise UnknownName(f"no panel {name!r}; {nearest(name, by_name)}")
    return by_name[name]


def draw_into(ax: Axes, panel: Panel) -> Axes:
    """Draw a panel with its title."""
    panel.draw(ax)
    title(ax, panel.title)
    return ax


def figure_of(panels: Sequence[Panel], width: float = WIDE) -> Figure:
    """Draw panels below each other in a figure of its own."""
    from matplotlib.figure import Figure

    heights = [panel.height for panel in panels]
    figure = Figure(figsize=(width, sum(heights) + 0.35 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for ax, panel in zip(axes, panels, strict=True):
        draw_into(ax, panel)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * sum(map(legend_rows, axes)))
    return figure


def shown(panels: Sequence[Panel]) -> Axes:
    """Draw panels in a figure of pyplot, which notebooks show; return the first axes."""
    import matplotlib.pyplot as plt

    heights = [panel.height for panel in panels]
    _, axes = plt.subplots(
        len(panels), 1, squeeze=False, figsize=(WIDE, sum(heights) + 0.35 * len(panels)), layout="constrained",
        gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for ax, panel in zip(axes[:, 0], panels, strict=True):
        draw_into(ax, panel)
    first: Axes = axes[0, 0]
    return first


def png(panels: Sequence[Panel]) -> bytes:
    """Return all panels as a PNG file."""
    data = io.BytesIO()
    figure_of(panels).savefig(data, format="png", dpi=150, facecolor="white")
    return data.getvalue()
