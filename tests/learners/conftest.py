"""What tests of learners share."""

from __future__ import annotations

from typing import Any

import pytest

from toys.aiming import Aiming, AimingScenario


@pytest.fixture
def aiming() -> Any:
    """Makes an `Aiming` with changes to its scenario."""
    return lambda **changes: Aiming(AimingScenario(**changes))
