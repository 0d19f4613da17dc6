"""Progress, tables, notes and errors on the terminal."""

from __future__ import annotations

import pytest

import offloadopt
from offloadopt.cli import terminal

from toys.command_line import Run


def test_version_is_the_package_s(run: Run) -> None:
    assert run("--version").out == f"offloadopt {offloadopt.__version__}\n"


def test_errors_and_notes_go_to_stderr_and_json_alone_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.fail("first line\n  second line", 7) == 7
    terminal.note("a note")
    terminal.print_json({"a": [1, None]})
    assert capsys.readouterr() == ('{"a": [1, null]}\n', "error: first line second line\na note\n")
    with pytest.raises(ValueError, match="not JSON compliant"):
        terminal.print_json(float("nan"))


def test_a_table_puts_text_to_the_left_and_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_table(["rule", "cost"], [("[bold]a", "1"), ("longer rule", "22.5")])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == "rule          cost"
    assert lines[2:] == ["[bold]a          1", "longer rule   22.5"]
