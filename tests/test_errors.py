"""Errors carry the exit status of the command line; unknown names come with the nearest known one."""

from __future__ import annotations

import pickle

from offloadopt.errors import MAX_MESSAGE, InvalidInput, OffloadError, Unsupported, nearest


def test_errors_carry_the_exit_status_of_the_command_line() -> None:
    assert (OffloadError.exit_status, InvalidInput.exit_status, Unsupported.exit_status) == (1, 2, 2)
    assert issubclass(InvalidInput, ValueError)


def test_the_nearest_name_is_offered_or_all_are_listed() -> None:
    assert nearest("gian", ["gain", "bits"]) == "did you mean 'gain'?"
    assert nearest("xyz", ["gain", "bits"]) == "known: bits, gain"
    assert nearest("xyz", []) == "known: none"


def test_a_message_is_one_short_line_that_keeps_its_beginning_and_its_end() -> None:
    name = "x" * 3000
    text = str(InvalidInput(f"unknown field {name!r} of\n\tScenario; did you mean 'users'?"))
    assert text.startswith("unknown field 'xxx")
    assert text.endswith("xxx' of Scenario; did you mean 'users'?")
    assert len(text) < 200
    for long in (" ".join(["word"] * 3000), f"{name} {name} {name} {name} {name} {name}", "\n" * 3000):
        assert len(str(OffloadError(long))) <= MAX_MESSAGE
    assert str(InvalidInput(f"hidden = {[7] * 3000}; allowed: 8 widths")).endswith("7]; allowed: 8 widths")
    path = "/long/" * 40
    assert str(OffloadError(f"cannot read {path}: No such file")) == f"cannot read {path}: No such file"


def test_a_message_holds_nothing_that_a_terminal_obeys() -> None:
    assert str(OffloadError("a\x1b[31mred\x07\x9b1m \u202ename\udcff\x00\r\nb")) == "a[31mred1m name b"
    assert pickle.loads(pickle.dumps(InvalidInput("x\x1by"))).args == ("xy",)  # as from a worker process
