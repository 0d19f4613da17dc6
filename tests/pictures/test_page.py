"""The page of a solution is self-contained, safe, and has each picture in two widths."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.axes import Axes

import offloadopt
from offloadopt.errors import InvalidInput, OffloadError
from offloadopt.pictures import Panel
from offloadopt.pictures.page import page


def line(ax: Axes) -> None:
    ax.plot([0, 1], [0, 1])


def test_a_page_escapes_texts_and_loads_nothing() -> None:
    text = page("<b>", [("Cost", "<1>")], [Panel("one", "What it shows", line)], "<table></table>").decode()
    assert "<title>&lt;b&gt;</title>" in text
    assert "<dd>&lt;1&gt;</dd>" in text
    assert text.count("<svg") == 2
    assert text.count('aria-label="What it shows"') == 2
    assert "http://" not in text
    assert "https://" not in text
    assert "<script" not in text


def test_solutions_write_their_pictures(tmp_path: Path) -> None:
    problem = offloadopt.problem("multi_server", users=4)
    solutions = offloadopt.solve(problem, problem.sample(2, seed=0))
    solutions.save_plot(tmp_path / "s.html", row=1)
    text = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert f"<dd>{solutions.objective[1]:.6g}</dd>" in text
    assert "<td>server 1</td>" in text or "<td>local</td>" in text
    solutions.save_plot(tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InvalidInput, match="row = 2"):
        solutions.save_plot(tmp_path / "s.png", row=2)
    with pytest.raises(InvalidInput, match=r"'\.gif'"):
        solutions.save_plot(tmp_path / "s.gif")
    with pytest.raises(InvalidInput, match=r"there is no folder '.*none'"):
        solutions.save_plot(tmp_path / "none" / "s.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OffloadError, match="cannot write"):
        solutions.save_plot(tmp_path / "folder.png")
