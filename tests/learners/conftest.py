"""What tests of learners share."""

from __future__ import annotations

from typing import Any

import pytest

from offloadopt.learners.common import off_policy

from toys.aiming import Aiming, AimingScenario


@pytest.fixture
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rounds of off-policy learners have few slots, so that short trainings have several."""
    monkeypatch.setattr(off_policy, "ROUND_SLOTS", 8)


@pytest.fixture
def aiming() -> Any:
    """Makes an `Aiming` with changes to its scenario."""
    return lambda **changes: Aiming(AimingScenario(**changes))
