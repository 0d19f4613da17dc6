"""One small reproduction for all tests that read its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from offloadopt.reproduce.claims import Claim

from toys.tiny_papers import reproduce_once
from toys.tiny_papers.twin_inference import NAMES, tiny


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Claim]]:
    """All but the generated samples, in the smallest size."""
    return reproduce_once(tiny(), NAMES[2:], tmp_path_factory)
