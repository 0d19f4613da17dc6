"""Tables, files and pictures of a report."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from offloadopt.evaluation import Report, plots
from offloadopt.evaluation import formatting as text
from offloadopt.evaluation.report import MethodRun

INF = float("inf")
NASTY = "<script>alert('x')</script> & $x^{2$"
PROMISED = [
    "name",
    "mean_cost",
    "gap_mean",
    "gap_low",
    "gap_high",
    "gap_median",
    "gap_worst",
    "optimal_share",
    "feasible_share",
    "decision_ms_median",
    "decision_ms_p99",
]
MakeReport = Callable[..., Report]


@pytest.fixture
def report(make_report: MakeReport) -> Report:
    rng = np.random.default_rng(0)
    best = 10 + rng.random(30)
    costs = {"exact": best, NASTY: best * (1 + rng.exponential(0.1, 30)), "fails": np.where(best > 10.5, INF, 12.0)}
    return make_report(costs, {"exact": best}, paired_with=NASTY, scenario={"note": NASTY, "bandwidth_hz": 1e6})


@pytest.fixture
def hopeless(make_report: MakeReport) -> Report:
    return make_report({"never": [INF, INF]})


# ----------------------------------------------------------------------------------------------------------- tables


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("which", ["report", "hopeless"])
def test_json_is_strict_and_has_the_promised_keys(which: str, request: pytest.FixtureRequest) -> None:
    report: Report = request.getfixturevalue(which)
    read = json.loads(report.to_json(), parse_constant=refuse)
    assert list(read)[:4] == ["problem", "scenario", "reference", "methods"]
    for method in read["methods"]:
        assert list(method)[: len(PROMISED)] == PROMISED
    assert [method["name"] for method in read["methods"]] == [run.name for run in report.methods]


def test_numbers_that_do_not_exist_are_null(hopeless: Report) -> None:
    (method,) = json.loads(hopeless.to_json())["methods"]
    assert method["mean_cost"] is None
    assert method["gap_mean"] is None
    assert method["feasible_share"] == 0.0


def test_the_csv_is_the_frame(report: Report, tmp_path: Path) -> None:
    report.to_csv(tmp_path / "r.csv")
    read = pd.read_csv(tmp_path / "r.csv", index_col="name")
    pd.testing.assert_frame_equal(read, report.to_frame(), check_dtype=False)


def test_the_frame_and_the_json_say_the_same(report: Report) -> None:
    frame = report.to_frame()
    for method in report.to_dict()["methods"]:
        assert frame.loc[method["name"], "gap_mean"] == method["gap_mean"]


def test_numbers_per_instance_hold_every_method_and_instance(report: Report) -> None:
    frame = report.per_instance()
    assert len(frame) == 3 * 30
    exact = frame[frame["method"] == "exact"]
    assert (exact["gap"] == 0).all()
    assert np.isinf(frame.loc[frame["method"] == "fails", "cost"]).sum() == np.isinf(report.methods[2].cost).sum()


def test_the_summary_has_one_aligned_line_per_method(make_report: MakeReport) -> None:
    lines = make_report({"a": [10.0, 10.0], "longer name": [11.0, INF]}, {"a": [10.0, 10.0]}).summary().splitlines()
    assert lines[0] == "demo: 2 instances, reference: certified optimum"
    assert len(lines) == 4
    assert len(set(map(len, lines[1:]))) == 1
    assert re.fullmatch(r"longer name +11\.0000 +10\.0 +– +10\.0 +– +0 % +50\.0 % +4\.00 +4\.00 +2\.00", lines[3])


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (text.number(None), "–"),
        (text.number(0.0), "0"),
        (text.number(0.0123456), "0.0123"),
        (text.number(12.3456), "12.3"),
        (text.number(999.7), "1,000"),
        (text.number(9.9996), "10.0"),
        (text.number(123456.0), "123,456"),
        (text.number(1e9), "1.00e+09"),
        (text.number(2e-7), "2.00e-07"),
        (text.percent(0.0), "0"),
        (text.percent(3e-16), "0"),
        (text.percent(4e-7), "<0.0001"),
        (text.percent(0.00432), "0.432"),
        (text.share(1.0), "100 %"),
        (text.share(0.9999), "99.9 %"),
        (text.share(0.0001), "0.1 %"),
        (text.share(0.0), "0 %"),
        (text.share(None), "–"),
        (text.interval(0.01, 0.02), "1.00 – 2.00"),
        (text.interval(None, None), "–"),
    ],
)
def test_numbers_read_well_and_never_round_to_a_claim(shown: str, expected: str) -> None:
    assert shown == expected


# ----------------------------------------------------------------------------------------------------------- the page


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


# -------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("picture", [plots.gap_distribution, plots.gap_against_time])
@pytest.mark.parametrize("which", ["report", "hopeless"])
def test_pictures_draw_on_the_axes_that_are_given(
    picture: plots.Picture, which: str, request: pytest.FixtureRequest
) -> None:
    ax = Figure().add_subplot()
    assert picture(request.getfixturevalue(which), ax) is ax
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    assert ax.get_xlabel()


def test_every_gap_is_drawn_best_method_on_top(make_report: MakeReport) -> None:
    report = make_report({"worse": [12.0, 13.0, 10.0], "best": [10.0, 10.0, 10.0]}, {"best": [10.0, 10.0, 10.0]})
    ax = report.plot(Figure().add_subplot())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["best", "worse"]
    drawn = np.concatenate([np.asarray(dots.get_offsets())[:, 0] for dots in ax.collections])
    assert sorted(drawn) == pytest.approx([0.2, 0.3])
    shares = [label.get_text() for label in ax.texts]
    assert shares[:2] == ["100 %", "33.3 %"]


def test_a_mean_below_every_gap_stays_on_the_axis(make_report: MakeReport) -> None:
    best = np.full(1000, 10.0)
    report = make_report({"best": best, "rare": np.where(np.arange(1000) == 0, 11.0, best)}, {"best": best})
    ax = report.plot(Figure().add_subplot())
    low = ax.get_xlim()[0]
    assert any(np.allclose(line.get_xdata(), 1e-4) for line in ax.lines)
    assert low < 1e-4


def test_many_instances_are_drawn_as_quantiles(make_report: MakeReport) -> None:
    best = np.full(5000, 10.0)
    report = make_report({"a": best, "b": best + np.linspace(1, 2, 5000)}, {"a": best})
    dots = max(report.plot(Figure().add_subplot()).collections, key=lambda dots: len(dots.get_offsets()))
    drawn = np.asarray(dots.get_offsets())[:, 0]
    assert len(drawn) == plots.DOTS
    assert np.median(drawn) == pytest.approx(0.15, rel=1e-3)


def test_points_stand_at_mean_gap_and_time(make_report: MakeReport) -> None:
    report = make_report({"best": [10.0, 10.0], "other": [11.0, 12.0]}, {"best": [10.0, 10.0]})
    ax = report.plot_gap_time(Figure().add_subplot())
    filled = [line for line in ax.lines if line.get_marker() == "o" and line.get_markerfacecolor() != "none"]
    assert [4.0, 0.15] in [[line.get_xdata()[0], pytest.approx(line.get_ydata()[0])] for line in filled]
    assert {label.get_text() for label in ax.texts} >= {"best", "other"}


# ----------------------------------------------------------------------------------------------------------- files


def test_saving_writes_every_file_and_they_read_back(report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    report.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "gap.png",
        "gap_time.png",
        "per_instance.parquet",
        "report.csv",
        "report.html",
        "report.json",
    ]
    assert json.loads((folder / "report.json").read_text("utf-8")) == json.loads(report.to_json())
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "per_instance.parquet"), report.per_instance())
    assert imread(io.BytesIO((folder / "gap.png").read_bytes())).ndim == 3


def test_the_same_report_gives_the_same_files(report: Report) -> None:
    assert report.to_html() == report.to_html()
    assert plots.png(report, plots.gap_distribution) == plots.png(report, plots.gap_distribution)


def test_a_method_proves_if_it_has_any_bound() -> None:
    cost = np.ones(2)
    runs = [MethodRun("m", {}, cost, np.array(bound), cost, cost, False) for bound in ([-INF, 1.0], [-INF, -INF])]
    assert [run.proves for run in runs] == [True, False]
