"""The page of a report: well-formed, self-contained, and safe for any text that a user wrote."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from offloadopt.evaluation import Report

NASTY = "<script>alert('x')</script> & $x^{2$"
MakeReport = Callable[..., Report]


class Page(HTMLParser):
    """Collects what a browser would see, and any tag left open."""

    EMPTY = frozenset({"meta", "path", "use", "rect", "br", "link"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attributes)
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "xlink:href", "src", "srcset", "action", "data"):
                self.targets.append(value or "")
            self.targets += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_well_formed_and_escapes_what_users_wrote(report: Report) -> None:
    page = Page(report.to_html())
    assert page.open == []
    assert page.tags.count("script") == 1  # the sorting of the table, none of the user's
    assert "<script>alert" not in report.to_html()
    assert NASTY in page.text


def test_the_page_loads_nothing(report: Report) -> None:
    html = report.to_html()
    assert not re.search(r"https?:|//[a-z]|@import", re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL))
    page = Page(html)
    assert {"link", "img", "iframe", "object", "embed"}.isdisjoint(page.tags)
    assert page.targets
    assert all(target.startswith("#") for target in page.targets)


def test_ids_of_the_two_pictures_do_not_clash_and_references_resolve(report: Report) -> None:
    page = Page(report.to_html())
    assert len(page.ids) == len(set(page.ids))
    assert {target.removeprefix("#") for target in page.targets} <= set(page.ids)


def test_the_page_follows_the_readers_theme(report: Report) -> None:
    html = report.to_html()
    body = html[html.index("<body>") :]
    assert not re.search(r"#[0-9a-f]{6}\b", body)  # the pictures' colours are the page's variables
    assert "prefers-color-scheme: dark" in html


def test_the_page_says_in_words_what_the_reference_is(make_report: MakeReport) -> None:
    tight = Page(make_report({"a": [10.0], "b": [11.0]}, {"a": [10.0]}).to_html()).text
    loose = Page(make_report({"a": [10.0], "b": [11.0]}, {"a": [9.0]}).to_html()).text
    none = Page(make_report({"a": [10.0], "b": [11.0]}).to_html()).text
    assert "the certified optimum, proved by a." in tight
    assert "It is not tight: even the best decision found lies 11 % above it on average" in loose
    assert "No method proved a bound" in none
    assert "proven optimality" not in none


def test_a_page_without_any_feasible_decision_still_renders(hopeless: Report) -> None:
    assert Page(hopeless.to_html()).open == []


def test_the_times_of_a_problem_with_a_horizon_are_headed_as_those_of_an_episode(make_report: MakeReport) -> None:
    html = make_report({"a": [10.0], "b": [11.0]}, {"a": [10.0]}, horizon=100, hindsight=["a"]).to_html()
    assert "<span>Time of an episode, ms</span>" in html
    assert "time to decide a whole episode, ms" in html
    assert "it knows all 100 slots" in Page(html).text


def test_metrics_have_a_section_of_their_own_whose_names_are_escaped(make_report: MakeReport) -> None:
    plain = make_report({"exact": [1.0, 2.0]})
    assert "Metrics of the problem" not in plain.to_html()
    runs = tuple(replace(run, metrics={"<b>_j": np.array([2.0, 4.0])}) for run in plain.methods)
    page = replace(plain, methods=runs).to_html()
    assert "Metrics of the problem" in page
    assert "<td><code>&lt;b&gt;_j</code></td><td>3.0000</td>" in page
