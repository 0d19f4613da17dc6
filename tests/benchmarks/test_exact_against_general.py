"""The benchmark's table can be killed at any moment: the same call goes on to the same bytes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.exact_against_general import run

from toys import crashes


def small(out: Path) -> None:
    run(out, ["6x2"], ["1"], 2, 5.0, ["exact"])


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes() -> None:
    points, whole = crashes.undisturbed(small)
    assert sorted(whole) == ["table.md", "times.csv", "times.png"]
    for point in (points // 2, points - 1):
        assert crashes.killed_at(small, point, whole) is None
