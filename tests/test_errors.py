"""Errors carry the exit status of the command line; unknown names come with the nearest known one."""

from __future__ import annotations

from offloadopt.errors import InvalidInput, OffloadError, Unsupported, nearest


def test_errors_carry_the_exit_status_of_the_command_line() -> None:
    assert (OffloadError.exit_status, InvalidInput.exit_status, Unsupported.exit_status) == (1, 2, 2)
    assert issubclass(InvalidInput, ValueError)


def test_the_nearest_name_is_offered_or_all_are_listed() -> None:
    assert nearest("gian", ["gain", "bits"]) == "did you mean 'gain'?"
    assert nearest("xyz", ["gain", "bits"]) == "known: bits, gain"
    assert nearest("xyz", []) == "known: none"
