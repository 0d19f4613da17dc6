"""Artefacts beyond the paper: optimality gaps over training time, on harder servers and on other scenarios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Axes, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.multi_server.measurements import OPTIMUM
from offloadopt.reproduce.multi_server.study import (
    AS_TRAINED,
    DIRS,
    IMITATION,
    LEARNED,
    OWN_DIRS,
    PRICES,
    SHIFTS,
    MultiServerStudy,
    as_trained,
)
from offloadopt.reproduce.study import measured
from offloadopt.reproduce.summary import summarised
from offloadopt.reproduce.training import Json

STYLES = {
    "local": plots.Style("Local", plots.GREY, "-.", "D"),
    "random": plots.Style("Random", plots.GREEN, "-.", "v"),
    "greedy": plots.Style("Greedy", plots.ORANGE, "-.", "^"),
    IMITATION: plots.Style("imitation alone, exact demonstrations", plots.PURPLE, "--", "s"),
    DIRS: plots.Style("DIRS as published", plots.BLUE, "-", "o"),
    OWN_DIRS: plots.Style("DIRS, our defaults", plots.SKY, ":", "P"),
    PRICES: plots.Style("equivariant, all links seen", plots.VERMILION, "--", "X"),
}

LEAST_GAP = 1e-5
"""Smaller gaps are drawn here on a logarithmic axis."""
GAP_LABEL = "mean gap to the optimum, % (0.001: or less)"


@dataclass(eq=False)
class AnytimeFigure(Artefact):
    """Optimality gap of policies trained from scratch with budgets of different lengths.

    Each point is a training of its own, as learning rates follow the budget; time includes making demonstrations.
    """

    study: MultiServerStudy
    name = "gap-over-time"
    keys = ("method", "share")

    def plan(self) -> Iterable[Unit]:
        """A training for each learner, budget and replicate."""
        for replicate in self.study.replicates:
            for share in self.study.sizes.budget_shares:
                for method in LEARNED:
                    scenario = self.study.layout(replicate)
                    yield self.study.learned(method, replicate, scenario, share, share=share)

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """One row."""
        yield {
            "method": unit.labels["method"],
            "share": unit.labels["share"],
            "samples": result["samples"],
            "train_cpu_s": result["spent"]["cpu_seconds"],
            "train_wall_s": result["spent"]["seconds"],
            "gap": result["tests"][AS_TRAINED]["gap"],
        }

    def draw(self, frame: DataFrame) -> Figure:
        """Gap against training time, both logarithmic."""
        summary = summarised(frame, self.keys)
        figure, (ax,) = plots.panels(1)
        gaps = ["gap", "gap_low", "gap_high"]
        summary[gaps] = summary[gaps].clip(LEAST_GAP)
        plots.lines(ax, summary, "train_cpu_s", "gap", {method: STYLES[method] for method in LEARNED}, 100)
        plots.logarithmic(ax, "x", "y")
        plots.finish(ax, "training time (processor), s", GAP_LABEL)
        plots.legend(figure, [ax], columns=2)
        return figure


@dataclass(eq=False)
class ScenarioGaps(Artefact):
    """Gaps of rules and learners in several scenarios, each with trainings of its own."""

    study: MultiServerStudy
    keys = ("scenario", "method")

    def scenarios(self, replicate: int) -> Mapping[str, Json]:
        """Scenarios of a replicate by name."""
        raise NotImplementedError

    def plan(self) -> Iterable[Unit]:
        """Trainings and rules for each scenario and replicate."""
        for replicate in self.study.replicates:
            for name, scenario in self.scenarios(replicate).items():
                for method in LEARNED:
                    yield self.study.learned(method, replicate, scenario, scenario=name)
                yield self.study.rules(replicate, scenario, scenario=name)

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method."""
        for method, numbers in as_trained(unit, result):
            yield {"scenario": unit.labels["scenario"], "method": method, **numbers}

    def draw_gaps(self, ax: Axes, summary: DataFrame, scenarios: Sequence[str], methods: Sequence[str]) -> None:
        """Draw a row for each scenario and a marker for each method."""
        for row, method in enumerate(methods):
            chosen = summary[summary["method"] == method].set_index("scenario")
            places = [place + 0.14 * (row - (len(methods) - 1) / 2) for place in range(len(scenarios))]
            gaps = chosen.loc[list(scenarios)]
            style = STYLES[method]
            mean = 100 * gaps["gap"].clip(LEAST_GAP)
            ax.plot(mean, places, ls="", marker=style.marker, color=style.color, ms=6, label=style.label)
            low, high = (100 * gaps[f"gap_{end}"].clip(LEAST_GAP) for end in ("low", "high"))
            ax.hlines(places, low, high, color=style.color, alpha=0.6, lw=2)
        ax.set_yticks(range(len(scenarios)), scenarios)
        ax.set_ylim(len(scenarios) - 0.4, -0.6)
        ax.set_xlim(70 * LEAST_GAP, None)
        plots.logarithmic(ax, "x")
        plots.finish(ax, GAP_LABEL, "")


class HardServersFigure(ScenarioGaps):
    """Faster servers, with which more tasks are offloaded and decisions are harder."""

    name = "hard-servers"

    def scenarios(self, replicate: int) -> Mapping[str, Json]:
        """The paper's scenario with each speed."""
        return {
            f"{speed / 1e9:g} GHz": self.study.layout(replicate, cpu_server_hz=speed)
            for speed in self.study.sizes.server_hz
        }

    def draw(self, frame: DataFrame) -> Figure:
        """Draw the gaps and the costs behind them."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(2)
        names = [f"{speed / 1e9:g} GHz" for speed in self.study.sizes.server_hz]
        self.draw_gaps(axes[0], summary, names, list(STYLES))
        styles = {**STYLES, OPTIMUM: plots.Style("certified optimum", plots.BLACK, "--")}
        speeds = dict(zip(names, (speed / 1e9 for speed in self.study.sizes.server_hz), strict=True))
        plots.lines(axes[1], summary.assign(speed=summary["scenario"].map(speeds)), "speed", "cost", styles)
        plots.finish(axes[0], GAP_LABEL, "each server's CPU")
        plots.fit_to_means(axes[1])
        axes[1].set_xticks(list(speeds.values()))
        plots.finish(axes[1], "each server's CPU, GHz", "mean cost (11)")
        plots.legend(figure, axes[1:], columns=3)
        return figure


class GeneralisationFigure(ScenarioGaps):
    """Other presets, and channel statistics that the policies were not trained on."""

    name = "generalisation"

    def scenarios(self, replicate: int) -> Mapping[str, Json]:
        """The presets; ``melbourne`` only if its files are given."""
        study = self.study
        found = {name: study.layout(replicate, name) for name in ("paper", "heterogeneous")}
        if study.users_file is not None:
            places = {"users_file": study.users_file, "sites_file": study.sites_file}
            found["melbourne"] = study.layout(replicate, "melbourne", **places)
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Yield also a row for each shift of the paper's channel statistics."""
        yield from super().rows(unit, result)
        if unit.labels["scenario"] == "paper":
            for found in measured(unit, result):
                if found.test in SHIFTS:
                    yield {"scenario": found.test, "method": found.method, **found.numbers}

    def draw(self, frame: DataFrame) -> Figure:
        """Draw gaps of policies tested on their own preset, and on shifted ones."""
        summary = summarised(frame, self.keys)
        present = list(self.scenarios(1))
        figure, axes = plots.panels(2)
        self.draw_gaps(axes[0], summary, present, list(STYLES))
        self.draw_gaps(axes[1], summary, ["paper", *SHIFTS], LEARNED)
        axes[0].set_title("trained and tested on the same preset", fontsize=10.5, loc="left")
        axes[1].set_title("trained on paper, tested on", fontsize=10.5, loc="left")
        plots.legend(figure, axes[:1], columns=3)
        return figure
