"""Compiled kernels in a cache that other processes write, are killed in, and that holds what is damaged or older."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import pytest

from offloadopt.kernels import KernelFiles

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


class Killed(BaseException):
    """Stands for whatever ends a process."""


def files(folder: Path, stamp: int = 1) -> KernelFiles:
    return KernelFiles(str(folder), "kernel", stamp)


def test_two_processes_that_save_at_once_never_mix_their_code(tmp_path: Path) -> None:
    class Other(KernelFiles):
        def _load_index(self) -> dict[str, str]:
            return {}  # read before the first one wrote it

    class Slow(KernelFiles):
        def _save_data(self, name: str, data: str) -> None:
            Other(str(tmp_path), "kernel", 1).save("second", "code of the second")
            super()._save_data(name, data)

    Slow(str(tmp_path), "kernel", 1).save("first", "code of the first")
    assert files(tmp_path).load("first") in (None, "code of the first")
    assert files(tmp_path).load("second") in (None, "code of the second")


@pytest.mark.parametrize("step", ["_save_index", "_save_data"])
def test_a_process_that_is_killed_while_it_saves_leaves_no_code_of_an_older_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    files(tmp_path).save("key", "older code")

    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(KernelFiles, step, kill)
        with pytest.raises(Killed):
            files(tmp_path, stamp=2).save("key", "newer code")
    assert files(tmp_path, stamp=2).load("key") is None
    files(tmp_path, stamp=2).save("key", "newer code")
    assert files(tmp_path, stamp=2).load("key") == "newer code"


KERNEL = """
from offloadopt.kernels import njit
{constant}

@njit(cache=True)
def scaled(x):
    return FACTOR * x
"""


def module(folder: Path, constant: str) -> ModuleType:
    path = folder / "kernel_of_a_test.py"
    if not path.exists():
        path.write_text(KERNEL.format(constant="from builtins import FACTOR"))
    import builtins

    builtins.FACTOR = float(constant)  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_code_is_kept_until_a_constant_of_another_module_changes(tmp_path: Path) -> None:
    assert module(tmp_path, "2").scaled(3.0) == 6.0
    again = module(tmp_path, "2").scaled
    assert again(3.0) == 6.0
    assert sum(again.stats.cache_hits.values()) == 1
    assert module(tmp_path, "5").scaled(3.0) == 15.0


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_a_damaged_cache_is_replaced(tmp_path: Path, suffix: str) -> None:
    module(tmp_path, "2").scaled(3.0)
    damaged = list(tmp_path.rglob(f"*.{suffix}"))
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[:20])
    assert module(tmp_path, "2").scaled(3.0) == 6.0
    again = module(tmp_path, "2").scaled
    again(3.0)
    assert sum(again.stats.cache_hits.values()) == 1


def test_a_cache_that_cannot_be_written_only_costs_a_compilation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(KernelFiles, "save", full)
    assert module(tmp_path, "2").scaled(3.0) == 6.0
