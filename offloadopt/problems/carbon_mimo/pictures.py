"""Pictures of a solution of `carbon_mimo`: carbon and lost bits beside the structure's buffers and energy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.core import Decisions, Instances
from offloadopt.pictures import Panel
from offloadopt.pictures.over_slots import draw_lines

if TYPE_CHECKING:
    from offloadopt.problems.carbon_mimo.problem import CarbonMimo


def panels(problem: CarbonMimo, instances: Instances, decisions: Decisions) -> list[Panel]:
    """Draw carbon and lost bits, each summed up from the first slot on; the latter where any is lost."""
    slots = [outcome.metrics for _, _, outcome in problem.rollout_of(instances, decisions)]
    carbon_g, lost_bits = (
        np.cumsum([float(metrics[name][0]) for metrics in slots]) for name in ("carbon_g", "overflow_bits")
    )
    carbon = partial(draw_lines, series={"carbon": 1e6 * carbon_g}, unit="µg, in total")
    lost = partial(draw_lines, series={"lost bits": 1e-3 * lost_bits}, unit="kbit, in total")
    found = [Panel("carbon", "Carbon of the energy from the grid", carbon, 1.7)]
    return [*found, Panel("overflow", "Bits that overflowed", lost, 1.7)] if lost_bits[-1] > 0 else found
