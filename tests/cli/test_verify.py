"""``solve --certificate`` and ``verify``."""

from __future__ import annotations

import json
from pathlib import Path

from toys.command_line import SMALL, Run, assert_one_line


def test_a_written_certificate_is_verified(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "proof.jsonl"
    solved = run("solve", *SMALL, "--count", "2", "--certificate", path, "--json")
    assert solved.status == 0, solved.err
    checked = run("verify", path, "--json")
    assert checked.status == 0, checked.err
    assert [row["proved_of"] for row in checked.json] == ["problem", "problem"]
    assert all(row["gap"] <= 1.01e-7 for row in checked.json)
    assert "gap proved" in run("verify", path).out


def test_it_must_be_about_the_given_instances(run: Run, tmp_path: Path) -> None:
    mine, path = tmp_path / "mine.json", tmp_path / "proof.jsonl"
    document = json.loads(run("template", *SMALL).out)
    mine.write_text(json.dumps(document), encoding="utf-8")
    assert run("solve", "multi_server", "--input", mine, "--certificate", path).status == 0
    assert run("verify", path, "--instance", mine).status == 0
    document["arrays"]["task_bits"]["values"][0][0] *= 1.001
    mine.write_text(json.dumps(document), encoding="utf-8")
    assert_one_line(run("verify", path, "--instance", mine), 1, "task_bits is not that of the instance")
    document["scenario"]["power_max_w"] *= 2.0
    mine.write_text(json.dumps(document), encoding="utf-8")
    assert_one_line(run("verify", path, "--instance", mine), 1, "another power_max_w")


def test_wrong_use_is_one_line(run: Run, tmp_path: Path) -> None:
    assert_one_line(run("solve", *SMALL, "--certificate", tmp_path / "proof.txt"), 2, "ends in .jsonl")
    assert_one_line(run("solve", "twin_inference", "--certificate", "p.jsonl"), 2, "no certificate of twin_inference")
    assert_one_line(
        run("solve", *SMALL, "--certificate", "p.jsonl", "--export", "m.lp"), 2, "--certificate and --export"
    )
    (tmp_path / "no.jsonl").write_text("hello\n", encoding="utf-8")
    assert_one_line(run("verify", tmp_path / "no.jsonl"), 1, "rejected")
