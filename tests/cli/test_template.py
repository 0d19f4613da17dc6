"""`offloadopt template`: what it prints is accepted by --input as it is."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from offloadopt import registry

from toys.command_line import SMALL, Run, assert_one_line
from toys.small_problems import SMALL as SIZES


@pytest.mark.parametrize("name", registry.BUILT_IN["problems"])
def test_a_template_is_solved_as_it_is_with_its_scenario(run: Run, tmp_path: Path, name: str) -> None:
    sizes = [text for field, value in SIZES[name].items() for text in ("--set", f"{field}={value}")]
    printed = run("template", name, *sizes, "--count", "2", "--seed", "3")
    assert (printed.status, printed.err) == (0, "")
    (tmp_path / "mine.json").write_text(printed.out, encoding="utf-8")
    again = run("solve", name, "--solver", "random", "--input", tmp_path / "mine.json", "--json")
    assert again.status == 0, again.err
    drawn = run("solve", name, *sizes, "--solver", "random", "--count", "2", "--seed", "3", "--json")
    assert again.json["scenario"] == drawn.json["scenario"]
    assert len(again.json["results"]) == 2


def test_tables_are_solved_by_the_printed_command(run: Run, tmp_path: Path) -> None:
    printed = run("template", *SMALL, "--count", "2", "--tables", tmp_path / "tables")
    ran = run(*shlex.split(printed.out)[1:], "--json")
    assert ran.status == 0, ran.err
    drawn = run("solve", *SMALL, "--count", "2", "--json")
    assert [r["objective"] for r in ran.json["results"]] == [r["objective"] for r in drawn.json["results"]]


def test_the_schema_names_every_array(run: Run) -> None:
    schema = json.loads(run("template", *SMALL, "--schema").out)
    assert {"gain", "task_bits", "task_cycles"} <= schema["properties"]["arrays"]["properties"].keys()


def test_wrong_usage_is_one_line(run: Run, tmp_path: Path) -> None:
    assert_one_line(run("template", "multi_sever"), 2, "'multi_server'")
    assert_one_line(run("template", *SMALL, "--schema", "--tables", tmp_path), 2, "--schema", "--tables")


def test_the_rest_is_drawn_with_fill(run: Run, tmp_path: Path) -> None:
    tasks = "".join(f"{n},{8e5 + n},1e9\n" for n in range(5))
    (tmp_path / "tasks.csv").write_text(f"user,task_bits,task_cycles\n{tasks}", encoding="utf-8")
    command = ("solve", *SMALL, "--solver", "greedy", "--input", tmp_path / "tasks.csv")
    assert_one_line(run(*command), 2, "'gain'", "missing")
    found = run(*command, "--fill", "--seed", "7", "--json", "--with-instances").json["results"][0]["instance"]
    drawn = registry.problem("multi_server", users=5).sample(1, seed=7)
    assert found["gain"] == drawn["gain"][0].tolist()
    assert found["task_bits"] == [8e5 + n for n in range(5)]
    assert_one_line(run("solve", *SMALL, "--fill"), 2, "--fill", "--input")
