"""Certificates that `certify` writes hold, and what was tampered with, damaged or invented is rejected."""

from __future__ import annotations

import ast
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import offloadopt
from offloadopt import certificates
from offloadopt.certificates.assignment import Rejected
from offloadopt.certificates.checker import check
from offloadopt.core import Instances
from offloadopt.errors import InvalidInput

from toys.priced_assignment import PrintShop
from toys.tampered_certificates import Records, outcome, read, write
from toys.tampered_certificates import certificates as branched


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Records]:
    return branched(tmp_path_factory.mktemp("certificates"), 1, users=16, servers=3)


def test_it_proves_the_claimed_gap_of_the_problem(tmp_path: Path) -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=20, servers=4)
    solutions = offloadopt.solve(problem, problem.sample(2, seed=3), "exact")
    offloadopt.certify(solutions, tmp_path / "proof.jsonl")
    for row, verdict in enumerate(check(tmp_path / "proof.jsonl")):
        assert verdict.of == "problem"
        assert float(verdict.cost) == pytest.approx(solutions.objective[row], rel=1e-12)
        assert verdict.gap <= max(solutions.gap[row], 1.01e-7)


@pytest.mark.parametrize("changes", [{}, {"task_spread": 0.0}, {"energy_weight": 0.0}])
def test_identical_servers_and_equal_tasks(tmp_path: Path, changes: dict[str, float]) -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=12, servers=3, **changes)
    drawn = problem.sample(1, seed=1)
    alike = Instances({**drawn, "gain": np.broadcast_to(drawn["gain"][..., :1], drawn["gain"].shape)})
    solutions = offloadopt.solve(problem, alike, "exact")
    offloadopt.certify(solutions, tmp_path / "proof.jsonl")
    (verdict,) = check(tmp_path / "proof.jsonl")
    assert verdict.gap <= max(solutions.gap[0], 1.01e-7)


def test_a_plugin_is_certified_as_a_table(tmp_path: Path) -> None:
    shop = PrintShop(PrintShop.scenario_type())
    solutions = offloadopt.solve(shop, shop.sample(3, seed=0), "exact")
    offloadopt.certify(solutions, tmp_path / "proof.jsonl")
    verdicts = list(check(tmp_path / "proof.jsonl"))
    assert [verdict.of for verdict in verdicts] == ["table"] * 3
    assert all(verdict.gap <= 1.01e-7 for verdict in verdicts)


def test_a_loose_bound_is_proved_as_it_is(tmp_path: Path) -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=20, servers=4)
    instances = problem.sample(1, seed=0)
    exact, heuristic = (offloadopt.solve(problem, instances, name) for name in ("exact", "local"))
    claimed = offloadopt.Solutions.scored(
        problem, instances, heuristic.decisions, seconds=0.0, bound=exact.bound * (1 - 1e-3)
    )
    offloadopt.certify(claimed, tmp_path / "proof.jsonl")
    (verdict,) = check(tmp_path / "proof.jsonl")
    assert float(verdict.bound) == claimed.bound[0]
    assert verdict.gap > 0.01


def test_tampered_files_are_rejected(tmp_path: Path, files: list[Records]) -> None:
    rng = random.Random(1)
    found = [outcome(tmp_path / "tampered.jsonl", files[0], rng) for _ in range(200)]
    assert not [kind for kind, result in found if result == "accepted"]
    assert sum(result == "rejected" for _, result in found) > 150


def test_damage_is_rejected_by_the_digest(tmp_path: Path, files: list[Records]) -> None:
    path = tmp_path / "proof.jsonl"
    write(path, files[0])
    whole = path.read_bytes()
    for damaged in (
        whole[:-20],
        whole.replace(b'"cost"', b'"cose"'),
        b"",
        b"{}\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b"[" * 9000,
    ):
        path.write_bytes(damaged)
        with pytest.raises(Rejected):
            list(check(path))


def test_what_is_no_file_is_rejected_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(Rejected, match="not a regular file"):
            list(check(path))


def test_numbers_that_are_none_are_rejected(tmp_path: Path, files: list[Records]) -> None:
    path = tmp_path / "proof.jsonl"
    write(path, files[0])
    text = path.read_text(encoding="utf-8")
    for value in ("NaN", "1e999", "Infinity"):
        records = read(path)
        records[1]["cost"] = "here"
        write(path, records)
        spoiled = path.read_bytes().replace(b'"here"', value.encode())
        body, _, _ = spoiled.rstrip(b"\n").rpartition(b"\n")
        from hashlib import sha256

        digest = sha256(body + b"\n").hexdigest()
        path.write_bytes(body + b'\n{"sha256": "' + digest.encode() + b'"}\n')
        with pytest.raises(Rejected):
            list(check(path))
        path.write_text(text, encoding="utf-8")


def test_what_has_no_certificate_is_refused_in_one_line(tmp_path: Path) -> None:
    problem = offloadopt.problem("multi_server", users=3, servers=1)
    solutions = offloadopt.solve(problem, problem.sample(1, 0), "exact")
    other = replace(solutions, problem=offloadopt.problem("partial_mobile"))
    with pytest.raises(InvalidInput, match="partial_mobile: no certificate"):
        offloadopt.certify(other, tmp_path / "proof.jsonl")
    with pytest.raises(InvalidInput, match="feasible decision and a bound"):
        offloadopt.certify(offloadopt.solve(problem, problem.sample(1, 0), "local"), tmp_path / "proof.jsonl")


def test_the_checker_imports_the_standard_library_alone() -> None:
    folder = Path(str(certificates.__file__)).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names or name.startswith("offloadopt.certificates"), name
