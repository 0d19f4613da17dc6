"""Progress of long work on stderr."""

from __future__ import annotations

import time

import pytest

from offloadopt.progress import progress


def test_progress_is_a_plain_line_now_and_then_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 3.0, 4.0, 14.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with progress("solving", 40) as advance:
        for _ in range(4):
            advance(10)
    assert capsys.readouterr() == ("", "solving: 20 of 40 after 3 s\nsolving: 40 of 40 after 14 s\n")
