"""Files that somebody damaged or edited, digests renewed: refused in one line, or read as the truth; from seeds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from toys.damage import THINGS, fault

SLOW = ("dirs",)  # for `make fuzz`


@pytest.mark.parametrize("name", [name for name in THINGS if name not in SLOW])
def test_a_damaged_thing_is_refused_or_tells_the_truth(name: str, tmp_path: Path) -> None:
    for seed in range(12):
        folder = tmp_path / str(seed) / "thing"
        folder.mkdir(parents=True)
        assert fault(random.Random(f"{name}/{seed}"), folder, name) is None, seed
