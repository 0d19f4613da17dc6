"""Figure 7: fitness of the proposed and the classic Lévy search, generation by generation."""

from __future__ import annotations

from collections.abc import Iterable

from offloadopt import registry
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.multi_server.measurements import OPTIMUM
from offloadopt.reproduce.multi_server.study import REFERENCES, MultiServerStudy
from offloadopt.reproduce.summary import REPLICATE, select, values

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
    OPTIMUM: REFERENCES[OPTIMUM],
}


def search_figure(study: MultiServerStudy) -> Artefact:
    """Proposed and classic Lévy search with the same initial populations and allocation; only moves differ."""
    sizes, keys = study.sizes, ("scenario", "method", "generation")

    def over(replicate: int) -> Iterable[Unit]:
        options = {"beta": BETA, "generations": sizes.generations}
        searches = {name: registry.get("solvers", name)(**options).model_dump(mode="json") for name in SEARCHES}
        for name, (preset, changes) in SCENARIOS.items():
            parameters = {
                "scenario": study.layout(replicate, preset, **changes),
                "solvers": searches,
                "count": sizes.search_instances,
                "seed": study.test_seed(replicate),
            }
            yield Unit(measurements.search, parameters, {REPLICATE: replicate, "scenario": name})

    def picture(summary: DataFrame) -> Figure:
        figure, axes = plots.panels(2, 2)
        for ax, name in zip(axes, SCENARIOS, strict=True):
            plots.lines(ax, select(summary, scenario=name), "generation", "fitness", STYLES)
            ax.set_xscale("symlog", linthresh=1)
            ax.set_xlim(0, sizes.generations)
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            plots.fit_to_means(ax)
            plots.finish(ax, "generation", "mean fitness (cost)", name)
        plots.legend(figure, axes)
        return figure

    return Artefact(study=study, name="fig-7", keys=keys, over=over, read=read, picture=picture, claimed=(lower_end,))


def read(unit: Unit, result: Result) -> Iterable[Row]:
    """A row for each method and generation; the optimum is the same in all."""
    optimum, last = result[OPTIMUM], len(result["levy"]) - 1
    curves = {method: dict(enumerate(result[method])) for method in SEARCHES}
    for method, curve in {**curves, OPTIMUM: {0: optimum, last: optimum}}.items():
        for generation, fitness in curve.items():
            keys = {"scenario": unit.labels["scenario"], "method": method, "generation": generation}
            yield {**keys, "fitness": fitness, "gap_of_means": fitness / optimum - 1.0}


def lower_end(frame: DataFrame) -> Iterable[Claim]:
    """The proposed search ends below the classic one in the paper's scenario; the others are reported too."""
    last = int(frame["generation"].max())
    differences, measured = {}, []
    for name in SCENARIOS:
        ends = select(frame, scenario=name, generation=last)
        fitness, gaps = (
            [values(ends, number, method=method) for method in SEARCHES] for number in ("fitness", "gap_of_means")
        )
        differences[name] = Interval.of(fitness[0] - fitness[1])
        proposed, classic = (f"{100 * Interval.of(gap).mean:.2f} %" for gap in gaps)
        measured.append(f"{name}: {differences[name].text(sign='+')} (gaps {proposed}, classic {classic})")
    yield Claim(
        "The proposed Lévy search reaches a lower fitness than the classic one",
        "Fig. 7",
        "lower throughout (curve only)",
        "; ".join(measured),
        differences[PAPER_SCENARIO].below(0.0),
        f"the mean paired difference in the paper's scenario is below 0 after {last} generations",
    )
