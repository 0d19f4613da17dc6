"""`offloadopt reproduce` refuses wrong usage, prints claims and continues by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offloadopt.cli import main
from offloadopt.reproduce.multi_server import plan

from toys.tiny_papers.multi_server import TINY


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["reproduce", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_wrong_usage_is_refused_before_anything_is_done(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert "did you mean 'table-2'" in refused(capsys, "multi_server", "tabel-2", *out)
    assert "--quick and --full" in refused(capsys, "multi_server", "--quick", "--full", *out)
    assert "no paper 'multiserver' to reproduce; did you mean 'multi_server'" in refused(capsys, "multiserver", *out)
    assert "sites_file is missing" in refused(capsys, "multi_server", "--users-file", tmp_path / "u.csv", *out)
    assert not (tmp_path / "out").exists()


def test_the_command_prints_claims_and_continues_by_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(plan.PLAN.sizes, "quick", TINY)
    command = ["reproduce", "multi_server", "fig-7", "--out", str(tmp_path / "out"), "--workers", "1"]
    # The preset's own 30 users; only the sizes are tiny.
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "Fig. 7" in out
    assert "1 claim: " in out
    assert "shortened" in err
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "work").iterdir()}
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["source"] for row in rows] == ["Fig. 7"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "work").iterdir()} == stamps
