"""Progress of long work on stderr, and what searches report."""

from __future__ import annotations

import io
import sys
import time

import pytest

from offloadopt import progress as shown
from offloadopt.progress import begin_search, by_method, in_units, progress, report, unreported

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come often, so that tests need not wait."""
    monkeypatch.setattr(shown, "QUIET_S", 0.02)
    monkeypatch.setattr(shown, "EVERY_S", 0.02)


def text() -> str:
    assert shown._search is not None
    return shown._search.text()


@pytest.mark.usefixtures("often")
def test_progress_is_a_plain_line_now_and_then_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("solving", 40) as advance:
        advance(20)
        report(cost=30.0, bound=25.0)
        time.sleep(0.15)
    out, err = capsys.readouterr()
    assert out == ""
    assert "solving: 20 of 40 after 0 s; best 30, bound 25 (gap 20 %)" in err.splitlines()
    time.sleep(0.05)
    assert capsys.readouterr().err == "", "nothing is written after the end"


def test_short_work_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("solving", 1) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_incumbent_bound_and_gap_below_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("solving", 2) as advance:
        begin_search("search 1 of 2")
        report(cost=12.0, bound=10.0)
        advance(1)
    assert "solving" in terminal.getvalue()
    assert "search 1 of 2: best 12, bound 10 (gap 20 %)" in terminal.getvalue()


def test_only_improvements_are_shown_and_a_new_search_forgets_them() -> None:
    with progress("solving", 1):
        assert text() == ""
        report(cost=5.0)
        report(cost=7.0, bound=1.0)
        report(bound=0.5, claim=4.0)
        assert text() == "best 5, bound 1 (gap 400 %), claimed 4 (25 % if confirmed)"
        report(bound=4.5)
        assert text() == "best 5, bound 4.5 (gap 11.1 %)"
        begin_search("search 2 of 3")
        assert text() == "search 2 of 3"


def test_a_bound_of_zero_has_no_gap_and_negative_costs_have_one() -> None:
    with progress("solving", 1):
        report(cost=5.0, bound=0.0)
        assert text() == "best 5, bound 0"
        begin_search()
        report(cost=-8.0, bound=-10.0)
        assert text() == "best -8, bound -10 (gap 20 %)"


def test_parts_report_in_the_units_of_the_search() -> None:
    with progress("solving", 1):
        with in_units(10.0, 1.0), in_units(0.5, 2.0):
            report(cost=4.0, bound=2.0)
        assert text() == "best 41, bound 31 (gap 32.3 %)"
        with unreported(), in_units(2.0):
            report(cost=0.0)
        assert text() == "best 41, bound 31 (gap 32.3 %)"
        report(cost=40.0)
        assert text().startswith("best 40")


def test_methods_are_named_and_nothing_happens_where_no_progress_is_shown() -> None:
    report(cost=1.0)
    begin_search("x")
    with by_method("exact"), in_units(1.0), unreported():
        report(cost=1.0)
    assert shown._search is None
    with progress("comparing", 2):
        with by_method("exact"):
            begin_search("search 1 of 9")
            report(cost=1.5)
            assert text() == "exact, search 1 of 9: best 1.5"
        with by_method("levy"):
            assert text() == "levy"
    assert shown._search is None
