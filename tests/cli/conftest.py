"""Running the command line within a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from offloadopt import registry
from offloadopt.cli import main

from toys.command_line import Ran, Run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("offloadopt.progress.QUIET_S", 3600.0)  # on a busy machine everything takes long

    def call(*arguments: str | Path) -> Ran:
        status = main([str(argument) for argument in arguments])
        return Ran(status, *capsys.readouterr())

    return call


@pytest.fixture
def overloading(monkeypatch: pytest.MonkeyPatch) -> None:
    known = registry.names
    place = "toys.command_line:Overloading"
    monkeypatch.setattr(registry, "names", lambda group: {**known(group), "overloading": (place,)})
