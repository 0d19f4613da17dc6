"""Figure 7: fitness of the proposed and the classic Lévy search, generation by generation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from offloadopt import registry
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.multi_server.measurements import OPTIMUM
from offloadopt.reproduce.multi_server.study import MultiServerStudy
from offloadopt.reproduce.summary import summarised, values

PAPER_SCENARIO = "paper"
SCENARIOS = {
    PAPER_SCENARIO: ("paper", {}),
    "servers of 5 GHz": ("paper", {"cpu_server_hz": 5e9}),
    "servers of 10 GHz": ("paper", {"cpu_server_hz": 1e10}),
    "heterogeneous": ("heterogeneous", {}),
}
"""Preset and changes; the better search depends on the scenario, so there are several."""
BETA = 1.5
"""The paper's Lévy exponent."""
SEARCHES = ("levy", "levy-classic")
STYLES = {
    "levy-classic": plots.Style("classic Lévy", plots.ORANGE, "-."),
    "levy": plots.Style("proposed Lévy", plots.BLUE),
    OPTIMUM: plots.Style("certified optimum", plots.BLACK, "--"),
}


@dataclass(eq=False)
class SearchFigure(Artefact):
    """Proposed and classic Lévy search with the same initial populations and allocation; only moves differ."""

    study: MultiServerStudy
    name = "fig-7"
    keys = ("scenario", "method", "generation")

    def plan(self) -> Iterable[Unit]:
        """One for each scenario and replicate."""
        study, sizes = self.study, self.study.sizes
        options = {"beta": BETA, "generations": sizes.generations}
        searches = {name: registry.get("solvers", name)(**options).model_dump(mode="json") for name in SEARCHES}
        for replicate in study.replicates:
            for name, (preset, changes) in SCENARIOS.items():
                parameters = {
                    "scenario": study.layout(replicate, preset, **changes),
                    "solvers": searches,
                    "count": sizes.search_instances,
                    "seed": study.test_seed(replicate),
                }
                yield Unit(measurements.search, parameters, {REPLICATE: replicate, "scenario": name})

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method and generation; the optimum is the same in all."""
        optimum, last = result[OPTIMUM], len(result["levy"]) - 1
        curves = {method: dict(enumerate(result[method])) for method in SEARCHES}
        for method, curve in {**curves, OPTIMUM: {0: optimum, last: optimum}}.items():
            for generation, fitness in curve.items():
                yield {
                    "scenario": unit.labels["scenario"],
                    "method": method,
                    "generation": generation,
                    "fitness": fitness,
                    "gap_of_means": fitness / optimum - 1.0,
                }

    def draw(self, frame: DataFrame) -> Figure:
        """A panel for each scenario."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(2, 2)
        for ax, name in zip(axes, SCENARIOS, strict=True):
            plots.lines(ax, summary[summary["scenario"] == name], "generation", "fitness", STYLES)
            ax.set_xscale("symlog", linthresh=1)
            ax.set_xlim(0, self.study.sizes.generations)
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            plots.fit_to_means(ax)
            plots.finish(ax, "generation", "mean fitness (cost)", name)
        plots.legend(figure, axes)
        return figure

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
        """The proposed search ends below the classic one in the paper's scenario; the others are reported too."""
        last = self.study.sizes.generations
        differences, measured = {}, []
        for name in SCENARIOS:
            ends = {
                method: values(frame, "fitness", scenario=name, method=method, generation=last) for method in SEARCHES
            }
            differences[name] = Interval.of(ends["levy"] - ends["levy-classic"])
            gaps = [
                Interval.of(values(frame, "gap_of_means", scenario=name, method=method, generation=last)).mean
                for method in SEARCHES
            ]
            proposed, classic = (f"{100 * gap:.2f} %" for gap in gaps)
            measured.append(f"{name}: {differences[name].text(sign='+')} (gaps {proposed}, classic {classic})")
        return [
            Claim(
                "The proposed Lévy search reaches a lower fitness than the classic one",
                "Fig. 7",
                "lower throughout (curve only)",
                "; ".join(measured),
                differences[PAPER_SCENARIO].below(0.0),
                f"the mean paired difference in the paper's scenario is below 0 after {last} generations",
            )
        ]
