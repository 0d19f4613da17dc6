"""``python -m offloadopt.certificates``."""

from __future__ import annotations

from pathlib import Path

import pytest

import offloadopt
from offloadopt.certificates.__main__ import main


def test_it_prints_what_is_proved_and_rejects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = offloadopt.problem("multi_server", users=4, servers=2)
    path = tmp_path / "proof.jsonl"
    offloadopt.certify(offloadopt.solve(problem, problem.sample(2, 0), "exact"), path)
    assert main([str(path)]) == 0
    assert capsys.readouterr().out.count("from the problem's equations") == 2
    path.write_bytes(path.read_bytes()[:-4])
    assert main([str(path)]) == 1
    assert capsys.readouterr().err.startswith("rejected: ")
    assert main([str(tmp_path / "none.jsonl")]) == 1
