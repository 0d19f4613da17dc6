"""The package runs as a program."""

from __future__ import annotations

import subprocess
import sys

import offloadopt


def test_python_m_is_the_command_line() -> None:
    command = [sys.executable, "-m", "offloadopt", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"offloadopt {offloadopt.__version__}\n"
