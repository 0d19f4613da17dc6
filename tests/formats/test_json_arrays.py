"""Arrays as JSON have one meaning, and what is no array of numbers is refused with its reason."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from offloadopt import files
from offloadopt.errors import DamagedFile, InvalidInput


def test_all_forms_of_json_mean_the_same(tmp_path: Path) -> None:
    gain, bits = [[[1.5, 2.0]], [[0.25, 1e-12]]], [[8], [9]]
    instances = [{"gain": g, "task_bits": b} for g, b in zip(gain, bits, strict=True)]
    printed = {
        "problem": "multi_server",
        "results": [{"index": i, "bound": None, "instance": instance} for i, instance in enumerate(instances)],
    }
    for content in ({"gain": gain, "task_bits": bits}, instances, printed):
        (tmp_path / "i.json").write_text(json.dumps(content), encoding="utf-8")
        loaded = files.load_arrays(tmp_path / "i.json")
        assert {name: array.tolist() for name, array in loaded.items()} == {"gain": gain, "task_bits": bits}


def test_json_holds_neither_nan_nor_infinity(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="NaN"):
        files.save_batch({"x": np.array([0.0, np.nan])}, tmp_path / "x.json")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"gain": [[1, 2], [3]]}', "'gain' is ragged"),
        ('{"gain": [["a"], ["b"]]}', "'gain'"),
        ('{"gain": [[1], [null]]}', "'gain'"),
        ('{"gain": [NaN]}', "NaN"),
        ('{"gain": [-Infinity]}', "-Infinity"),
        ('{"gain": 1}', "'gain'"),
        ('{"gain": [1], "task_bits": [1, 2]}', "disagree"),
        ('[{"gain": [1]}, {"gain": [1], "task_bits": [1]}]', "'task_bits' is in some instances only"),
        ('[{"gain": [1, 2]}, {"gain": [1]}]', "ragged"),
        ('{"results": [{"index": 0}]}', "--with-instances"),
        ('{"results": [1]}', "must hold instances"),
        ('{"results": null}', "not iterable"),
        ('{"results": []}', "no instances"),
        ("[]", "no instances"),
        ("{}", "no instances"),
        ("[1, 2]", "must hold instances"),
        ("3", "neither"),
        ('{"gain": [1], "gain": [2]}', "'gain' twice"),
        ('{"gain": [1e999]}', "1e999"),
        ("[" * 100_000, "nested deeply"),
        ("gain,task_bits\n1,2\n", "no JSON"),
    ],
)
def test_json_of_another_shape_is_refused_with_its_reason(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DamagedFile, match=re.escape(reason)) as error:
        files.load_arrays(path)
    assert str(path) in str(error.value)
    assert str(error.value).isprintable()
