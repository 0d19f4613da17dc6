"""Results of a comparison: numbers per instance, and the tables, figures and files made from them."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offloadopt.core import FEASIBILITY_TOLERANCE, FloatArray
from offloadopt.evaluation import captions, formatting, html_report, plots, report_folder
from offloadopt.evaluation.reference import SAME_COST, Reference
from offloadopt.evaluation.statistics import LEVEL, MethodRun, Statistics, summarise
from offloadopt.files import write_atomic
from offloadopt.formats import csv_tables

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


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
    horizon : int
        Slots of an episode; 1 for one-shot problems.
    main_metrics : tuple of str
        The problem's metrics that the summary shows; all, where there are none.
    workers : int
        Number of processes in which methods ran side by side.
    """

    problem: str
    scenario: Mapping[str, Any]
    scenario_notes: Mapping[str, str]
    reference: Reference
    methods: tuple[MethodRun, ...]
    paired_with: str | None
    seed: int
    bootstrap: int
    horizon: int = 1
    main_metrics: tuple[str, ...] = ()
    workers: int = 1

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics, the main ones first."""
        return tuple(dict.fromkeys([*self.main_metrics, *(name for run in self.methods for name in run.metrics)]))

    @property
    def count(self) -> int:
        """Number of instances."""
        return self.reference.count

    @cached_property
    def statistics(self) -> tuple[Statistics, ...]:
        """One row per method."""
        costs = {run.name: run.cost for run in self.methods}
        against = None if self.paired_with is None else costs[self.paired_with]
        return tuple(
            summarise(
                run,
                self.reference,
                opponent=None if run.name == self.paired_with else against,
                resamples=self.bootstrap,
                seed=self.seed,
            )
            for run in self.methods
        )

    @cached_property
    def gaps(self) -> Mapping[str, FloatArray]:
        """By method, [count] relative gap to the reference; NaN where there is none."""
        return {run.name: self.reference.gap(run.cost) for run in self.methods}

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        names = ", ".join(run.name for run in self.methods)
        return f"Report({self.problem}, methods: {names}, {self._instances}, reference: {self.reference.label})"

    def _repr_html_(self) -> str:
        """The summary as HTML, for notebooks."""
        table = formatting.html_table(formatting.SUMMARY_COLUMNS, formatting.summary_cells(self.statistics))
        metrics = formatting.html_table(*self._metric_table(self.main_metrics or self.metrics)) if self.metrics else ""
        notes = "<br>".join(map(escape, self._notes))
        return f"<div><p>{escape(self._heading)}</p>{table}{metrics}<p>{notes}</p></div>"

    @property
    def _instances(self) -> str:
        return f"{self.count:,} instance{'' if self.count == 1 else 's'}"

    @property
    def _heading(self) -> str:
        return f"{self.problem}: {self._instances}, reference: {self.reference.label}"

    # ------------------------------------------------------------------------------------------------------- tables

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values; a number that does not exist is ``None``, never NaN or infinite."""
        settings = {run.name: dict(run.settings) for run in self.methods}
        return {
            "problem": self.problem,
            "scenario": dict(self.scenario),
            "reference": self.reference.label,
            "methods": [{**asdict(row), "settings": settings[row.name]} for row in self.statistics],
            "reference_provers": list(self.reference.provers),
            "instances": self.count,
            "infeasible_instances": int(self.reference.infeasible.sum()),
            "undecided_instances": int(np.isinf(np.min([run.cost for run in self.methods], axis=0)).sum()),
            "paired_with": self.paired_with,
            "same_cost": SAME_COST,
            "interval_level": LEVEL,
            "bootstrap": self.bootstrap,
            "seed": self.seed,
            "horizon": self.horizon,
            "main_metrics": list(self.main_metrics),
            "workers": self.workers,
            "feasibility_tolerance": FEASIBILITY_TOLERANCE,
            "reference_note": captions.reference_note(self.reference, self.horizon),
        }

    def to_json(self) -> str:
        """Return `to_dict` as strict JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with one row of `Statistics` per method, indexed by its name."""
        import pandas as pd

        return pd.DataFrame([row.columns() for row in self.statistics]).set_index("name")

    def to_csv(self, path: str | Path) -> None:
        """Write `to_frame` as CSV."""
        write_atomic(path, csv_tables.encode(self.to_frame().reset_index()))

    def per_instance(self) -> pd.DataFrame:
        """Return a frame with one row per method and instance: cost, gap, bound, reference, time in the batch, metrics.

        Metrics are columns ``metric_<name>``.
        """
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
                    **{f"metric_{name}": values for name, values in run.metrics.items()},
                }
            )
            for run in self.methods
        ]
        return pd.concat(parts, ignore_index=True)

    def summary(self) -> str:
        """Return the comparison as plain text: a row per method, main metrics, then what the numbers mean."""
        tables = [formatting.text_table(formatting.SUMMARY_COLUMNS, formatting.summary_cells(self.statistics))]
        if self.metrics:
            columns, rows = self._metric_table(self.main_metrics or self.metrics)
            tables += ["", formatting.text_table(columns, rows)]
        return "\n".join([self._heading, *tables, "", *(textwrap.fill(note, 110) for note in self._notes)])

    def _metric_table(self, names: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Columns and cells of mean metrics: a row per metric, a column per method."""
        rows = [(name, *(formatting.number(row.metrics.get(name), 5) for row in self.statistics)) for name in names]
        return ("mean metric", *(row.name for row in self.statistics)), rows

    @property
    def _notes(self) -> list[str]:
        return captions.summary_notes(self.reference, self.horizon, self.workers)

    # ------------------------------------------------------------------------------------------------------ figures

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each method's distribution of gaps."""
        return plots.gap_distribution(self.statistics, self.gaps, self.reference, ax=ax)

    def plot_gap_time(self, ax: Axes | None = None) -> Axes:
        """Draw each method's mean gap against its decision time."""
        return plots.gap_against_time(self.statistics, self.reference, horizon=self.horizon, ax=ax)

    # -------------------------------------------------------------------------------------------------------- files

    def to_html(self) -> str:
        """Return a self-contained page with tables, figures and definitions."""
        return html_report.render(
            self.problem,
            self.statistics,
            self.reference,
            paired_with=self.paired_with,
            seed=self.seed,
            bootstrap=self.bootstrap,
            horizon=self.horizon,
            scenario=[
                (name, value, self.scenario_notes.get(name, ""))
                for name, value in self.scenario.items()
                if value is not None
            ],
            settings={run.name: run.settings for run in self.methods},
            metrics=self.metrics,
            workers=self.workers,
            gap_figure=plots.svg(self.plot, len(self.methods), salt="gap_distribution"),
            time_figure=plots.svg(self.plot_gap_time, plots.TIME_ROWS, salt="gap_against_time"),
        )

    def write_html(self, path: str | Path) -> None:
        """Write `to_html`."""
        write_atomic(path, self.to_html().encode())

    def save(self, folder: str | Path, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Write the page, the tables, the numbers per instance and the figures.

        Files: ``report.html``, ``report.json``, ``report.csv``, ``per_instance.parquet``, ``gap.png`` and
        ``gap_time.png``. All are computed before the first is written, and each is written atomically: ``report.json``
        first, as a mark of what is unfinished, and last.

        Parameters
        ----------
        folder : path
        inputs : mapping, optional
            All that determines the comparison (`report_folder.comparison_inputs`), by which it is known again.

        Returns
        -------
        dict
            Contents of ``report.json``: `to_dict`, with the inputs and the summary.
        """
        parquet = io.BytesIO()
        self.per_instance().to_parquet(parquet, index=False)
        contents = {
            "gap.png": plots.png(self.plot, len(self.methods)),
            "gap_time.png": plots.png(self.plot_gap_time, plots.TIME_ROWS),
            "per_instance.parquet": parquet.getvalue(),
            "report.csv": csv_tables.encode(self.to_frame().reset_index()),
            "report.html": self.to_html().encode(),
        }
        known = {} if inputs is None else {"inputs": dict(inputs)}
        found = {**self.to_dict(), **known, "summary": self.summary()}
        report_folder.write(folder, found, contents)
        return found
