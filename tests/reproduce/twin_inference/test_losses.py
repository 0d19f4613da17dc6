"""Fig. 5: its claims follow from the curves alone."""

from __future__ import annotations

import pytest

from offloadopt.reproduce.artefact import REPLICATE
from offloadopt.reproduce.twin_inference.losses import LossFigure
from offloadopt.reproduce.twin_inference.setting import (
    CGAN,
    MADDPG,
)

from toys.tiny_papers import judged
from toys.tiny_papers.twin_inference import (
    FULL,
)


@pytest.mark.parametrize(("factor", "holds"), [(0.5, True), (2.0, False)])
def test_losses_are_compared_by_roughness_and_steps(factor: float, holds: bool) -> None:
    rows = [
        {REPLICATE: r, "method": method, "step": step, "loss": 1.0, "roughness": f * (1 + 1e-3 * r), "settled_step": f}
        for r in (1, 2, 3)
        for method, f in ((MADDPG, 1.0), (CGAN, factor))
        for step in (10, 20)
    ]
    assert list(judged(LossFigure(FULL), rows).values()) == [holds, holds]
