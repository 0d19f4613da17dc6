"""One small reproduction for all tests that read its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from offloadopt.reproduce.claims import Claim

from toys.tiny_papers import reproduce_once
from toys.tiny_papers.multi_server import tiny


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Claim]]:
    """Everything, in the smallest size."""
    pytest.importorskip("stable_baselines3")
    return reproduce_once(tiny(), [], tmp_path_factory)
