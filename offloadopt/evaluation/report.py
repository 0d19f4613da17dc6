"""What a comparison found: numbers per instance, and the tables, pictures and files made from them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.evaluation import formatting as text
from offloadopt.evaluation import html_report as page
from offloadopt.evaluation import plots
from offloadopt.evaluation.reference import SAME_COST, Reference
from offloadopt.evaluation.statistics import LEVEL, Statistics, summarise
from offloadopt.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class MethodRun:
    """What one method did.

    Attributes
    ----------
    settings : mapping
        The method's fields, if it has any.
    cost : array [count]
        ``inf`` where the decision is infeasible.
    bound : array [count]
        Proved lower bound, ``-inf`` where there is none.
    seconds : array [count]
        Time per instance when all are decided in one call.
    seconds_alone : array [timed]
        Times of decisions made one at a time.
    alone_from_batch : bool
        Whether ``seconds_alone`` are ``seconds``, because the method is too slow to be asked again.
    """

    name: str
    settings: Mapping[str, Any]
    cost: FloatArray
    bound: FloatArray
    seconds: FloatArray
    seconds_alone: FloatArray
    alone_from_batch: bool

    @property
    def proves(self) -> bool:
        """Whether the method proved a bound for any instance."""
        return not bool(np.isneginf(self.bound).all())


@dataclass(frozen=True)
class Report:
    """The result of `compare`.

    Attributes
    ----------
    problem : str
    scenario, scenario_notes : mapping
        Values and descriptions of the scenario's fields.
    reference : Reference
        What the gaps are measured from.
    methods : tuple of MethodRun
    paired_with : str or None
        The method that wins and losses are counted against.
    seed, bootstrap : int
        Seed of methods and intervals; resamples of each interval.
    """

    problem: str
    scenario: Mapping[str, Any]
    scenario_notes: Mapping[str, str]
    reference: Reference
    methods: tuple[MethodRun, ...]
    paired_with: str | None
    seed: int
    bootstrap: int

    @property
    def count(self) -> int:
        """Number of instances."""
        return len(self.reference.values)

    @cached_property
    def statistics(self) -> tuple[Statistics, ...]:
        """One row per method."""
        costs = {run.name: run.cost for run in self.methods}
        return tuple(
            summarise(
                run.name,
                run.cost,
                run.bound,
                self.reference,
                seconds=run.seconds,
                seconds_alone=run.seconds_alone,
                alone_from_batch=run.alone_from_batch,
                opponent=None if self.paired_with in (None, run.name) else costs[self.paired_with],
                resamples=self.bootstrap,
                seed=self.seed,
            )
            for run in self.methods
        )

    @cached_property
    def gaps(self) -> Mapping[str, FloatArray]:
        """By method, [count] relative gap to the reference; NaN where there is none."""
        return {run.name: self.reference.gap(run.cost) for run in self.methods}

    # ------------------------------------------------------------------------------------------------------- tables

    def to_dict(self) -> dict[str, Any]:
        """Plain values only: a number that does not exist is ``None``, never NaN or infinite."""
        settings = {run.name: dict(run.settings) for run in self.methods}
        return {
            "problem": self.problem,
            "scenario": dict(self.scenario),
            "reference": self.reference.label,
            "methods": [{**asdict(row), "settings": settings[row.name]} for row in self.statistics],
            "reference_provers": list(self.reference.provers),
            "instances": self.count,
            "infeasible_instances": int(self.reference.infeasible.sum()),
            "paired_with": self.paired_with,
            "same_cost": SAME_COST,
            "interval_level": LEVEL,
            "bootstrap": self.bootstrap,
            "seed": self.seed,
        }

    def to_json(self) -> str:
        """`to_dict` as strict JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_frame(self) -> pd.DataFrame:
        """One row per method, indexed by its name."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.statistics]).set_index("name")

    def to_csv(self, path: str | Path) -> None:
        """Write `to_frame`."""
        write_atomic(path, self.to_frame().to_csv().encode())

    def per_instance(self) -> pd.DataFrame:
        """One row per method and instance: cost, gap, bound, the reference and the time in the batch."""
        import pandas as pd

        parts = [
            pd.DataFrame(
                {
                    "method": run.name,
                    "instance": np.arange(self.count),
                    "cost": run.cost,
                    "gap": self.gaps[run.name],
                    "bound": run.bound,
                    "reference": self.reference.values,
                    "seconds": run.seconds,
                }
            )
            for run in self.methods
        ]
        return pd.concat(parts, ignore_index=True)

    def summary(self) -> str:
        """The comparison in a few lines of plain text."""
        return text.table(self)

    # ----------------------------------------------------------------------------------------------------- pictures

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each method's distribution of gaps."""
        return plots.gap_distribution(self, ax)

    def plot_gap_time(self, ax: Axes | None = None) -> Axes:
        """Draw each method's mean gap against its decision time."""
        return plots.gap_against_time(self, ax)

    # -------------------------------------------------------------------------------------------------------- files

    def to_html(self) -> str:
        """One page with tables and pictures that needs nothing but itself."""
        return page.render(self)

    def write_html(self, path: str | Path) -> None:
        """Write `to_html`."""
        write_atomic(path, self.to_html().encode())

    def save(self, folder: str | Path) -> None:
        """Write the page, the tables, the numbers per instance and the pictures.

        Files: ``report.html``, ``report.json``, ``report.csv``, ``per_instance.parquet``, ``gap.png`` and
        ``gap_time.png``. All are made before the first is written, and each is written atomically.
        """
        parquet = io.BytesIO()
        self.per_instance().to_parquet(parquet, index=False)
        contents = {
            "gap.png": plots.png(self, plots.gap_distribution),
            "gap_time.png": plots.png(self, plots.gap_against_time),
            "per_instance.parquet": parquet.getvalue(),
            "report.csv": self.to_frame().to_csv().encode(),
            "report.json": self.to_json().encode(),
            "report.html": self.to_html().encode(),
        }
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            write_atomic(folder / name, data)
