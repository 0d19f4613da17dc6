"""Errors carry an exit status, and name the nearest valid name."""

from __future__ import annotations

from offloadopt.errors import InvalidInput, OffloadError, Unsupported, nearest


def test_errors_carry_the_exit_status_of_the_command_line() -> None:
    assert (OffloadError.exit_status, InvalidInput.exit_status, Unsupported.exit_status) == (1, 2, 2)
    assert issubclass(InvalidInput, ValueError)


def test_an_unknown_name_is_answered_by_the_nearest_or_by_all() -> None:
    assert nearest("exat", ["exact", "levy"]) == "did you mean 'exact'?"
    assert nearest("zzz", ["levy", "exact"]) == "known: exact, levy"
