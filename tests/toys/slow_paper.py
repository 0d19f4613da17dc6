"""A small paper whose work can be counted and interrupted: python slow_paper.py FOLDER SECONDS_PER_UNIT."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from offloadopt.reproduce.artefact import Artefact, Paper, Result, Unit
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.runner import reproduce
from offloadopt.reproduce.summary import REPLICATE, values

LOG, PAUSE = "SLOW_PAPER_LOG", "SLOW_PAPER_PAUSE"


def measure(point: int, seed: int) -> Result:
    """Leaves a line for every call, in whichever process."""
    with Path(os.environ[LOG]).open("a") as log:
        log.write(f"{point} {seed}\n")
    time.sleep(float(os.environ.get(PAUSE, "0")))
    return {"number": 10.0 * point + seed}


def slow(name: str, points: Sequence[int], replicates: int = 3) -> Artefact:
    """Its numbers are above 0 and grow with the points."""

    def over(seed: int) -> Iterable[Unit]:
        return [Unit(measure, {"point": point, "seed": seed}, {REPLICATE: seed, "point": point}) for point in points]

    def picture(summary: pd.DataFrame) -> Figure:
        figure = Figure(figsize=(1, 1))
        figure.subplots().plot(summary["point"], summary["number"])
        return figure

    def above(frame: pd.DataFrame) -> Iterable[Claim]:
        found = Interval.of(values(frame, "number", point=points[0]))
        yield Claim(f"{name} is above 0", "Fig. 0", "1", found.text(), found.above(0.0), "the mean is above 0")

    return Artefact(
        study=SimpleNamespace(replicates=range(1, replicates + 1)),
        name=name,
        keys=("point",),
        over=over,
        read=lambda unit, result: [{"point": unit.labels["point"], **result}],
        picture=picture,
        claimed=(above,),
    )


def paper(size: str = "quick", **settings: Any) -> Paper:
    return Paper("slow", size, settings, (), [slow("fig-1", (1, 2)), slow("fig-2", (2, 3))])


if __name__ == "__main__":
    os.environ[PAUSE] = sys.argv[2]
    # Workers must be able to import `measure`, so it may not be found in __main__.
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from toys import slow_paper

    reproduce(slow_paper.paper(), [], sys.argv[1], workers=2)
