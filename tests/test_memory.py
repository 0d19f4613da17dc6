"""Memory is estimated before it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

import offloadopt
from offloadopt import memory
from offloadopt.errors import InvalidInput

GIB = 2**30


def test_what_is_larger_than_the_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine_bytes", lambda: 4 * GIB)
    memory.require_memory(4 * GIB, "a model")
    with pytest.raises(InvalidInput, match=r"a model: about 8 GiB of memory; allowed: .* this machine's 4 GiB"):
        memory.require_memory(8 * GIB, "a model")


def test_a_container_has_the_memory_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, unlimited = tmp_path / "memory.max", tmp_path / "other"
    given.write_text(f"{GIB}\n")
    unlimited.write_text("max\n")
    monkeypatch.setattr(memory, "CGROUP_LIMITS", (given, unlimited, tmp_path / "missing"))
    assert memory.machine_bytes.__wrapped__() == GIB


@pytest.mark.parametrize("name", offloadopt.available()["problems"])
def test_instances_that_no_machine_holds_are_refused_before_they_are_sampled(name: str) -> None:
    with pytest.raises(InvalidInput, match="GiB of memory"):
        offloadopt.problem(name).sample(10**12, seed=0)
    with pytest.raises(InvalidInput, match="GiB of memory"):
        offloadopt.problem(name).sample(10**5000, seed=0)
    users = {"users": 10**6, **({"antennas": 10**6} if name == "carbon_mimo" else {"horizon": 10**6})}
    if name == "multi_server":
        users = {"users": 10**6, "servers": 10**5}
    with pytest.raises(InvalidInput, match=r"1 instances of .*GiB of memory"):
        offloadopt.problem(name, **users).sample(1, seed=0)
    for count, seed in ((-1, 0), (1.5, 0), (1, -1), (1, "x"), (True, 0)):
        with pytest.raises(InvalidInput, match="allowed: a whole number of at least 0"):
            offloadopt.problem(name).sample(count, seed)
