"""Templates are JSON that people can edit, or tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offloadopt import registry
from offloadopt.errors import InvalidInput
from offloadopt.own_instances import document, read_instances, template, write_tables


def test_a_template_is_a_document_with_a_line_for_each_instance() -> None:
    problem = registry.problem("multi_server", users=3)
    instances = problem.sample(2, seed=1)
    text = template(problem, instances)
    assert json.loads(text) == document.encode(problem, instances)
    assert "        [800000.0, 800000.0, 800000.0],\n        [800000.0, 800000.0, 800000.0]\n" in text


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_written_and_read_again(tmp_path: Path, suffix: str) -> None:
    problem = registry.problem("twin_inference", users=2, horizon=2)
    instances = problem.sample(2, seed=1)
    paths = write_tables(problem, instances, tmp_path / "tables", suffix)
    assert {path.suffix for path in paths} == {suffix}
    found = read_instances(paths, problem)
    assert all((found[name] == instances[name]).all() for name in instances)
    with pytest.raises(InvalidInput, match="not empty"):
        write_tables(problem, instances, tmp_path / "tables", suffix)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    problem = registry.problem("multi_server", users=2)
    with pytest.raises(InvalidInput, match=r"suffix = '.xlsx'; allowed: .csv, .parquet"):
        write_tables(problem, problem.sample(1, 0), tmp_path / "t", ".xlsx")
