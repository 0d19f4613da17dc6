"""The package runs as a program."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import offloadopt
from offloadopt.__main__ import main


def test_python_m_is_the_command_line() -> None:
    command = [sys.executable, "-m", "offloadopt", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"offloadopt {offloadopt.__version__}\n"


def test_ctrl_c_during_the_import_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press_ctrl_c(name: str, *_: object) -> None:
        raise KeyboardInterrupt

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.delitem(sys.modules, "offloadopt.cli", raising=False)
    monkeypatch.setattr("builtins.__import__", press_ctrl_c)
    status = main()
    monkeypatch.undo()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert status == 130
    assert capsys.readouterr().err == "error: interrupted\n"
