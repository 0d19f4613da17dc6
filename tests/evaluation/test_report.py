"""Tables, files and pictures of a report."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from offloadopt.evaluation import Report

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
    assert hopeless.to_dict()["undecided_instances"] == 2


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
    assert lines[4] == ""
    assert len(set(map(len, lines[1:4]))) == 1
    assert re.fullmatch(r"longer name +11\.0000 +10\.0 +– +10\.0 +– +0 % +50\.0 % +4\.00 +4\.00 +2\.00", lines[3])


def test_the_summary_ends_with_what_reference_feasibility_and_times_mean(make_report: MakeReport) -> None:
    costs, bounds = {"a": [10.0, 10.0]}, {"a": [10.0, 10.0]}
    one_shot = make_report(costs, bounds).summary().splitlines()
    assert one_shot[4:] == [
        "Gaps are measured from the certified optimum, proved by a.",
        "Feasible: no constraint has a relative violation above 1e-09.",
    ]
    episodes = make_report(costs, bounds, horizon=20, hindsight=["a"]).summary()
    assert "it knows all 20 slots of an episode from the start" in " ".join(episodes.split())
    assert episodes.endswith("Times are those of a whole episode of 20 slots, not of one slot.")
    assert max(map(len, episodes.splitlines())) <= 120


def test_a_printed_report_is_its_summary_and_its_repr_is_one_line(make_report: MakeReport) -> None:
    report = make_report({"a": [10.0, 12.0], "b": [11.0, 12.0]}, {"a": [10.0, 12.0]})
    assert str(report) == report.summary()
    assert repr(report) == "Report(demo, methods: a, b, 2 instances, reference: certified optimum)"


def test_a_notebook_shows_the_same_table_as_the_summary_escaped(report: Report) -> None:
    html = report._repr_html_()
    cells = [unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", html)]
    summary = [re.split(" {2,}", line) for line in report.summary().splitlines()[1:5]]
    assert [cells[first : first + 11] for first in range(0, len(cells), 11)] == summary
    assert html.count("<tr>") == 4
    assert "<script>" not in html
    assert "proved by exact" in html
    assert "1e-09" in html


def test_the_json_states_horizon_tolerance_and_reference(make_report: MakeReport) -> None:
    read = json.loads(make_report({"a": [10.0]}, {"a": [10.0]}, horizon=5, hindsight=["a"]).to_json())
    assert (read["horizon"], read["feasibility_tolerance"]) == (5, 1e-9)
    assert "in hindsight" in read["reference_note"]


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
    saved = json.loads((folder / "report.json").read_text("utf-8"))
    assert saved.items() >= json.loads(report.to_json()).items()
    assert saved["summary"] == report.summary()
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "per_instance.parquet"), report.per_instance())
    assert imread(io.BytesIO((folder / "gap.png").read_bytes())).ndim == 3


def test_the_same_report_gives_the_same_page(report: Report) -> None:
    assert report.to_html() == report.to_html()
