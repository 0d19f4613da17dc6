"""One small reproduction of each paper for all tests that read its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from offloadopt.reproduce.claims import Claim

from toys.tiny_papers import reproduce_once


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Claim]]:
    """Folder and claims of a paper in its smallest size: that of the test's folder, or the parameter."""
    return reproduce_once(getattr(request, "param", request.path.parent.name), tmp_path_factory)
