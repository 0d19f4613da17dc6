"""Figures as SVG: the same bytes, the page's colours, ids of their own, no addresses."""

from __future__ import annotations

import re

from matplotlib.figure import Figure

from offloadopt.pictures import style
from offloadopt.pictures.svg import inline, to_svg


def figure() -> Figure:
    made = Figure(figsize=(2, 1))
    ax = made.add_subplot()
    ax.plot([0, 1], [0, 1], color=style.ACCENT)
    ax.set_title("<text>", color=style.INK)
    return made


def test_the_same_figure_gives_the_same_bytes_and_text_stays_text() -> None:
    assert to_svg(figure(), "a") == to_svg(figure(), "a") != to_svg(figure(), "b")
    assert "&lt;text&gt;" in to_svg(figure(), "a")


def test_a_figure_within_a_page_has_its_colours_and_its_own_ids() -> None:
    found = inline(to_svg(figure(), "a"), "gap", 'what "it" is')
    assert 'aria-label="what &quot;it&quot; is"' in found
    assert "var(--accent)" in found
    assert style.ACCENT not in found
    assert all(name.startswith("gap-") for name in re.findall(r'\bid="([^"]*)"', found))
    assert "http" not in found
