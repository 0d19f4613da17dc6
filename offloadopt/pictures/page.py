"""A solution as one HTML page that loads nothing: its pictures, narrow and wide, and who does what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from string import Template

from offloadopt.pictures.panels import NARROW, WIDE, Panel, figure_of
from offloadopt.pictures.svg import inline, to_svg


def page(title: str, facts: Iterable[tuple[str, str]], panels: Sequence[Panel], table: str) -> bytes:
    """Write the page.

    Parameters
    ----------
    title : str
    facts : iterable of (name, value)
        Texts.
    panels : sequence of Panel
    table : str
        HTML of who does what.
    """
    template = Template(resources.files("offloadopt.pictures").joinpath("page.html").read_text("utf-8"))
    text = template.substitute(
        title=escape(title),
        facts="".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts),
        pictures="\n".join(map(_figure, panels)),
        table=table,
    )
    return text.encode()


def _figure(panel: Panel) -> str:
    """A panel in two widths, of which the page shows the one that the screen has room for."""
    drawings = []
    for size, width in (("wide", WIDE), ("narrow", NARROW)):
        name = f"{panel.name}-{size}"
        drawings.append(
            f'<div class="{size}">{inline(to_svg(figure_of([panel], width), name), name, panel.title)}</div>'
        )
    return f"<figure>{''.join(drawings)}</figure>"
