"""Training curves are written for TensorBoard where a folder is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from offloadopt.cli.curves import curves
from offloadopt.errors import Unsupported


def test_without_a_folder_nothing_is_recorded() -> None:
    with curves(None) as record:
        assert record is None


def test_every_recorded_number_can_be_read_back(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with curves(tmp_path) as record:
        assert record is not None
        record(10, {"episode/cost": 2.0, "train/loss": 0.5})
        record(20, {"episode/cost": 1.0})
    read = accumulator.EventAccumulator(str(tmp_path))
    read.Reload()
    assert [(event.step, event.value) for event in read.Scalars("episode/cost")] == [(10, 2.0), (20, 1.0)]
    assert [(event.step, event.value) for event in read.Scalars("train/loss")] == [(10, 0.5)]


def test_without_tensorboard_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(Unsupported, match=r"pip install 'offloadopt\[tensorboard\]'"), curves(tmp_path):
        pass
