"""Figures as SVG within a page: the page's colours and font, and the same bytes for the same figure."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING

from offloadopt.pictures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEMED = {
    style.INK: "var(--ink)",
    style.MUTED: "var(--muted)",
    style.GRID: "var(--grid)",
    style.ZONE: "var(--zone)",
    style.BAR: "var(--bar)",
    style.ACCENT: "var(--accent)",
    style.DOT: "var(--dot)",
}
"""The page's variable for each colour of the figures."""


def to_svg(figure: Figure, salt: str) -> str:
    """Return a figure as SVG without background; text stays text. Equal ``salt`` gives equal ids."""
    import matplotlib

    data = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(data, format="svg", transparent=True, metadata={"Date": None})
    return data.getvalue()


def inline(svg: str, name: str, label: str) -> str:
    """Adapt an SVG to the page: its colours and font, ids that begin with its name, and no address in it."""
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    head, body = drawing.split(">", 1)
    head = re.sub(r' (?:xmlns(?::xlink)?|width|height|version)="[^"]*"', "", head)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"""(font: [^;"]*?)'[^;"]*""", r"\1var(--font)", body)
    for colour, variable in THEMED.items():
        body = body.replace(colour, variable)
    return f'{head} role="img" aria-label="{escape(label)}">{body}'
